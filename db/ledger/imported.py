"""Record files in a class's folder that have no row as filed at their paths.

They were put in by hand, or the database was lost. There is no prediction, no confidence, and the reason is
`imported`. A copy of one is not its duplicate, since no decision put the first there.
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
from db.schema.tables import IMPORTED, IS_FILED, files, moves


@dataclass(frozen=True, slots=True)
class Found:
    """A file at `path` (absolute), in the folder of `outcome`, as `source` below it.

    `label` is what the folder says of it, by the person `by`; None if it says nothing.
    """

    path: RawName
    outcome: str
    source: RawName
    identity: Identity
    sha256: str | None
    label: str | None = None
    by: str = ""


def record(engine: Engine, found: Sequence[Found], inbox: str, at: datetime) -> set[RawName]:
    """Record files as filed at their paths, in one transaction; return the paths that got a row.

    An undo would put them into `inbox`. A path that already has a filed row is skipped. A label is recorded
    as a correction. Raises DatabaseError.
    """
    with writing(engine) as connection:
        taken = _filed(connection, [file.path for file in found])
        new = [file for file in found if file.path not in taken]
        if new:
            connection.execute(insert(files), [_row(file, inbox, at) for file in new])
            _label(connection, [file for file in new if file.label is not None], at)
    return {file.path for file in new}


def _filed(connection: Connection, paths: Sequence[RawName]) -> dict[RawName, int]:
    return {
        row.path: row.id
        for part in in_pieces(paths)
        for row in connection.execute(
            select(files.c.path, files.c.id).where(files.c.path.in_(part), text(IS_FILED))
        )
    }


def _label(connection: Connection, labelled: Sequence[Found], at: datetime) -> None:
    ids = _filed(connection, [file.path for file in labelled])
    if labelled:
        connection.execute(insert(moves), [_correction(file, ids[file.path], at) for file in labelled])


def _correction(file: Found, id: int, at: datetime) -> dict[str, Any]:
    return {
        "file_id": id, "kind": "correct", "source": file.path, "destination": file.path,
        "old_outcome": file.outcome, "new_outcome": file.outcome, "new_corrected_to": file.label,
        "by": file.by, "began_at": at, "done_at": at, "via": "folder",
    }  # fmt: skip


def _row(file: Found, inbox: str, at: datetime) -> dict[str, Any]:
    dev, ino, size, mtime_ns = file.identity
    judged = file.label is not None
    return {
        "spool_name": f"imported-{secrets.token_hex(4)}", "state": "filed",
        "inbox": inbox, "source": file.source, "name": os.path.basename(file.source),
        "path": file.path, "destination": file.path,
        "verdict": file.outcome, "outcome": file.outcome, "reason": IMPORTED, "dev": dev, "ino": ino,
        "bytes": size, "mtime_ns": mtime_ns, "sha256": file.sha256, "attempts": 0, "seen_at": at,
        "claimed_at": at, "decided_at": at, "filed_at": at, "changed_at": at, "corrected_to": file.label,
        "reviewed_by": file.by if judged else None, "reviewed_at": at if judged else None,
    }  # fmt: skip
