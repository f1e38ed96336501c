"""Where the photos of a backfill are: list them once, and open each later."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from db.schema.file_names import RawName
from pipeline.companions.names import NameIndex
from pipeline.companions.rules import kind
from pipeline.errors import PawsortError, SettingsError
from pipeline.files.folders import open_any
from pipeline.files.safe_open import open_below
from pipeline.watch.ignore_rules import ignorer


class Listed(NamedTuple):
    """A photo as it was listed: its path relative to the source, and the version seen.

    `etag` is the version of an object in S3, which has `mtime_ns` too; None in a folder. `companions` are the
    names of the files beside it that belong to it.
    """

    path: RawName
    bytes: int
    mtime_ns: int
    etag: str | None = None
    companions: tuple[RawName, ...] = ()


class Source(Protocol):
    """A folder, or a prefix of S3."""

    @property
    def name(self) -> str:
        """The source as `open_source` takes it, absolute."""

    def list(self) -> Iterator[Listed]:
        """Yield each photo, in the order of the bytes of its path.

        Raises PawsortError where a part of the source cannot be listed: a list is whole, or there is none.
        """

    def local(self, listed: Listed, staging: Path) -> bytes:
        """Return the absolute path of a file with the photo; what has to be fetched is put into `staging`.

        Raises OSError where it cannot be fetched. A file of the source itself need not exist.
        """

    def check(self) -> None:
        """Raise OSError if the source cannot be reached now."""


def open_source(text: str, ignore: Sequence[str] = (), *, companions: bool = True) -> Source:
    """Return the source of a name: a folder. Raises SettingsError.

    `ignore` are patterns of files to leave out; with `companions`, files that belong to a photo are listed
    with it.
    """
    if text.startswith("s3://"):
        raise SettingsError(f"{text}: S3 is not supported yet")
    return FolderSource(os.fsencode(text), ignore, together=companions)


class FolderSource:
    """All photos below a folder, which may be on a network share; no link below it is followed."""

    def __init__(self, folder: bytes, ignore: Sequence[str] = (), *, together: bool = True) -> None:
        self._folder = os.path.realpath(folder)
        self._ignored = ignorer(ignore, self._folder)
        self._together = together

    @property
    def name(self) -> str:
        """Its absolute path."""
        return os.fsdecode(self._folder)

    def list(self) -> Iterator[Listed]:
        """Yield each photo, in the order of the bytes of its path; memory grows with the largest folder.

        Raises PawsortError for a folder that cannot be listed.
        """
        yield from self._below(b"")

    def local(self, listed: Listed, staging: Path) -> bytes:
        """Return the path of the photo itself."""
        del staging
        return os.path.join(self._folder, listed.path)

    def check(self) -> None:
        """Raise OSError if the folder is missing, cannot be listed, or is empty: its disk is not mounted."""
        with os.scandir(self._folder) as entries:
            if next(entries, None) is None:
                raise OSError(errno.ENOENT, "is empty; is its disk not mounted?", self._folder)

    def _below(self, folder: bytes) -> Iterator[Listed]:
        try:
            found = _entries(self._folder, folder)
        except FileNotFoundError:
            return  # it was removed meanwhile
        except OSError as error:
            where = os.fsdecode(os.path.join(self._folder, folder))
            raise PawsortError(
                f"{where}: cannot be listed: {error.strerror}; make it readable, or name it in watch.ignore"
            ) from error
        wanted = [pair for pair in found if not self._ignored(folder + pair[0])]
        index = _index(wanted) if self._together else NameIndex()
        for name, listed in wanted:
            path = folder + name
            if listed is None:
                yield from self._below(path + b"/")
            elif not self._together:
                yield listed._replace(path=path)
            elif kind(name) != "sidecar" and not index.is_companion(name):
                yield listed._replace(path=path, companions=index.companions(name))


def _index(found: Sequence[tuple[bytes, Listed | None]]) -> NameIndex:
    index = NameIndex()
    for name, listed in found:
        if listed:
            index.add(name)
    return index


def _entries(top: bytes, folder: bytes) -> list[tuple[bytes, Listed | None]]:
    """Return name and version of each regular file in a folder, and the name of each folder with None.

    In the order of paths, in which the name of a folder ends with a slash.
    """
    descriptor = open_below(open_any(top), folder.rstrip(b"/"))
    try:
        with os.scandir(descriptor) as entries:
            found = [pair for entry in entries for pair in _entry(entry)]
    finally:
        os.close(descriptor)
    return sorted(found, key=_place)


def _entry(entry: os.DirEntry[str]) -> Iterator[tuple[bytes, Listed | None]]:
    name = os.fsencode(entry.name)
    try:
        if entry.is_dir(follow_symlinks=False):
            yield name, None
        elif entry.is_file(follow_symlinks=False):
            status = entry.stat(follow_symlinks=False)
            yield name, Listed(name, status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        return  # it was removed meanwhile


def _place(found: tuple[bytes, Listed | None]) -> bytes:
    name, listed = found
    return name if listed else name + b"/"
