"""The rows of files that are claimed, and the end of rows that these replace."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, update

from db.ledger import statements
from db.ledger.move_records import readable
from db.schema.file_names import RawName, escape
from db.schema.records import ClaimedFile, SettledFile, in_words
from db.schema.rows import entry_of, in_pieces
from db.schema.tables import files

_SEEN = tuple(field.name for field in fields(SettledFile) if field.name != "companions")
# The index that counts confidences has no column for the state.
GONE = {"state": "vanished", "path": None, "confidence": None}


def new_tokens(count: int) -> list[str]:
    """Return `count` different random parts of names in the spool, 8 hexadecimal digits each."""
    tokens: set[str] = set()
    while len(tokens) < count:
        tokens.add(secrets.token_hex(4))
    return list(tokens)


def claimed_row(file: SettledFile, spool_name: str, at: datetime) -> dict[str, Any]:
    """Return the values of the row of a file that is claimed; `spool_name` is the end of its name there."""
    stamps = {"claimed_at": at, "changed_at": at, "attempts": 0}
    as_seen = {name: getattr(file, name) for name in _SEEN}
    original = None if file.action is None else in_words(file.identity)
    named = {"name": os.path.basename(file.source), "companions": readable(file.companions)}
    return {
        **as_seen, **stamps, **named, "state": "claimed", "spool_name": spool_name, "original": original,
    }  # fmt: skip


def claim(
    connection: Connection, spool: RawName, settled: Sequence[SettledFile], at: datetime
) -> list[ClaimedFile]:
    """Record files as claimed in a transaction of the caller; return the new rows, in order."""
    tokens = new_tokens(len(settled))
    rows = [claimed_row(file, token, at) for file, token in zip(settled, tokens, strict=True)]
    supersede(connection, settled, at)
    ids = {token: id for id, token in connection.execute(statements.CLAIM, rows)}
    # One statement for the batch, after the inserts: the names contain the ids.
    for part in in_pieces(list(ids.values())):
        named = {"ids": list(part), "spool": escape(os.path.join(spool, b""))}
        connection.execute(statements.NAME_IN_SPOOL, named)
    return [ClaimedFile(ids[token], f"{ids[token]}-{token}") for token in tokens]


def supersede(connection: Connection, settled: Sequence[SettledFile], at: datetime) -> None:
    """End the rows of undone files that have the same path as one of these files, or are the same, renamed.

    An inode alone does not tell, as exFAT gives it to another file at the next mount; nor does a device.
    """
    if not connection.scalar(statements.SOME_UNDONE):
        return
    seen, paths = {file.identity[1:] for file in settled}, {file.path for file in settled}
    touched = {"paths": sorted(paths), "inodes": sorted({file.ino for file in settled})}
    undone = map(entry_of, connection.execute(statements.UNDONE_LIKE, touched))
    old = [e.id for e in undone if (e.ino, e.bytes, e.mtime_ns) in seen or e.path in paths]
    for part in in_pieces(old):
        connection.execute(update(files).where(files.c.id.in_(part)).values(**GONE, changed_at=at))
