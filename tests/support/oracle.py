"""The universal oracle: whatever happened, nothing is lost, doubled or forgotten."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from db.connection.engine import open_database, reading
from pipeline.companions.shares import share_of
from pipeline.settings.config import Settings
from pipeline.worker.identity import own_rows


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files_below(*folders: Path) -> list[bytes]:
    """Every regular file below these folders, hidden ones and leftovers of copies included."""
    found, waiting = [], [os.fsencode(folder) for folder in folders]
    while waiting:  # and not `os.walk`, which calls itself for each level
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    found.append(entry.path)
    return found


def read(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def links_below(*folders: Path) -> list[bytes]:
    """Every symbolic link to a file below these folders."""
    return [bytes(path) for folder in folders for path in folder.rglob("*") if path.is_symlink()]


def conserved(settings: Settings, injected: Iterable[bytes], *, idle: bool = True) -> None:
    """Check that each injected content exists exactly once, and has exactly one row that says where.

    Where originals stay, each of them is there too, and what was made of it and of its companions, which may
    be symbolic links, unless a row says that only the original is there.
    With `idle` every row must be final. Fails with an AssertionError that says what is wrong.
    """
    counted(settings, Counter(map(digest, injected)), idle=idle)


ROWS = "SELECT state, path, sha256 FROM files WHERE state <> 'vanished'"
GROUPS = """
SELECT f.source, f.path, CAST(f.companions AS TEXT) FROM files f
WHERE f.state IN ('filed', 'undone') AND f.companions IS NOT NULL
"""
LEFT = """
SELECT f.source, f.path, coalesce(CAST(f.companions AS TEXT), '[]') FROM files f
WHERE f.state = 'undone' AND f.original IS NOT NULL
"""


def beside(source: str, path: str, companions: str) -> list[bytes]:
    """Return where the companions of a row lie: beside its photo, their names changed as its own."""
    from db.schema.file_names import unescape

    arrived, now = (os.path.basename(unescape(each)) for each in (source, path))
    before, after = (os.path.splitext(name)[0] for name in (arrived, now))
    folder = os.path.dirname(unescape(path))
    names = [unescape(name) for name in json.loads(companions)]
    if arrived == now:
        return [os.path.join(folder, name) for name in names]
    return [
        os.path.join(folder, after + name[len(before) :])
        if name.lower().startswith(before.lower())
        else os.path.join(folder, now + os.path.splitext(name)[1])
        for name in names
    ]


def asked(settings: Settings, *statements: str) -> list[list[tuple[Any, ...]]]:
    """Ask a sound database of the rows of an installation; on PostgreSQL of its own worker's alone."""
    if settings.database is not None and settings.database.startswith("postgresql"):
        everyone = open_database(settings.database_url, "read")
        with own_rows(everyone, settings, "read") as own, reading(own) as connection:
            found = [list(map(tuple, connection.exec_driver_sql(each).all())) for each in statements]
        everyone.dispose()
        return found
    database = sqlite3.connect(settings.state / "pawsort.db")
    try:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [database.execute(each).fetchall() for each in statements]
    finally:
        database.close()


def originals_left(settings: Settings) -> list[bytes]:
    """Return the originals of which nothing is made any more, since they were undone or failed."""
    from db.schema.file_names import unescape

    [rows] = asked(settings, LEFT)
    return [path for row in rows for path in (unescape(row[1]), *beside(*row)) if os.path.lexists(path)]


def _arrived(settings: Settings, inbox: Path) -> list[bytes]:
    """Return the files in an inbox, of one that is divided those of the share."""
    share, root = share_of(settings, inbox), os.fsencode(inbox)
    return [path for path in files_below(inbox) if not share or share.has(os.path.relpath(path, root))]


def counted(settings: Settings, expected: Counter[str], *, idle: bool = True) -> None:
    """Check what `conserved` checks, of contents given by their SHA-256."""
    stay = [inbox for inbox in settings.inboxes if settings.action_of(inbox) != "move"]
    arrived = [path for inbox in settings.inboxes if inbox not in stay for path in _arrived(settings, inbox)]
    links = links_below(settings.spool, settings.sorted)
    left = originals_left(settings)
    found = Counter(
        digest(read(path))
        for path in (*arrived, *files_below(settings.spool, settings.sorted), *links, *left)
    )
    assert found == expected, f"lost {expected - found}, doubled {found - expected}"
    originals = Counter(digest(read(path)) for path in files_below(*stay))
    assert originals <= expected, f"not as they were: {originals - expected}"

    rows, groups = asked(settings, ROWS, GROUPS)
    filed = [(path, sha256) for state, path, sha256 in rows if state == "filed"]
    for path, sha256 in filed:
        raw = os.fsencode(path)
        if b"\\" in raw:
            from db.schema.file_names import unescape

            raw = unescape(path)
        assert os.path.isfile(raw), f"{path} is filed and not there"
        assert sha256 is None or digest(read(raw)) == sha256, f"{path} is not what was filed"
    companions = [path for group in groups for path in beside(*group)]
    apart = [path for path in companions if not os.path.isfile(path)]
    assert not apart, f"companions that are not beside their photos: {apart}"
    there = [*files_below(settings.sorted), *links_below(settings.sorted)]
    in_folders = len([path for path in there if path not in companions])
    assert in_folders == len(filed), f"{in_folders} files in folders, {len(filed)} filed rows"
    if idle:
        unfinished = [row for row in rows if row[0] not in ("filed", "undone")]
        assert not unfinished, f"unfinished while idle: {unfinished}"
