"""Make a backup: the database of one moment, the settings file, and what the state folder remembers."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from db.connection import snapshots
from db.connection.snapshots import Snapshot
from pipeline.backup import archive, remembered
from pipeline.backup.archive import Content, Scratch
from pipeline.backup.manifest import CONFIG, DATABASE, DatabaseCopy, Manifest, Member
from pipeline.errors import SettingsError, translated
from pipeline.settings.config import Settings
from pipeline.version import version


def make(
    settings: Settings,
    config: Path,
    path: Path,
    check: Callable[[], None] = lambda: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Manifest:
    """Write a backup to `path`, which must not exist, while a worker may be at work; return its manifest.

    `config` is the settings file. Calls `check` often, and passes on what it raises. Nothing is left if it
    fails. Raises SettingsError, DatabaseError, OSError, BackupDamagedError.
    """
    if os.path.lexists(path):
        raise archive.exists(path)
    if not path.parent.is_dir():
        raise SettingsError(f"{path.parent}: is no folder; make it, or name another place for the backup")
    scratch, began_at = Scratch(path), now()
    try:
        with translated():
            taken = snapshots.take(settings.database_url, scratch.database, check)
        contents: dict[str, Content] = {DATABASE: scratch.database, CONFIG: config.read_bytes()}
        contents |= remembered.contents(settings.state)
        return archive.write(scratch, contents, partial(_described, settings, taken, began_at), check)
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        # A write does not say where.
        raise OSError(error.errno, error.strerror, os.fspath(path.parent)) from error
    finally:
        scratch.clear()


def _described(settings: Settings, taken: Snapshot, at: datetime, members: dict[str, Member]) -> Manifest:
    folders = {name: [str(getattr(settings, name))] for name in ("sorted", "state", "reports")}
    return Manifest(
        pawsort=version(),
        began_at=at,
        folders={"inboxes": [str(inbox) for inbox in settings.inboxes], **folders},
        model=settings.model,
        database=DatabaseCopy.of(taken),
        files=members,
    )
