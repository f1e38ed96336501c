"""Find the scans of a JPEG and what their headers say, without decoding. Source: ITU T.81."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from models.images.formats.errors import UnreadableImage
from models.images.formats.jpeg import FRAME_HEADERS, Segment, segments

ARITHMETIC = {0xC9, 0xCA}
LOSSLESS = 0xC3

_PROGRESSIVE = {0xC2, 0xCA}
_HUFFMAN, _RESTART_INTERVAL, _SCAN = 0xC4, 0xDD, 0xDA
_BETWEEN_SCANS = {0xC4, 0xCC, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
_UNSEEN, _NONE_MISSING = [64] * 64, [0] * 64
_MOST_PARTS = 50  # more restart intervals than these are counted and not looked at one by one

# Each begins with one known byte, which makes the search three times as fast.
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_BUT_RESTART = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan, or a restart interval of it: bytes from `start` to `end`, then a marker (0: the file ends).

    `restart` is how many blocks or groups of blocks (MCU) lie between two restart markers, or 0, and `units`
    how many there are; only counted where there are such markers.
    `flat`: zero bits may mean blocks of one colour.
    """

    start: int
    end: int
    marker: int
    units: int
    restart: int
    flat: bool

    @property
    def followed(self) -> bool:
        """Whether the marker behind it may stand there: tables, another scan, or the end."""
        return self.marker in _BETWEEN_SCANS


@dataclass(frozen=True, slots=True)
class Scans:
    """All scans up to the end marker, and the kind of the frame (its SOF marker).

    `head` are the segments up to the first scan. `exact`: all bits of all coefficients have had a scan.
    """

    head: Sequence[Segment]
    kind: int
    scans: list[Scan]
    exact: bool


@dataclass(slots=True)
class _Frame:
    kind: int = 0
    size: tuple[int, int] = (0, 0)
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)  # of a component: across, down
    restart: int = 0
    first_symbols: dict[int, int] = field(default_factory=dict)  # of a Huffman table: what zero bits mean
    missing_bits: dict[int, list[int]] = field(default_factory=dict)  # of a component: for each coefficient


def read_scans(data: bytes, head: Sequence[Segment]) -> Scans:
    """Find the scans of a JPEG, whose segments up to the first scan are known.

    What follows a broken segment is left out.
    """
    frame, scans = _Frame(), list[Scan]()
    walk = iter(head)
    try:
        while found := next(walk, None):
            marker, start, end = found
            if marker in FRAME_HEADERS:
                _read_frame(frame, data, marker, start)
            elif marker == _HUFFMAN:
                frame.first_symbols |= _first_symbols(data[start:end])
            elif marker == _RESTART_INTERVAL:
                (frame.restart,) = struct.unpack_from(">H", data, start)
            elif marker == _SCAN:
                scans.append(_read_scan(frame, data, start, end))
                if not scans[-1].followed:
                    break
                walk = segments(data, scans[-1].end)
    except (UnreadableImage, struct.error, IndexError):
        pass  # the file ends between two scans
    exact = not any(any(frame.missing_bits.get(component, _UNSEEN)) for component in frame.sampling)
    return Scans(head, frame.kind, scans, exact)


def parts(data: bytes, scan: Scan) -> Iterator[Scan]:
    """Split a scan at its restart markers, unless they are many."""
    stops = [found.start() for found in _RESTART.finditer(data, scan.start, scan.end)] if scan.restart else []
    start = scan.start
    for stop in stops if len(stops) < _MOST_PARTS else []:
        yield replace(scan, start=start, end=stop, marker=data[stop + 1])
        start = stop
    yield replace(scan, start=start) if start > scan.start else scan  # to copy takes long, and most have one


def restarts_lost(data: bytes, scan: Scan) -> float:
    """Return the share of a scan's restart intervals that has no marker, or one too many."""
    if not scan.restart or not scan.units:
        return 0.0
    intervals = -(-scan.units // scan.restart)
    found = len(_RESTART.findall(data, scan.start, scan.end)) + 1
    return abs(found - intervals) / intervals


def _read_frame(frame: _Frame, data: bytes, marker: int, start: int) -> None:
    height, width, count = struct.unpack_from(">HHB", data, start + 1)
    frame.kind, frame.size = marker, (width, height)
    for at in range(start + 6, start + 6 + 3 * count, 3):
        frame.sampling[data[at]] = data[at + 1] >> 4 or 1, data[at + 1] & 15 or 1


def _first_symbols(tables: bytes) -> dict[int, int]:
    found, at = {}, 0
    while at + 17 < len(tables):
        found[tables[at]] = tables[at + 17]
        at += 17 + sum(tables[at + 1 : at + 17])
    return found


def _read_scan(frame: _Frame, data: bytes, start: int, end: int) -> Scan:
    chosen = {data[at]: data[at + 1] for at in range(start + 1, start + 1 + 2 * data[start], 2)}
    _note_exact(frame, list(chosen), data[end - 3 : end])
    tables = [table for pair in chosen.values() for table in (pair >> 4, 0x10 | pair & 15)]
    # The first symbol of a table has the code of zeros only; symbol 0 is no change, or the end of a block.
    flat = frame.kind in _PROGRESSIVE or not any(frame.first_symbols.get(table, 0) for table in tables)
    found = (_MARKER_BUT_RESTART if frame.restart else _MARKER).search(data, end)
    stop, marker = (found.start(), data[found.end() - 1]) if found else (len(data), 0)
    while stop > end and data[stop - 1] == 0xFF:
        stop -= 1  # a marker may have more of them in front, and a cut file one without its other half
    units = _units(frame, list(chosen)) if frame.restart else 0
    return Scan(end, stop, marker, units, frame.restart, flat)


def _note_exact(frame: _Frame, components: list[int], band: bytes) -> None:
    if frame.kind not in _PROGRESSIVE:
        frame.missing_bits |= dict.fromkeys(components, _NONE_MISSING)
        return
    first, last, bits = band
    before, left = bits >> 4, bits & 15
    for component in components:
        missing = frame.missing_bits.setdefault(component, list(_UNSEEN))
        for at in range(first, min(last, 63) + 1):
            if before in (0, missing[at]):  # a scan that refines another one is worth nothing without that
                missing[at] = left


def _units(frame: _Frame, components: list[int]) -> int:
    if not components or not frame.sampling:
        return 0
    most = [max(side) for side in zip(*frame.sampling.values(), strict=True)]
    own = frame.sampling.get(components[0], (1, 1)) if len(components) == 1 else (1, 1)
    sides = zip(frame.size, own, most, strict=True)
    across, down = [-(-size * mine // (8 * largest)) for size, mine, largest in sides]
    return int(across * down)
