"""Find superseded rows: two rows name the same path, or a file was filed again under another row."""

from __future__ import annotations

import os
from itertools import chain

from sqlalchemy import Engine

from db.queries import integrity
from db.schema.records import Entry
from pipeline.files.moves import files_below
from pipeline.worker.steps.duplicates import is_gone, is_present

MOST_COPIES = 20
"""Rows of one content that are examined, the newest first."""


def owners(engine: Engine) -> dict[int, Entry]:
    """Return, by its id, the newest row at the path of each older one that names the same path.

    If the file there has the size of an older row and not of the newest, that older row is the owner.
    """
    found: dict[int, Entry] = {}
    for entries in integrity.sharing_a_path(engine):
        owner = max(entries, key=lambda entry: (_fits(entry), entry.id))
        found |= {entry.id: owner for entry in entries if entry.id != owner.id}
    return found


def elsewhere(engine: Engine, entry: Entry) -> Entry | None:
    """Return the newest other filed row of the same content, or file, whose file is in its place."""
    same = integrity.same_content(engine, entry, MOST_COPIES), integrity.same_file(engine, entry)
    return next(filter(is_present, chain(*same)), None)


def may_end(engine: Engine, entry: Entry, sorted_: bytes) -> bool:
    """Return whether a file is certainly gone, rather than on a disk that is not mounted.

    Its folder must contain other files, unless the file of another row has the same inode.
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
