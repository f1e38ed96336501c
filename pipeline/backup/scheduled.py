"""Back up each night into a folder, and keep a number of backups there.

The names in the folder say when the last one was made, so that nothing else is stored; a file gets such a
name only once it is verified.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

from db.connection.engine import outdated
from pipeline.backup.make import make
from pipeline.errors import DatabaseError, translated
from pipeline.reports.calendar_days import next_due_at
from pipeline.settings import overlapping_folders
from pipeline.settings.config import Settings, places

log = logging.getLogger(__name__)

NICENESS = 19
"""Lowest priority: classifying goes first."""

_NAME = re.compile(r"pawsort-(\d{8}-\d{6})\.zip")
_MOMENT = "%Y%m%d-%H%M%S"


def name_at(moment: datetime, before: str = "") -> str:
    """Return the name of a backup of a moment; with `before` one that no schedule deletes."""
    return f"pawsort-{f'before-{before}-' if before else ''}{moment.astimezone(UTC):{_MOMENT}}.zip"


def backups_in(folder: Path) -> list[tuple[datetime, Path]]:
    """Return the scheduled backups of a folder with their moments, the oldest first. Raises OSError."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        if match := _NAME.fullmatch(name):
            with suppress(ValueError):  # digits that are no time: another program's file
                found.append((datetime.strptime(match[1], _MOMENT).replace(tzinfo=UTC), folder / name))
    return sorted(found)


def prune(folder: Path, keep: int, made: Path) -> list[Path]:
    """Delete the oldest scheduled backups but `keep`, never the one just made. Raises OSError."""
    others = [path for _, path in backups_in(folder) if path != made]
    gone = others[: max(0, len(others) + 1 - keep)]
    for path in gone:
        path.unlink()
    return gone


def into_folder(
    settings: Settings,
    config: Path,
    moment: datetime,
    before: str = "",
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Make a backup in the folder of the settings, which is made if it is missing; return its path.

    Raises SettingsError, DatabaseError, OSError, BackupDamagedError.
    """
    folder = settings.backups
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # if it is a file, `make` says so
        folder.mkdir(mode=0o700)
    make(settings, config, path := folder / name_at(moment, before), check, lambda: moment)
    return path


def before_upgrade(settings: Settings, config: Path) -> Path | None:
    """Back up a database that is about to be migrated; return the path, None if it needs no migration.

    No schedule deletes such a backup. Raises DatabaseError, which says how to do without; SettingsError,
    OSError, BackupDamagedError.
    """
    with translated():
        revision = outdated(settings.database_url)
    if revision is None:
        return None
    if not settings.backup.model_fields_set:  # else the settings were checked so
        overlapping_folders.check([*places(settings), ("backup.folder", settings.backups)])
    try:
        return into_folder(settings, config, datetime.now(UTC), before=f"upgrade-{revision}")
    except (DatabaseError, OSError) as error:
        why = str(error)
        if isinstance(error, OSError):
            why = f"{settings.backups}: {error.strerror or error}."
        advice = "Nothing was changed. To migrate without a backup: `pawsort db upgrade --no-backup`."
        raise DatabaseError(f"{why} {advice}") from error


@dataclass(frozen=True, slots=True)
class BackupWriter:
    """Nightly work: make the scheduled backups, in a thread of their own; see `nightly.schedule`."""

    settings: Settings
    config: Path
    at: time

    def run_due(self, now: datetime, check: Callable[[], None]) -> None:
        """Make a backup if the time for one has come since the last; then delete the oldest ones.

        Raises as `into_folder`.
        """
        last = max((at for at, _ in backups_in(self.settings.backups) if at <= now), default=None)
        if last is not None and next_due_at(last, self.at, self.settings.report.zone) > now:
            return
        _lower_priority()
        made = into_folder(self.settings, self.config, now, check=check)
        gone = prune(self.settings.backups, self.settings.backup.keep, made)
        log.info("backup %s is made and verified; %d older ones deleted", made, len(gone))


def _lower_priority() -> None:
    """Let all other threads go first; on Linux a priority is that of one thread."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
