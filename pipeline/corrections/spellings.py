"""Find files that a row names in another spelling, on file systems that treat both spellings as one.

exFAT, SMB and others ignore case; some treat precomposed and decomposed accents (NFC and NFD) as the same. A
listing may then have a spelling that no row has.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from sqlalchemy import Engine

from db.queries import integrity
from db.schema.file_names import RawName

_Listing = Callable[[bytes], frozenset[bytes]]


def respelled(engine: Engine, root: bytes, paths: Sequence[RawName]) -> dict[RawName, RawName]:
    """Return those of `paths`, as listed below `root`, that a filed row names in another spelling, with that.

    Rows are read only if `root` contains a folder that treats other spellings as the same.
    """
    wanted = {_folded(path): path for path in paths if _has_spellings(root, path)}
    if not wanted:
        return {}
    listed = lru_cache(maxsize=2)(_names_in)
    return {
        path: recorded
        for recorded in integrity.filed_paths(engine)
        if (path := wanted.get(_folded(recorded))) and _is_one_file(recorded, path, listed)
    }


def _has_spellings(root: bytes, path: bytes) -> bool:
    """Return whether another spelling of a path leads to a file of the same size and time."""
    try:
        own = os.lstat(path)
    except OSError:
        return False
    look = own.st_size, own.st_mtime_ns
    return any(other != path and _look(other) == look for other in _variants(root, path))


def _variants(root: bytes, path: bytes) -> Iterator[bytes]:
    parts = os.path.relpath(path, root).split(b"/")
    # A class's folder may be a separate disk, so the first parts are also kept unchanged.
    for kept in range(len(parts)):
        head, tail = os.path.join(root, *parts[:kept]), os.path.join(*parts[kept:])
        name = os.fsdecode(tail)
        for other in (name.swapcase(), *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))):
            yield os.path.join(head, os.fsencode(other))
        yield os.path.join(head, tail.swapcase())


def _look(path: bytes) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def _is_one_file(recorded: bytes, path: bytes, listed: _Listing) -> bool:
    """Return whether two spellings lead to one entry of one folder, not to two files."""
    try:
        a, b = os.lstat(recorded), os.lstat(path)
    except OSError:
        return False
    if os.path.samestat(a, b) and a.st_nlink == 1:
        return True
    if (a.st_size, a.st_mtime_ns) != (b.st_size, b.st_mtime_ns):
        return False
    # FUSE may give each spelling another inode, but only one spelling is in the listing.
    return any(
        os.path.basename(old) not in listed(os.path.dirname(old))
        for old, new in zip(_lineage(recorded), _lineage(path), strict=False)
        if os.path.basename(old) != os.path.basename(new)
    )


def _names_in(folder: bytes) -> frozenset[bytes]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _lineage(path: bytes) -> Iterator[bytes]:
    while path not in (b"/", b""):
        yield path
        path = os.path.dirname(path)


def _folded(path: bytes) -> str:
    """Return a form that all spellings of a path share; a few other paths may share it too."""
    plain = unicodedata.normalize("NFD", os.fsdecode(path)).upper().casefold()
    return unicodedata.normalize("NFC", plain)
