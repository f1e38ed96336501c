"""Files in, batches of pixels out; ids travel with the pixels. Runs in the child process.

One tf.data pipeline lives as long as the child: it reads, admits, decodes and resizes files in parallel, and
has the next batch ready while the current one is classified.
"""

from __future__ import annotations

import os
import queue
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.images import UnreadableImage, decode
from models.runtime import tf
from pipeline.admission import Admitted, Refused, examine
from pipeline.config import LimitSettings

Item = tuple[int, bytes]

DETAIL_CHARACTERS = 300

# The generator waits on its queue, and prefetching on the generator: neither may take the thread of a decoder.
_WAITING_THREADS = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What reading one file came to: `reason` is None when there are pixels."""

    admitted: Admitted | None
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch as it was put in. Row i of `images`, uint8 (n, size, size, 3), is of `ids[i]`, zeros if unreadable."""

    ids: tuple[int, ...]
    images: npt.NDArray[np.uint8]
    outcomes: tuple[Outcome, ...]


class Batches:
    """Turn what is `put` into batches with the same cuts, in the same order; iterate in one thread.

    `size` is the side of the square in pixels; `threads` decode at the same time.
    """

    def __init__(self, size: int, limits: LimitSettings, threads: int) -> None:
        self._size = size
        self._limits = limits
        self._cuts: queue.SimpleQueue[Sequence[Item] | None] = queue.SimpleQueue()
        self._outcomes: dict[int, Outcome] = {}
        self._dataset = self._build(threads)

    def put(self, items: Sequence[Item]) -> None:
        """Add one batch of (id, absolute path); from any thread, without waiting. An id is in one batch at a time."""
        if items:
            self._cuts.put(items)

    def close(self) -> None:
        """End the iteration after the batches that were put."""
        self._cuts.put(None)

    def __iter__(self) -> Iterator[Batch]:
        for ids, images in self._dataset:
            numbers = tuple(ids.numpy().tolist())
            yield Batch(numbers, np.asarray(images), tuple(map(self._outcomes.pop, numbers)))

    def _build(self, threads: int) -> Any:
        options = tf.data.Options()
        options.deterministic = True
        options.autotune.enabled = False
        options.threading.private_threadpool_size = threads + _WAITING_THREADS
        options.threading.max_intra_op_parallelism = 1
        cuts = tf.data.Dataset.from_generator(
            self._generate,
            output_signature=(tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.string)),
        )
        files = cuts.flat_map(_with_size_of_cut)
        loaded = files.map(self._load_op, num_parallel_calls=threads)
        # Elements stay in order, so `cut` consecutive ones of key `cut` are exactly one cut; and the keys are
        # few, which matters because a window's size is remembered for ever.
        batches = loaded.group_by_window(
            key_func=lambda cut, *_: cut,
            reduce_func=lambda cut, window: window.batch(cut),
            window_size_func=lambda cut: cut,
        )
        return batches.map(lambda _, ids, images: (ids, images)).prefetch(1).with_options(options)

    def _generate(self) -> Iterator[tuple[list[int], list[bytes]]]:
        while (items := self._cuts.get()) is not None:
            yield [id for id, _ in items], [path for _, path in items]

    def _load_op(self, cut: Any, id: Any, path: Any) -> tuple[Any, Any, Any]:
        image = tf.numpy_function(self._load, [id, path], tf.uint8)
        image.set_shape((self._size, self._size, 3))
        return cut, id, image

    def _load(self, id: np.int64, path: bytes) -> npt.NDArray[np.uint8]:
        outcome, image = load(path, self._size, self._limits)
        self._outcomes[int(id)] = outcome
        return np.zeros((self._size, self._size, 3), np.uint8) if image is None else image


def load(path: bytes, size: int, limits: LimitSettings) -> tuple[Outcome, npt.NDArray[np.uint8] | None]:
    """Read, admit, decode and resize one file: uint8 (size, size, 3), or None with the reason in the outcome.

    Only MemoryError is raised: the file that takes the memory is not always the one that misses it, so the child
    ends and its files are tried one by one.
    """
    admitted: Admitted | None = None
    try:
        data = read(path, limits.file_bytes)
        verdict = data if isinstance(data, Refused) else examine(data, limits)
        if isinstance(verdict, Refused):
            return _refused(None, verdict.reason, verdict.detail), None
        assert isinstance(data, bytes)
        admitted = verdict
        return Outcome(admitted), decode(data, size)
    except UnreadableImage as error:
        if isinstance(error.__cause__, MemoryError):
            raise error.__cause__ from error
        return _refused(admitted, error.reason, error.detail), None
    except OSError as error:
        return _refused(admitted, "unreadable", error.strerror or str(error)), None
    except MemoryError:
        raise
    except Exception as error:  # a parser met what its author had not foreseen; the type tells which
        return _refused(admitted, "corrupt", f"{type(error).__name__}: {error}"), None


def read(path: bytes, limit: int) -> bytes | Refused:
    """Read a regular file of at most `limit` bytes; never follows a link and never waits for a FIFO. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Refused("unreadable", "is not a regular file")
        if status.st_size > limit:
            return Refused("too_large", f"{status.st_size} bytes; the limit is {limit}")
        return file.read(status.st_size)


def _refused(admitted: Admitted | None, reason: str, detail: str) -> Outcome:
    return Outcome(admitted, reason, " ".join(detail.split())[:DETAIL_CHARACTERS])


def _with_size_of_cut(ids: Any, paths: Any) -> Any:
    cut = tf.repeat(tf.size(ids, out_type=tf.int64), tf.size(ids))
    return tf.data.Dataset.from_tensor_slices((cut, ids, paths))
