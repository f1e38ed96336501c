"""The files of the state folder that a backup holds beside the database.

Learnt models that are in force or may be rolled back to, the own threshold, the alarms of drift and the ends
of sessions. All else there is made again: heartbeat, locks, thumbnails, inodes of folders. Photos in the
spool are photos, and no backup holds any.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.backup.archive import Content
from pipeline.backup.manifest import STATE
from pipeline.learning import versions
from pipeline.learning.diary import FILE_NAME as DIARY
from pipeline.learning.record import DamagedRecord, Record

SINGLE = ("worker.json", "own_threshold.json", "drift.json", "signed_out.json")
OF_MODEL = (versions.IN_FORCE, versions.LAST, DIARY)


def contents(state: Path) -> dict[str, Content]:
    """Return, by the name of its member, each file to back up. Raises OSError."""
    found: dict[str, Content] = {
        f"{STATE}{name}": state / name for name in SINGLE if (state / name).is_file()
    }
    models = state / versions.FOLDER
    for folder in sorted(models.iterdir()) if models.is_dir() else ():
        if folder.is_dir():
            found |= {_member(state, path): content for path, content in _of_model(folder)}
    return found


def _of_model(folder: Path) -> Iterator[tuple[Path, Content]]:
    """Yield the files of one model's versions: what says which is in force, read once, and these versions."""
    for name in OF_MODEL:
        if (folder / name).is_file():
            # Its content as it is now, so that the versions that it names are those that are read.
            yield folder / name, (folder / name).read_bytes()
    try:
        wanted = set(Record.read(folder / versions.IN_FORCE).stack())
    except DamagedRecord:
        wanted = {int(name) for name in os.listdir(folder) if name.isdigit()}
    for number in sorted(wanted - {0}):
        for path in sorted((folder / str(number)).rglob("*")):
            if path.is_file():
                yield path, path


def _member(state: Path, path: Path) -> str:
    return STATE + path.relative_to(state).as_posix()
