"""Long runs of zeros in uncompressed pixels: a copy leaves them that stopped after its space was reserved.

Black is zeros too, so a run counts as a hole only if an edge of it tears rows apart: it begins or ends within
a row that is filled on the other side of the edge, beside a row that is filled throughout. Borders end with
rows, and what lies before black leaves the row beside it black too. A run that begins on a page of the disk,
within a row, and lasts to the end is a hole whatever stands around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.images.formats.errors import corrupt

_SHORTEST = 1024  # bytes
_TOLERATED = 50  # one part in so many may be missing
_FILLED = 0.75  # the share of pixels that are not 0 beside an edge
_LEAST, _LEAST_ACROSS = 4, 16  # pixels of the row itself, and of the row beside it along the run
_PAGE = 4096
_OTHER = re.compile(rb"[^\0]")


@dataclass(frozen=True, slots=True)
class Rows:
    """Plain pixels: the first byte, bytes from row to row, used bytes of a row, rows, bytes of a pixel."""

    start: int
    stride: int
    used: int
    count: int
    pixel: int

    @property
    def end(self) -> int:
        """The place behind the last pixel."""
        return self.start + (self.count - 1) * self.stride + self.used

    def place(self, at: int) -> tuple[int, int]:
        """Return the row and the byte within it."""
        return divmod(at - self.start, self.stride)


def check(data: bytes, blocks: Sequence[Rows], kind: str) -> None:
    """Raise UnreadableImage (corrupt) if zeros stand where pixels should be."""
    if not blocks or max(block.end for block in blocks) > len(data):
        return  # a decoder tells what is wrong
    total = sum(block.count * block.used for block in blocks)
    shortest = max(_SHORTEST, total // _TOLERATED)
    first, last = min(block.start for block in blocks), max(block.end for block in blocks)
    for start, end in _runs(data, first, last, shortest):
        page = start % _PAGE == 0 and end >= last and any(_within(start, block) for block in blocks)
        if page or any(_torn(data, at, block, start) for at in (start, end) for block in blocks):
            raise corrupt(f"the {kind} has a long run of zeros where pixels should be")


def _runs(data: bytes, at: int, last: int, shortest: int) -> Iterator[tuple[int, int]]:
    """Yield where each long run of zeros starts and ends."""
    zeros = bytes(shortest)
    while (start := data.find(zeros, at, last)) >= 0:
        other = _OTHER.search(data, start + shortest)
        at = min(other.start(), last) if other else last
        yield start, at


def _within(at: int, block: Rows) -> bool:
    """Return whether a place is within a row, its padding aside."""
    _, byte = block.place(at)
    return block.start < at < block.end and 0 < byte < block.used - block.pixel


def _torn(data: bytes, at: int, block: Rows, start: int) -> bool:
    """Return whether an edge of a run at this place lies between a filled half of a row and a black one."""
    if not _within(at, block):
        return False
    row, byte = block.place(at)
    pixel = -(-byte // block.pixel) if at == start else byte // block.pixel
    before, after = block.start + (row - 1) * block.stride, block.start + row * block.stride
    if at != start:  # the picture goes on behind the run
        before = after + block.stride
    if not block.start <= before < block.start + block.count * block.stride:
        return False
    split = pixel * block.pixel
    left, right = data[before : before + split], data[before + split : before + block.used]
    if at == start:
        beside, across = data[after : after + split], right
    else:
        beside, across = data[after + split : after + block.used], left
    return (
        _is_filled(beside, block.pixel, _LEAST)
        and _is_filled(across, block.pixel, _LEAST_ACROSS)
        and _is_filled(left + right, block.pixel, _LEAST)
    )


def _is_filled(part: bytes, pixel: int, least: int) -> bool:
    values = np.frombuffer(part, np.uint8, len(part) // pixel * pixel).reshape(-1, pixel)
    return len(values) >= least and float(values.any(axis=1).mean()) >= _FILLED
