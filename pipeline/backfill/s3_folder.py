"""Fetch photos from S3 into a folder, from which `load --file` moves them as from an inbox."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.backfill.s3_source import S3Source
from pipeline.backfill.source import Listed


@contextmanager
def fetched_into(folder: Path, source: str) -> Iterator[Callable[[Listed], None]]:
    """Yield what fetches a photo to its place in a folder; afterwards, empty folders are removed."""
    folder.mkdir(exist_ok=True)
    try:
        yield _S3Folder(source, folder).fetch
    finally:
        for inside, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):
                os.rmdir(inside)


class _S3Folder:
    """A folder like the prefix of a source, as far as its photos are fetched."""

    def __init__(self, source: str, folder: Path) -> None:
        self._source, self._folder = S3Source(source), folder

    def fetch(self, photo: Listed) -> None:
        """Fetch a photo and its companions to their places, unless they are there as they were listed.

        Raises FileNotFoundError if it is gone, and OSError.
        """
        folder = os.path.dirname(photo.path)
        target = self._place(photo.path)
        if _is_there(target, photo):
            return
        for name in photo.companions:
            with suppress(FileNotFoundError):
                self._fetch(os.path.join(folder, name))
        self._fetch(photo.path)

    def _fetch(self, path: bytes) -> None:
        """Fetch beside its place and rename, so that a file that is there is whole."""
        target = self._place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".pawsort-{os.getpid()}.part")
        try:
            self._source.fetch(path, part)
            with open(part, "rb") as file:
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _place(self, path: bytes) -> Path:
        if not set(path.split(b"/")).isdisjoint((b"", b".", b"..")):
            raise PermissionError(errno.EPERM, "no file can have this name", os.fsdecode(path))
        return self._folder / os.fsdecode(path)


def _is_there(target: Path, photo: Listed) -> bool:
    try:
        found = target.stat()
    except FileNotFoundError:
        return False
    return (found.st_size, found.st_mtime_ns) == (photo.bytes, photo.mtime_ns)
