"""What becomes of a file: the worker's own admission and decoding, in a process with little memory.

    judge(case) -> (end, detail, seconds)

`end` is "classified" or a reason of the ledger; anything else is a defect of Pawsort, named by its type.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from tests.corpus.case import OK, Case

SIZE = 224
ROOM_BYTES = 1_000_000_000
"""What the child may take on top of what it has once everything is imported."""
SECONDS = 30.0
_BATCH = 32


@dataclass(frozen=True, slots=True)
class End:
    """What became of one case; `rss_mb` is the child's memory afterwards, `most_mb` its peak so far."""

    case: Case
    end: str
    detail: str
    seconds: float
    rss_mb: float
    most_mb: float

    @property
    def right(self) -> bool:
        """Whether this end is one of those allowed, and came in time."""
        return self.end in self.case.allowed and self.seconds < SECONDS

    def __str__(self) -> str:
        wanted = "/".join(sorted(self.case.allowed))
        return f"{self.case.name}: {self.end} ({self.detail}) in {self.seconds:.2f} s; expected {wanted}"


def judge(cases: Iterable[Case]) -> Iterator[End]:
    """Judge each case in a child; one that dies or hangs is named, and another child goes on."""
    child: _Child | None = None
    try:
        for batch in _batches(cases):
            left = batch
            while left:
                child = child or _Child()
                ends = child.judge(left)
                yield from ends
                left = left[len(ends) :]
                if ends[-1].end in ("died", "hangs"):
                    child.close()
                    child = None
    finally:
        if child:
            child.close()


def _batches(cases: Iterable[Case]) -> Iterator[list[Case]]:
    batch: list[Case] = []
    for case in cases:
        batch.append(case)
        if len(batch) == _BATCH or len(case.data) > 1_000_000:
            yield batch
            batch = []
    if batch:
        yield batch


class _Child:
    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._ours.recv()

    def judge(self, cases: list[Case]) -> list[End]:
        """Return the ends of the first cases, up to and with one that ends the child."""
        ends: list[End] = []
        try:
            self._ours.send([case.data for case in cases])
            for case in cases:
                if not self._ours.poll(2 * SECONDS):
                    return [*ends, End(case, "hangs", "", 2 * SECONDS, 0, 0)]
                ends.append(End(case, *self._ours.recv()))
        except (EOFError, OSError):
            self._process.join(5)
            case = cases[len(ends)]
            ends.append(End(case, "died", f"exit code {self._process.exitcode}", 0, 0, 0))
        return ends

    def close(self) -> None:
        self._ours.close()
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection) -> None:
    from tests.support.dng_files import dng
    from tests.support.pictures import encode, scene

    for kind in ("JPEG", "PNG", "TIFF", "HEIF", "AVIF"):
        _judge(encode(scene(), kind))  # so that all is imported
    _judge(dng(scene()))
    room = _memory()[2] + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    pipe.send("ready")
    while True:
        try:
            contents = pipe.recv()
        except EOFError:
            return
        for data in contents:
            began = time.monotonic()
            end, detail = _judge(data)
            rss, most, _ = _memory()
            pipe.send((end, detail[:200], time.monotonic() - began, rss / 1e6, most / 1e6))


def _judge(data: bytes) -> tuple[str, str]:
    """Do what `pipeline.classifier.image_loader.load` does with the bytes of a file, without TensorFlow."""
    from models.images.decode import UnreadableImage, decode
    from pipeline.classifier.file_checks import examine
    from pipeline.settings.sections import LimitSettings

    limits = LimitSettings()
    try:
        header, admitted = examine(data, limits)
        pixels = decode(data, SIZE, limits.pixels, header)
    except UnreadableImage as error:
        return (error.reason, error.detail) if error.detail else ("no detail", error.reason)
    except BaseException as error:
        return type(error).__name__, repr(error)
    if pixels.shape != (SIZE, SIZE, 3) or pixels.dtype.name != "uint8":
        return "wrong pixels", f"{pixels.dtype} {pixels.shape}"
    return OK, admitted.format


def _memory() -> tuple[int, int, int]:
    """Return resident, most ever resident, and virtual bytes of this process."""
    # Not getrusage, whose maximum begins with what the parent had.
    with open("/proc/self/status") as file:
        told = {line.split(":")[0]: line.split()[1] for line in file if line.startswith("Vm")}
    return int(told["VmRSS"]) * 1024, int(told["VmHWM"]) * 1024, int(told["VmSize"]) * 1024
