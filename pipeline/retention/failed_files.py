"""Files in failed/ that are older than `keep.failed_days`: the only photos that Pawsort ever deletes."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from sqlalchemy import Engine

from db.ledger import by_hand
from db.ledger.by_hand import HandMove
from db.queries.listing import filed_at_paths
from db.schema.records import Entry
from pipeline.companions.moving import beside
from pipeline.decision import FAILED
from pipeline.files.folders import is_folder, sync_folders
from pipeline.files.links import target_of
from pipeline.settings.config import Settings

log = logging.getLogger(__name__)

BY = "keep"


def deletable(settings: Settings, entries: Sequence[Entry]) -> list[Entry]:
    """Return the rows whose file is in failed/ as it was when it was put there: what was touched stays."""
    folder = os.path.join(os.fsencode(settings.sorted), os.fsencode(FAILED))
    return [entry for entry in entries if is_folder(folder) and _is_untouched(entry, folder)]


def delete(engine: Engine, entries: Sequence[Entry], now: Callable[[], datetime]) -> list[Entry]:
    """Delete files and their companions, and record that they were removed; return which.

    The caller keeps commands that move files away. A file that the system does not let go stays, and is
    logged. Raises DatabaseError, OSError if the folders cannot be synced.
    """
    gone = [entry for entry in entries if _is_deleted(engine, entry)]
    sync_folders({os.path.dirname(entry.path or b"") for entry in gone})
    removed = [
        HandMove(entry.id, "remove", "filed", entry.path or b"", entry.path or b"", BY, via="keep")
        for entry in gone
    ]
    if removed:
        by_hand.record(engine, removed, now())
    return gone


def _is_deleted(engine: Engine, entry: Entry) -> bool:
    """Delete a file, its companions first, so that the photo says what is left if it is cut off."""
    try:
        _delete_companions(engine, entry)
        os.unlink(entry.path or b"")
    except OSError as error:
        log.warning("%a cannot be deleted: %s", os.fsdecode(entry.path or b""), error.strerror)
        return False
    return True


def _delete_companions(engine: Engine, entry: Entry) -> None:
    there = beside(entry.path or b"", os.path.basename(entry.source), entry.companion_names)
    others = filed_at_paths(engine, there) if there else {}
    for path in there:
        with suppress(FileNotFoundError):
            mode = os.lstat(path).st_mode
            if path not in others and (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                os.unlink(path)


def _is_untouched(entry: Entry, folder: bytes) -> bool:
    path = entry.path or b""
    if not path.startswith(folder + b"/") or os.path.realpath(os.path.dirname(path)) != os.path.dirname(
        os.path.join(os.path.realpath(folder), path[len(folder) + 1 :])
    ):
        return False  # not in failed/, or through a link that leads elsewhere
    try:
        if entry.target is not None:
            return target_of(path) == entry.target
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and entry.looks_like(found.st_size, found.st_mtime_ns)
