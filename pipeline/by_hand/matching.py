"""Match displaced rows with found files. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from db.queries.places import Place
from pipeline.watch.stability import FileSnapshot


def by_inode(displaced: Iterable[Place], found: Mapping[bytes, FileSnapshot]) -> dict[bytes, Place]:
    """Return, by the path of its file now, each row whose unchanged file was found by inode.

    The device may have another number after a restart, so inode, size and time must be equal.
    """
    rows: dict[tuple[int, int, int], list[Place]] = {}
    for place in displaced:
        rows.setdefault((place.ino, place.bytes, place.mtime_ns), []).append(place)
    pairs = {}
    for path, seen in found.items():
        if alike := rows.get((seen.ino, seen.size, seen.mtime_ns)):
            pairs[path] = place = nearest(alike, path)
            alike.remove(place)
    return pairs


def nearest(alike: Sequence[Place], path: bytes) -> Place:
    """Return the row, of some that may be of the file at `path`, with the most similar path."""
    name, folder = os.path.basename(path), os.path.dirname(path)

    def likeness(place: Place) -> tuple[bool, bool, bool]:
        return (
            place.path == path,
            os.path.basename(place.path) == name,
            os.path.dirname(place.path) == folder,
        )

    return max(alike, key=likeness)


def edited_elsewhere(left: Iterable[Place], seen: FileSnapshot) -> Place | None:
    """Return the row whose file was moved under its name and edited: its content and its path are new."""
    name = os.path.basename(seen.path)
    same = (p for p in left if (p.dev, p.ino) == (seen.dev, seen.ino) and os.path.basename(p.path) == name)
    return next((place for place in same if place.state != "undone"), None)
