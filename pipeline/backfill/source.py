"""Where the photos of a backfill are: list them once, and open each later."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from pipeline.backfill.s3_source import S3Source
from pipeline.backfill.tree import Found, Tree
from pipeline.backfill.tree import Listed as Listed
from pipeline.files.folders import open_any
from pipeline.files.safe_open import open_below

_ENOUGH = 10


def is_away(missing: int, photos: int) -> bool:
    """Return whether all photos of a part are missing, and so many that rather a disk is not mounted."""
    return missing == photos >= _ENOUGH


class Source(Protocol):
    """A folder, or a prefix of S3.

    `fetches` is how many photos are fetched at once, each into a file of its own, which the caller removes; 0
    where they are read in their place.
    """

    fetches: int

    @property
    def name(self) -> str:
        """The source as `open_source` takes it, absolute."""

    def list(self) -> Iterator[Listed]:
        """Yield each photo, in the order of the bytes of its path.

        Raises PawsortError where a part of the source cannot be listed: a list is whole, or there is none.
        """

    def local(self, listed: Listed, staging: Path) -> bytes:
        """Return the absolute path of a file with the photo; what is fetched may be put into `staging`.

        Raises OSError where it cannot be fetched. A file of the source itself need not exist.
        """

    def check(self) -> None:
        """Raise OSError if the source cannot be reached now."""


def open_source(
    text: str, ignore: Sequence[str] = (), *, companions: bool = True, largest: int | None = None
) -> Source:
    """Return the source of a name: a folder, or s3://BUCKET/PREFIX. Raises SettingsError.

    `ignore` are patterns of files to leave out; with `companions`, files that belong to a photo are listed
    with it. Objects above `largest` bytes are not fetched.
    """
    if text.startswith("s3://"):
        return S3Source(text, ignore, together=companions, largest=largest)
    return FolderSource(os.fsencode(text), ignore, together=companions)


class FolderSource(Tree):
    """All photos below a folder, which may be on a network share; no link below it is followed."""

    fetches = 0

    def __init__(self, folder: bytes, ignore: Sequence[str] = (), *, together: bool = True) -> None:
        super().__init__(os.path.realpath(folder), ignore, together)

    @property
    def name(self) -> str:
        """Its absolute path."""
        return os.fsdecode(self._root)

    def entries(self, folder: bytes) -> Sequence[Found]:
        """Return the regular files and the folders in a folder. Raises OSError."""
        return _entries(self._root, folder)

    def local(self, listed: Listed, staging: Path) -> bytes:
        """Return the path of the photo itself."""
        del staging
        return os.path.join(self._root, listed.path)

    def check(self) -> None:
        """Raise OSError if the folder is missing, cannot be listed, or is empty: its disk is not mounted."""
        with os.scandir(self._root) as entries:
            if next(entries, None) is None:
                raise OSError(errno.ENOENT, "is empty; is its disk not mounted?", self._root)


def _entries(top: bytes, folder: bytes) -> Sequence[Found]:
    descriptor = open_below(open_any(top), folder.rstrip(b"/"))
    try:
        with os.scandir(descriptor) as entries:
            return [pair for entry in entries for pair in _entry(entry)]
    finally:
        os.close(descriptor)


def _entry(entry: os.DirEntry[str]) -> Iterator[Found]:
    name = os.fsencode(entry.name)
    try:
        if entry.is_dir(follow_symlinks=False):
            yield name, None
        elif entry.is_file(follow_symlinks=False):
            status = entry.stat(follow_symlinks=False)
            yield name, Listed(name, status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        return  # it was removed meanwhile
