"""Load files as batches of pixels, each with the id of its file. Runs in the child process.

One tf.data pipeline lives as long as the child: it reads, checks, decodes and resizes files in parallel, and
prepares the next batch while the current one is classified.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import in_words
from models.images.decode import Pixels, UnreadableImage, decode
from models.networks.tf_runtime import tf
from pipeline.classifier.file_checks import Admitted, examine, too_large
from pipeline.classifier.messages import ClassificationResult, Item
from pipeline.files.safe_open import open_regular
from pipeline.settings.sections import LimitSettings

DETAIL_CHARACTERS = 300

_WAITING_THREADS = 1  # the generator, while it waits for the next cut
_LARGEST_SLICE = 16
_SLICES_AHEAD = 2  # for each thread: a thread that is done with its slice never waits for one that is not


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch as it was put in.

    Row i of `images`, uint8 (n, size, size, 3), is of `results[i].id` at `paths[i]`: zeros if unreadable.
    """

    paths: tuple[bytes, ...]
    images: Pixels
    results: tuple[ClassificationResult, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the files, in order."""
        return tuple(result.id for result in self.results)


class Batches:
    """Turn the items of each `put` into one batch, in the same order; iterate once, in one thread.

    `size` is the side of the square in pixels; `threads` decode at the same time. `on_loaded` is called after
    each file, from any of them.
    """

    def __init__(
        self, size: int, limits: LimitSettings, threads: int, on_loaded: Callable[[], None] = lambda: None
    ) -> None:
        self._size = size
        self._limits = limits
        self._threads = threads
        self._on_loaded = on_loaded
        self._cuts: queue.SimpleQueue[Sequence[Item] | None] = queue.SimpleQueue()
        self._loaded: dict[int, tuple[bytes, ClassificationResult]] = {}
        self._sliced = self._slices()
        self._dataset = self._build()

    def put(self, items: Sequence[Item]) -> None:
        """Add one batch of (id, absolute path), from any thread, without waiting.

        An id may be in one batch at a time.
        """
        if items:
            self._cuts.put(items)

    def close(self) -> None:
        """End the iteration after the batches that were put."""
        self._cuts.put(None)

    def __iter__(self) -> Iterator[Batch]:
        stream, slices = iter(self._dataset), []
        try:
            for last, ids, images in stream:
                slices.append((ids.numpy(), np.asarray(images)))
                if last:
                    yield self._joined(slices)
                    slices = []
        finally:
            self.close()  # for TensorFlow, which frees `stream` only when our generator has ended

    def _joined(self, slices: Sequence[tuple[npt.NDArray[np.int64], Pixels]]) -> Batch:
        ids = np.concatenate([ids for ids, _ in slices]).tolist()
        paths, results = zip(*map(self._loaded.pop, ids), strict=True)
        return Batch(paths, np.concatenate([images for _, images in slices]), results)

    def _build(self) -> Any:
        options = tf.data.Options()
        options.deterministic = True
        options.autotune.enabled = False
        options.threading.private_threadpool_size = self._threads + _WAITING_THREADS
        options.threading.max_intra_op_parallelism = 1
        # Not `from_generator`, which has glibc map and unmap all that is larger than 128 KB, for each photo
        # anew and in every thread: to clear those pages took half as long as to decode.
        cuts = tf.data.Dataset.counter().map(self._cut_op)
        slices = cuts.take_while(lambda last, ids, paths: tf.size(ids) > 0)
        ahead = _SLICES_AHEAD * self._threads
        loaded = slices.map(self._load_op, num_parallel_calls=ahead)
        return loaded.prefetch(ahead).with_options(options)

    def _slices(self) -> Iterator[tuple[Sequence[Item], bool]]:
        while (items := self._cuts.get()) is not None:
            yield from sliced(items, self._threads)
        while True:
            yield (), True

    def _cut_op(self, number: Any) -> tuple[Any, Any, Any]:
        del number
        last, ids, paths = tf.numpy_function(self._cut, [], (tf.bool, tf.int64, tf.string))
        return last, ids, paths

    def _cut(self) -> tuple[np.bool, npt.NDArray[np.int64], npt.NDArray[np.object_]]:
        items, last = next(self._sliced)
        return (
            np.bool(last),
            np.array([id for id, _ in items], np.int64),
            np.array([path for _, path in items], np.object_),
        )

    def _load_op(self, last: Any, ids: Any, paths: Any) -> tuple[Any, Any, Any]:
        return last, ids, tf.numpy_function(self._load, [ids, paths], tf.uint8)

    def _load(self, ids: npt.NDArray[np.int64], paths: npt.NDArray[np.object_]) -> Pixels:
        images = np.empty((len(ids), self._size, self._size, 3), np.uint8)
        for image, id, path in zip(images, ids.tolist(), paths, strict=True):
            result, pixels = load((id, path), self._size, self._limits)
            if pixels is None:
                image[:] = 0
            else:
                image[:] = pixels
                result = result._replace(brightness=brightness(pixels))
            self._loaded[id] = path, result
            self._on_loaded()
        return images


def sliced(items: Sequence[Item], threads: int) -> Iterator[tuple[Sequence[Item], bool]]:
    """Cut a batch into what one thread loads in one go, and say which slice is the last.

    A call from TensorFlow into Python costs as much as decoding a small photo, so a slice has up to 16 files;
    but a batch has 2 slices for each thread where it can, so that none is left with nothing to do.
    """
    size = min(max(len(items) // (2 * threads), 1), _LARGEST_SLICE)
    for start in range(0, len(items), size):
        yield items[start : start + size], start + size >= len(items)


def load(item: Item, size: int, limits: LimitSettings) -> tuple[ClassificationResult, Pixels | None]:
    """Read, check, decode and resize one file: uint8 (size, size, 3), or None with the reason in the result.

    Only MemoryError is raised: the file that uses up the memory is not always the file whose thread runs out
    of it, so the child ends and its files are classified one by one.
    """
    id, path = item
    admitted: Admitted | None = None
    try:
        data = read(path, limits)
        header, admitted = examine(data, limits)
        return ClassificationResult(id, admitted), decode(data, size, limits.pixels, header)
    except UnreadableImage as error:
        return _refused(id, admitted, error.reason, error.detail), None
    except OSError as error:
        return _refused(id, admitted, "unreadable", error.strerror or str(error)), None
    except MemoryError:
        raise
    except Exception as error:  # an unexpected error of a parser
        return _refused(id, admitted, "corrupt", f"the reader failed: {in_words(error)}"), None


def brightness(pixels: Pixels) -> float:
    """Return the mean of a picture, uint8 (side, side, 3), from 0 (black) to 1 (white).

    Of every eighth row: on photos within 0.015 of the mean of all rows, in a fifth of the time.
    """
    some = pixels[::8]
    return int(some.sum(dtype=np.uint32)) / (255 * some.size)


def read(path: bytes, limits: LimitSettings) -> bytes:
    """Read a regular file within the size limit. Raises UnreadableImage (too_large) and OSError."""
    descriptor, status = open_regular(path)
    try:
        if status.st_size > limits.file_bytes:
            raise too_large(status.st_size, limits)
        data = os.read(descriptor, status.st_size)
        while len(data) < status.st_size and (more := os.read(descriptor, status.st_size - len(data))):
            data += more  # a network share, or a file beyond 2 GB, gives it in parts
        return data
    finally:
        os.close(descriptor)


def _refused(id: int, admitted: Admitted | None, reason: str, detail: str) -> ClassificationResult:
    return ClassificationResult(id, admitted, None, reason, " ".join(detail.split())[:DETAIL_CHARACTERS])
