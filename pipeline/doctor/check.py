"""Find disagreements between rows, files and folders; changes nothing, and uses constant memory.

`pipeline.doctor.repair` repairs those that can be repaired safely.

The worker may be running, and it commits before it renames. So a file is looked up in the rows after it was
seen, and a row that seems wrong is read again after its file was looked at.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine

from db.connection.engine import DatabaseError, DatabaseUnavailable, check_damage
from pipeline.corrections.relocation import Relocation
from pipeline.doctor import check_files, check_rows
from pipeline.doctor.problem import Problem
from pipeline.files.folders import is_folder
from pipeline.relocate.marker import moved_away
from pipeline.settings.config import Settings


def examine(engine: Engine, settings: Settings, hashes: bool = False) -> Iterator[Problem]:
    """Yield each problem as it is found; with `hashes`, read every filed photo and compare its SHA-256.

    Compares no rows if the database is damaged. Raises DatabaseError if it cannot be read at all.
    """
    damage = list(_database(engine))
    yield from damage
    yield from _folders(settings)
    if damage:
        return
    moved: Counter[Relocation] = Counter()
    yield from check_rows.filed(engine, settings, hashes, moved)
    yield from check_rows.companions(engine)
    yield from check_rows.unfinished(engine, settings)
    yield from check_rows.pending(engine)
    yield from check_files.spool(engine, settings)
    yield from check_files.inboxes(settings)
    yield from check_files.sorted_files(engine, settings, list(moved))


def _database(engine: Engine) -> Iterator[Problem]:
    try:
        check_damage(engine)
    except DatabaseUnavailable:
        raise
    except DatabaseError as error:
        yield Problem("database", os.fsencode(engine.url.database or ""), None, f"is damaged: {error}")


def _folders(settings: Settings) -> Iterator[Problem]:
    def stays(folder: Path) -> bool:
        return folder in settings.inboxes and settings.action_of(folder) != "move"

    if moved := moved_away(settings.state):
        yield Problem("folder", os.fsencode(settings.state), None, moved)
    for folder in (*settings.inboxes, settings.sorted, settings.state, settings.spool, settings.reports):
        path = os.fsencode(folder)
        if not os.path.isdir(path):
            yield Problem("folder", path, None, "is missing; mount its disk, or make it")
        elif not os.access(path, os.R_OK | os.X_OK | (0 if stays(folder) else os.W_OK)):
            written = "" if stays(folder) else " and written"
            message = f"cannot be read{written} by this user; change its permissions"
            yield Problem("folder", path, None, message)
    for path in check_files.class_folders(settings):
        if not is_folder(path):
            message = "is a link, so nothing is filed into it; replace it by a folder"
            yield Problem("folder", path, None, message)
