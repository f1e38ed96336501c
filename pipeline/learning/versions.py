"""Versions of the configured model: which there are, which is in force, and the way back.

    state/models/NAME/      NAME is the name of the configured bundle, the base, which is version 0
        1/  2/  ...         learnt bundles, called NAME@1, NAME@2 and so on, each with its learnt.json
        in_force.json       the version in force and those before it; without it, the base is in force
        refused.json        the version in force that the worker could not use, if so
    last_version        the highest number that was ever given

A version was learnt from one base. With another base, other settings or a newer Pawsort, it is not used.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from models.bundle import bundle as bundles
from models.bundle.bundle import Bundle
from models.errors import DatasetError
from models.labels import check_folders
from pipeline.errors import ModelError, SettingsError, translated
from pipeline.files.exclusive_lock import exclusive
from pipeline.files.permissions import limited, make_folder
from pipeline.files.replace_file import replace_file
from pipeline.learning import refusal
from pipeline.learning.record import DamagedRecord, Record
from pipeline.settings.config import Settings

log = logging.getLogger(__name__)

FOLDER = "models"  # in the state folder
IN_FORCE = "in_force.json"
LEARNT = "learnt.json"
LAST = "last_version"
LOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the configured model; `number` is 0 for the base."""

    number: int
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Family:
    """The base, the SHA-256 of its weights, and the `folder` of the versions learnt from it."""

    base: Version
    sha256: str
    folder: Path

    @property
    def record_path(self) -> Path:
        """The file that names the version in force."""
        return self.folder / IN_FORCE

    def version(self, number: int) -> Version:
        """Return the version of a number, which need not exist."""
        if number == 0:
            return self.base
        return Version(number, f"{self.base.name}@{number}", self.folder / str(number))

    def numbers(self) -> list[int]:
        """Return the numbers of the learnt versions, ascending."""
        with suppress(FileNotFoundError):
            return sorted(int(name) for name in os.listdir(self.folder) if _is_number(name))
        return []


def has_versions(settings: Settings) -> bool:
    """Return whether any model of this installation may have learnt versions."""
    return (settings.state / FOLDER).is_dir()


def family(settings: Settings, base: Bundle | None = None) -> Family:
    """Return the base that the settings name and the folder of its versions.

    Its manifest alone is read, unless `base` is given. Raises ModelError.
    """
    path = bundles.locate(settings.model, settings.base)
    with translated():
        manifest = base.manifest if base else bundles.read_manifest(path)
    folder = settings.state / FOLDER / _plain(manifest.name)
    return Family(Version(0, manifest.name, path), manifest.weights.sha256, folder)


def in_force(settings: Settings) -> Path:
    """Return the folder of the bundle in force. Raises ModelError for a base without a readable manifest."""
    if not has_versions(settings):
        return bundles.locate(settings.model, settings.base)
    return chain_or_base(family(settings))[0].path


def chain(known: Family) -> list[Version]:
    """Return the version in force, then those in force before it, the latest first, and the base at last.

    A version whose bundle cannot be used is replaced by the next. Those learnt from another base are left
    out, and named once in the log. Raises DamagedRecord, and OSError if the record cannot be read now.
    """
    record = Record.read(known.record_path)
    found: list[Version] = []
    for number in reversed(record.stack()):
        version = known.version(number)
        if number == 0:
            break
        if problem := foreign(known, version, record.base_of(number)):
            warn_once(f"{version.path}: {problem}; it is not used")
        elif version not in found:
            found.append(version)
    return [*found, known.base]


def chain_or_base(known: Family) -> list[Version]:
    """Return `chain`; the base alone, with a warning, where the record cannot be read."""
    try:
        return chain(known)
    except (DamagedRecord, OSError) as error:
        why = str(error) if isinstance(error, DamagedRecord) else f"{known.record_path}: {error.strerror}"
        warn_once(f"{why}; {known.base.name} itself is used")
        return [known.base]


def foreign(known: Family, version: Version, recorded: str | None = None) -> str | None:
    """Return a problem if a version was learnt from another base than the present one, None if not.

    `recorded` is the SHA-256 of the base at its promotion, which counts where `learnt.json` names none.
    """
    sha256 = learnt(version).get("base_sha256") or recorded
    if version.number == 0 or sha256 in (None, known.sha256):
        return None
    return f"was learnt from a {known.base.name} with other weights ({str(sha256)[:12]}...); learn again"


