"""The file of a backup: a zip file with a manifest, written beside its place, verified, then renamed.

Zip and not tar, because its list of members stands at the end, so that a file that was cut off is noticed.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from pipeline.backup import manifest as manifests
from pipeline.backup.manifest import Manifest, Member
from pipeline.errors import BackupDamagedError, SettingsError
from pipeline.files.folders import sync_folders
from pipeline.files.in_progress import create_in, remove_abandoned
from pipeline.files.renames import rename

Content = Path | bytes
"""A file to read, or the content itself."""

_MARK, _ZIP, _COPY = ".pawsort-backup.", ".zip", ".database"

_PIECE = 1 << 20
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError)


class Scratch:
    """Two files beside `path`: `archive`, which becomes the backup, and `database`, not made yet.

    The archive is locked until the end, so that no other process takes the two for what a killed one left.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        remove_abandoned(path.parent.glob(f".*{_MARK}*{_ZIP}"))
        for copy in path.parent.glob(f".*{_MARK}*{_COPY}"):
            if not copy.with_name(copy.name.removesuffix(_COPY) + _ZIP).exists():
                with suppress(OSError):  # gone, or another user's
                    copy.unlink()
        self.archive, self.file = create_in(path.parent, f".{path.name}{_MARK}", _ZIP, 0o600)
        self.database = self.archive.with_name(self.archive.name.removesuffix(_ZIP) + _COPY)

    def clear(self) -> None:
        """Delete what there is of both."""
        with self.file:
            for file in (self.database, self.archive):
                with suppress(FileNotFoundError):
                    file.unlink()


def write(
    scratch: Scratch,
    contents: Mapping[str, Content],
    describe: Callable[[dict[str, Member]], Manifest],
    check: Callable[[], None] = lambda: None,
) -> Manifest:
    """Write a backup to the path of `scratch`, where nothing may be, and verify it before it gets that name.

    Only this user may read it. `describe` makes the manifest of the members; `check` is called often and may
    raise. Raises SettingsError if there is something at `path`; OSError, BackupDamagedError.
    """
    path, file, members = scratch.path, scratch.file, {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in contents.items():
            members[name] = _add(archive, name, content, check)
        manifest = describe(members)
        archive.writestr(_info(manifests.NAME), manifest.model_dump_json(indent=2))
    file.flush()
    os.fsync(file.fileno())
    if verified(scratch.archive, check) != manifest:
        raise BackupDamagedError(f"{path}: its manifest was not written as it should be; check the disk")
    try:
        rename(os.fsencode(scratch.archive), os.fsencode(path))
    except FileExistsError:
        raise exists(path) from None
    sync_folders([os.fsencode(path.parent)])
    return manifest


def exists(path: Path) -> SettingsError:
    """Return the error that says that there is something at the place of a backup."""
    return SettingsError(f"{path}: exists already; name another file, or a folder, in which a name is chosen")


def verified(path: Path, check: Callable[[], None] = lambda: None) -> Manifest:
    """Read a whole backup and compare each member with the manifest, which is returned.

    Raises BackupDamagedError, OSError.
    """
    with opened(path) as (archive, manifest):
        for name, expected in manifest.files.items():
            with _said(path), archive.open(name) as member:
                found = _measured(_pieces(member), check)
            if found != expected:
                raise BackupDamagedError(
                    f"{path}: is damaged: {name} is not what was written; use another one"
                )
    return manifest


@contextmanager
def opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    """Open a backup and read its manifest. Raises BackupDamagedError, OSError."""
    with _said(path):
        archive = zipfile.ZipFile(path)
    with archive:
        with _said(path):
            if archive.getinfo(manifests.NAME).file_size > manifests.LARGEST:
                raise BackupDamagedError(f"{path}: is no backup: its manifest is too large")
            text = archive.read(manifests.NAME)
        try:
            manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            why = "; ".join(str(each["msg"]) for each in error.errors()[:3])
            raise BackupDamagedError(
                f"{path}: its manifest is not one of this version of Pawsort: {why}"
            ) from error
        yield archive, manifest


def extract(archive: zipfile.ZipFile, name: str, target: Path, expected: Member) -> None:
    """Write a member to the new file `target`, durably; raises BackupDamagedError if it is another one."""
    with archive.open(name) as member, open(target, "xb", opener=_private) as file:
        found = _measured(_copied(member, file), lambda: None)
        file.flush()
        os.fsync(file.fileno())
    if found != expected:
        raise BackupDamagedError(f"{target}: was not written as it is in the backup; check the disk")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(archive: zipfile.ZipFile, name: str, content: Content, check: Callable[[], None]) -> Member:
    opened = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
    with opened as source, archive.open(_info(name), "w", force_zip64=True) as member:
        return _measured(_copied(source, member), check)


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece


def _copied(source: IO[bytes], target: IO[bytes]) -> Iterator[bytes]:
    for piece in _pieces(source):
        target.write(piece)
        yield piece


def _measured(pieces: Iterator[bytes], check: Callable[[], None]) -> Member:
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        check()
        digest.update(piece)
        size += len(piece)
    return Member(bytes=size, sha256=digest.hexdigest())


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, datetime.now().timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except _ZIP_ERRORS as error:
        raise BackupDamagedError(
            f"{path}: is no backup of Pawsort, or a damaged one ({error}); use another one"
        ) from error
