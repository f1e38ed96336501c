"""Record files in a class's folder that have no row, after a lost database, as filed at their paths.

Their history is unknown: no prediction, no confidence, and the reason `imported`. A copy of one is not its
duplicate, since no decision put the first there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, text

from db.connection.engine import writing
from db.schema.file_names import RawName
from db.schema.records import Identity
from db.schema.rows import in_pieces
from db.schema.tables import IMPORTED, IS_FILED, files


@dataclass(frozen=True, slots=True)
class Found:
    """A file at `path` (absolute), in the folder of `outcome`, as `source` below it."""

    path: RawName
    outcome: str
    source: RawName
    identity: Identity
    sha256: str


def record(engine: Engine, found: Sequence[Found], inbox: str, at: datetime) -> set[RawName]:
    """Record files as filed at their paths, in one transaction; return the paths that got a row.

    An undo would put them into `inbox`. A path that already has a filed row is skipped. Raises
    DatabaseError.
    """
    with writing(engine) as connection:
        taken = _taken(connection, [file.path for file in found])
        new = [file for file in found if file.path not in taken]
        if new:
            connection.execute(insert(files), [_row(file, inbox, at) for file in new])
    return {file.path for file in new}


def _taken(connection: Connection, paths: Sequence[RawName]) -> set[RawName]:
    return {
        path
        for part in in_pieces(paths)
        for path in connection.execute(
            select(files.c.path).where(files.c.path.in_(part), text(IS_FILED))
        ).scalars()
    }


def _row(file: Found, inbox: str, at: datetime) -> dict[str, Any]:
    dev, ino, size, mtime_ns = file.identity
    return {
        "spool_name": f"imported-{secrets.token_hex(4)}", "state": "filed",
        "inbox": inbox, "source": file.source, "name": os.path.basename(file.source),
        "path": file.path, "destination": file.path,
        "verdict": file.outcome, "outcome": file.outcome, "reason": IMPORTED, "dev": dev, "ino": ino,
        "bytes": size, "mtime_ns": mtime_ns, "sha256": file.sha256, "attempts": 0, "seen_at": at,
        "claimed_at": at, "decided_at": at, "filed_at": at, "changed_at": at,
    }  # fmt: skip