def learnt(version: Version) -> dict[str, Any]:
    """Return what `learnt.json` says of a version, nothing if it cannot be read."""
    try:
        found = json.loads((version.path / LEARNT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def next_version(settings: Settings) -> int:
    """Return the number for a new version and note it, so that no number is ever used twice.

    Makes the folder `state/models/NAME`, in which the version is to be written. Raises ModelError, OSError.
    """
    known = family(settings)
    with limited(settings.permissions), _locked(settings, known):
        before = Record.numbers_in(known.record_path) | {*known.numbers(), _last(known)}
        number = max(before, default=0) + 1
        replace_file(known.folder / LAST, [str(number).encode()])
    return number


def promote(
    settings: Settings, number: int, by: str, why: str = "promoted", seen: int | None = None
) -> Version:
    """Put a version in force, 0 for the base, after checking its files; a worker changes to it by itself.

    `seen` is the version in force that this was decided on. Raises SettingsError if there is no such version,
    ModelError if it cannot be used, NoLongerInForce if `seen` is not in force any more, LockError.
    """
    known = family(settings)
    version = known.version(number)
    if number and number not in known.numbers():
        there = ", ".join(map(str, [0, *known.numbers()]))
        raise SettingsError(f"{number}: no such version of {known.base.name}; there are: {there}")
    check(known, version)
    with limited(settings.permissions), _locked(settings, known):
        record = _record_or_new(known)
        record.expect(seen)
        refused = refusal.read(known.folder)
        is_refused = refused is not None and refused.version == number  # the worker tries it again at once
        if number != record.version or is_refused or foreign(known, version, record.base_of(number)):
            record = record.promoted(number, _now(), by, why, known.sha256)
            replace_file(known.record_path, [record.as_json()])
    return version


def rollback(settings: Settings, by: str, why: str = "rolled back", seen: int | None = None) -> Version:
    """Put the version that was in force before the present one in force again; return it.

    Versions that cannot be used any more are passed over; `seen` as in `promote`. Raises SettingsError if
    there was none before, NoLongerInForce, LockError.
    """
    known = family(settings)
    with limited(settings.permissions), _locked(settings, known):
        record = _record_or_new(known)
        record.expect(seen)
        before = record.stack()[:-1]
        if not before:
            raise SettingsError(
                f"{known.base.name}: no other version was in force before; nothing to roll back"
            )
        number = next((n for n in reversed(before) if _can_be_used(known, n)), 0)
        record = record.rolled_back(number, _now(), by, why, known.sha256)
        replace_file(known.record_path, [record.as_json()])
    return known.version(number)


def check(known: Family, version: Version) -> None:
    """Raise ModelError if the files of a version are damaged, or if it is none of this base."""
    if problem := foreign(known, version):
        raise ModelError(f"{version.path}: {problem}")
    with translated():
        bundle = bundles.load(version.path)
    if bundle.name != version.name:
        raise ModelError(f"{version.path}: its name is {bundle.name}, expected {version.name}")
    if not bundle.folders:
        raise ModelError(f"{version.path}: it labels photos and has no folders to file them in")
    try:
        check_folders(bundle.folders)
    except DatasetError as error:
        raise ModelError(f"{version.path}: {error}") from error


def _can_be_used(known: Family, number: int) -> bool:
    try:
        check(known, known.version(number))
    except ModelError:
        return False
    return True


@contextmanager
def _locked(settings: Settings, known: Family) -> Iterator[None]:
    """Make the folder of versions, and allow one change of them at a time. Raises LockError."""
    settings.state.parent.mkdir(parents=True, exist_ok=True)
    for folder in (settings.state, known.folder.parent, known.folder):
        make_folder(folder)
    problem = f"{known.folder}: another command is changing the model; try again later"
    with exclusive(known.folder / ".lock", LOCK_SECONDS, problem):
        yield


def _record_or_new(known: Family) -> Record:
    """Read the record; a damaged one is replaced, since its history is lost."""
    try:
        return Record.read(known.record_path)
    except DamagedRecord as error:
        log.warning("%s; it is written anew", error)
        return Record()


def _last(known: Family) -> int:
    try:
        return int((known.folder / LAST).read_bytes())
    except (OSError, ValueError):
        return 0


def _plain(name: str) -> str:
    """Return the name of a model as that of a folder."""
    plain = name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    return f"%2E{plain[1:]}" if plain.startswith(".") else plain


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and not name.startswith("0")


def _now() -> datetime:
    return datetime.now(UTC)


@cache
def warn_once(message: str) -> None:
    """Log a warning, once in this process."""
    log.warning("%s", message)
