"""Files that a row names in another spelling, where a file system takes both for one.

exFAT, SMB and others do not tell upper case from lower case; some take precomposed and decomposed accents
(NFC and NFD) for the same. A listing then has a spelling that no row has.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from sqlalchemy import Engine, select, text

from db.connection.engine import reading
from db.schema.file_names import RawName
from db.schema.tables import IS_FILED, files

PAGE = 5_000

_Listing = Callable[[bytes], frozenset[bytes]]


def respelled(engine: Engine, root: bytes, paths: Sequence[RawName]) -> set[RawName]:
    """Return those of `paths`, listed below `root`, that a filed row names in another spelling.

    Rows are gone through only where `root` holds a folder that takes other spellings for the same.
    """
    wanted = {_folded(path): path for path in paths if _has_spellings(root, path)}
    if not wanted:
        return set()
    listed = lru_cache(maxsize=2)(_names_in)
    return {
        path
        for recorded in _recorded(engine)
        if (path := wanted.get(_folded(recorded))) and _is_one_file(recorded, path, listed)
    }


def _recorded(engine: Engine) -> Iterator[RawName]:
    last = 0
    while True:
        some = select(files.c.id, files.c.path).where(text(IS_FILED), files.c.id > last)
        with reading(engine) as connection:
            rows = connection.execute(some.order_by(files.c.id).limit(PAGE)).all()
        yield from (path for _, path in rows if path is not None)
        if len(rows) < PAGE:
            return
        last = rows[-1].id


def _has_spellings(root: bytes, path: bytes) -> bool:
    """Tell whether another spelling of a path leads to what looks like the same file."""
    try:
        own = os.lstat(path)
    except OSError:
        return False
    look = own.st_size, own.st_mtime_ns
    return any(other != path and _look(other) == look for other in _variants(root, path))


def _variants(root: bytes, path: bytes) -> Iterator[bytes]:
    parts = os.path.relpath(path, root).split(b"/")
    # A class's folder may be a disk of its own, so the first parts are also tried as they are.
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
    """Tell whether two spellings lead to one entry of one folder, rather than to two files."""
    try:
        a, b = os.lstat(recorded), os.lstat(path)
    except OSError:
        return False
    if os.path.samestat(a, b) and a.st_nlink == 1:
        return True
    if (a.st_size, a.st_mtime_ns) != (b.st_size, b.st_mtime_ns):
        return False
    # FUSE may give each spelling an inode of its own; but only one spelling is in the listing.
    return any(
        os.path.basename(mine) not in listed(os.path.dirname(mine))
        for mine, theirs in zip(_lineage(recorded), _lineage(path), strict=False)
        if os.path.basename(mine) != os.path.basename(theirs)
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
    """Return what all spellings of a path have in common, and perhaps some other paths have too."""
    plain = unicodedata.normalize("NFD", os.fsdecode(path)).upper().casefold()
    return unicodedata.normalize("NFC", plain)
