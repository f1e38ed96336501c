"""Filed rows that count a file which another row counts: two name one path, or a file came in again."""

from __future__ import annotations

import os

from sqlalchemy import Engine, func, select, text

from db.connection.engine import reading
from db.ledger.ledger import Entry
from db.schema.rows import FILE_COLUMNS, entries_by, entry_of
from db.schema.tables import IS_FILED, files
from pipeline.files.moves import files_below
from pipeline.worker.duplicates import is_gone, is_present

LOOKED_AT = 20
"""Rows of one content that are looked at, the newest first."""


def owners(engine: Engine) -> dict[int, Entry]:
    """Return, by its id, the newest row at the path of each older one that names the same path.

    Where the file there has the size of an older row and not of the newest, that older one is the owner.
    """
    doubled = select(files.c.path).where(text(IS_FILED)).group_by(files.c.path).having(func.count() > 1)
    found: dict[int, Entry] = {}
    with reading(engine) as connection:
        for path in connection.execute(doubled).scalars().all():
            entries = entries_by(connection, files.c.path == path, text(IS_FILED))
            owner = max(entries, key=lambda entry: (_fits(entry), entry.id))
            found |= {entry.id: owner for entry in entries if entry.id != owner.id}
    return found


def elsewhere(engine: Engine, entry: Entry) -> Entry | None:
    """Return the newest other filed row of the same content whose file is in its place."""
    same = files.c.sha256 == entry.sha256, files.c.id != entry.id, files.c.path != entry.path, text(IS_FILED)
    with reading(engine) as connection:
        newest = select(*FILE_COLUMNS).where(*same).order_by(files.c.id.desc()).limit(LOOKED_AT)
        rows = [entry_of(row) for row in connection.execute(newest)] if entry.sha256 else []
    return next(filter(is_present, rows), None)


def may_end(engine: Engine, entry: Entry, sorted_: bytes) -> bool:
    """Tell whether it is certain that a file is gone, and not on a disk that is not mounted.

    Its folder must hold other files, unless the file of another row is the very same one.
    """
    if not is_gone(entry, sorted_):
        return False
    folder = os.path.join(sorted_, os.fsencode(entry.outcome or ""))
    if any(True for _ in files_below(folder, lambda _: None)):
        return True
    other = elsewhere(engine, entry)
    return other is not None and (other.dev, other.ino) == (entry.dev, entry.ino)


def _fits(entry: Entry) -> bool:
    try:
        return os.lstat(entry.path or b"").st_size == entry.bytes
    except OSError:
        return False
