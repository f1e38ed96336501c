"""Restore a backup into a place where nothing of it exists. Nothing is ever overwritten.

The whole backup is verified first. The database is put in place last, so that without it a restore was not
finished; then the same command goes on, since files that are there as they are in the backup are kept.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import zipfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from db.connection import snapshots
from db.connection.engine import upgrade
from pipeline.backup import archive
from pipeline.backup.manifest import CONFIG, DATABASE, STATE, Manifest
from pipeline.errors import BackupDamagedError, SettingsError, translated
from pipeline.files.folders import sync_folders
from pipeline.files.permissions import limited, make_folder, own_mode
from pipeline.files.renames import rename
from pipeline.settings import config
from pipeline.settings.config import Settings
from pipeline.worker.locks import worker_lock


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: the settings that it works with, the manifest, and whether it was migrated."""

    settings: Settings
    manifest: Manifest
    migrated: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backup is to be restored: the settings of that place, and the files to write, by member."""

    settings: Settings
    targets: dict[str, Path]


def restore(path: Path, settings_file: Path, into: Path | None) -> Restored:
    """Restore the backup `path`: with `into`, with its own settings into that folder, else where
    `settings_file` says.

    Raises BackupDamagedError; SettingsError if something is there already; DatabaseError, LockError, OSError.
    """
    manifest = archive.verified(path)
    with translated():
        snapshots.refuse_unknown(manifest.database.revision)
    with archive.opened(path) as (members, now):
        if now != manifest:
            raise BackupDamagedError(f"{path}: was changed while it was read; try again")
        place = _place(members, manifest, settings_file, into)
        settings = place.settings
        with ExitStack() as stack:
            stack.enter_context(translated())
            stack.enter_context(limited(settings.permissions))
            _refuse_occupied(manifest, place)
            settings.state.parent.mkdir(parents=True, exist_ok=True)
            make_folder(settings.state)
            stack.enter_context(worker_lock(settings))
            _refuse_occupied(manifest, place)
            _write_files(members, manifest, place)
            _write_database(members, manifest, settings)
            if migrated := not snapshots.is_newest(manifest.database.revision):
                upgrade(settings.database_url, own_mode(0o644))
    return Restored(settings, manifest, migrated)


def _place(members: zipfile.ZipFile, manifest: Manifest, settings_file: Path, into: Path | None) -> Place:
    settings = config.load(settings_file) if into is None else _own_settings(members, manifest, into)
    if (kind := snapshots.kind_of(settings.database_url)) != manifest.database.kind:
        raise SettingsError(
            f"database: the backup is of {manifest.database.kind}, and the settings name one of {kind}; "
            "name a database of the same kind"
        )
    targets = {name: settings.state / name[len(STATE) :] for name in manifest.files if name.startswith(STATE)}
    if into is not None:
        targets[CONFIG] = Path(os.path.abspath(into)) / config.FILE_NAME
    return Place(settings, targets)


def _own_settings(members: zipfile.ZipFile, manifest: Manifest, into: Path) -> Settings:
    """Return the settings of the backup as they are in the folder `into`, which is made."""
    into.mkdir(parents=True, exist_ok=True)
    # Beside their place, as relative paths start at the folder of the file.
    with tempfile.TemporaryDirectory(prefix=".pawsort-restore-", dir=into) as folder:
        file = Path(folder) / config.FILE_NAME
        archive.extract(members, CONFIG, file, manifest.files[CONFIG])
        return config.load(file, base=Path(os.path.abspath(into)))


def _refuse_occupied(manifest: Manifest, place: Place) -> None:
    """Raise SettingsError if anything would be overwritten; files with the same content may stay."""
    there = snapshots.occupied(place.settings.database_url)
    if there and manifest.database.kind != "sqlite":
        raise SettingsError(
            f"{there[0]}: has tables already, and a restore overwrites nothing; make an empty database on "
            "the server, and name it by PAWSORT_DATABASE, then by `database` in the settings"
        )
    there += [
        str(target)
        for name, target in place.targets.items()
        if os.path.lexists(target) and not _is_same(target, manifest.files[name].sha256)
    ]
    if there:
        more = f" and {len(there) - 5} more" if len(there) > 5 else ""
        raise SettingsError(
            f"{', '.join(there[:5])}{more}: exists already, and a restore overwrites nothing; move it away, "
            "or restore into an empty folder with --into"
        )


def _is_same(path: Path, sha256: str) -> bool:
    try:
        return not path.is_symlink() and archive.sha256_of(path) == sha256
    except OSError:
        return False


def _write_files(members: zipfile.ZipFile, manifest: Manifest, place: Place) -> None:
    """Write all but the database, each durably under a temporary name that is then renamed."""
    for name, target in sorted(place.targets.items()):
        _make_folders(target.parent)
        if os.path.lexists(target):
            continue  # the same content, of a restore that was cut off
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.restored")
        try:
            archive.extract(members, name, partial, manifest.files[name])
            rename(os.fsencode(partial), os.fsencode(target))
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
    sync_folders({os.fsencode(target.parent) for target in place.targets.values()})


def _make_folders(folder: Path) -> None:
    if not folder.is_dir():
        _make_folders(folder.parent)
        make_folder(folder)


def _write_database(members: zipfile.ZipFile, manifest: Manifest, settings: Settings) -> None:
    for left in settings.state.glob(".restore-*"):  # of a restore that was killed; the state folder is locked
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=settings.state) as folder:
        copy = Path(folder) / "database"
        archive.extract(members, DATABASE, copy, manifest.files[DATABASE])
        snapshots.put(settings.database_url, copy, manifest.database.snapshot, own_mode(0o644))
