"""Read the folders of a TIFF as cameras write them; skip what cannot be read. Sources: TIFF 6.0, TIFF/EP."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Folder = dict[int, tuple[int, ...]]
"""Whole numbers by tag; a text is the numbers of its characters."""

SUB_FOLDERS, EXIF_FOLDER = 330, 0x8769
_FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 13: "I"}
_MOST_FOLDERS = 32
_MOST_TAGS = 1000
_MOST_VALUES = 100_000


def read_folders(data: bytes) -> Iterator[Folder]:
    """Yield the first folder, and those that it or a later one names; none twice, 32 at most."""
    order = ">" if data[:2] == b"MM" else "<"
    waiting = [int(struct.unpack_from(order + "I", data, 4)[0])]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_FOLDERS:
        start = waiting.pop(0)
        if start in seen or not 0 < start <= len(data) - 2:
            continue
        seen.add(start)
        folder, following = _folder(data, start, order)
        yield folder
        waiting += [*folder.get(SUB_FOLDERS, ()), *folder.get(EXIF_FOLDER, ()), following]


def _folder(data: bytes, at: int, order: str) -> tuple[Folder, int]:
    """Return the tags of a folder, and where the next one is, 0 if there is none."""
    (count,) = struct.unpack_from(order + "H", data, at)
    start = at + 2
    fitting = min(count, _MOST_TAGS, (len(data) - start) // 12)
    folder: Folder = {}
    for entry in range(start, start + 12 * fitting, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
        if values := _values(data, entry + 8, order + f"{min(length, _MOST_VALUES)}", kind):
            folder.setdefault(tag, values)
    end = start + 12 * count
    return folder, int(struct.unpack_from(order + "I", data, end)[0]) if end + 4 <= len(data) else 0


def _values(data: bytes, at: int, layout: str, kind: int) -> tuple[int, ...]:
    """Return the values of an entry; none of a kind that is no whole number, or beyond the end."""
    if kind not in _FORMATS:
        return ()
    layout += _FORMATS[kind]
    if (size := struct.calcsize(layout)) > 4:
        (at,) = struct.unpack_from(layout[0] + "I", data, at)
    return struct.unpack_from(layout, data, at) if at + size <= len(data) else ()
