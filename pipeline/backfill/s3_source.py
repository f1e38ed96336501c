"""Photos in S3, or in a store that speaks like it."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.backfill.storage import s3_connection
from pipeline.backfill.storage.s3_connection import SCHEME, connected, in_attempts
from pipeline.backfill.storage.s3_staging import Staging
from pipeline.backfill.tree import Found, Listed, Tree
from pipeline.errors import PawsortError
from pipeline.files.permissions import own_opener

log = logging.getLogger(__name__)

_SECOND = 1_000_000_000


class S3Source(Tree):
    """All photos below a prefix: `s3://BUCKET/PREFIX[?endpoint=URL&region=NAME&anonymous=true]`.

    Objects above `largest` bytes are not fetched: an empty file of their size stands for them. Raises
    SettingsError for another text.
    """

    fetches = 8

    def __init__(
        self, text: str, ignore: Sequence[str] = (), *, together: bool = True, largest: int | None = None
    ) -> None:
        self.address = s3_connection.address(text)
        self._top = self.address.top
        self.name = str(self.address)
        super().__init__(os.fsencode(f"{SCHEME}{self._top}"), ignore, together)
        self._largest = largest
        self._staged = Staging()

    def list(self) -> Iterator[Listed]:
        """Yield each photo, in the order of the bytes of its key. Raises PawsortError."""
        try:
            self.check()
        except OSError as error:
            raise PawsortError(f"{self.name}: cannot be listed: {error.strerror or error}") from error
        yield from super().list()

    def entries(self, folder: bytes) -> Sequence[Found]:
        """Return the objects and the folders in a folder of the prefix. Raises OSError."""
        from pyarrow import fs

        found: list[Found] = []
        for info in self._connected().get_file_info(fs.FileSelector(self._key(folder.rstrip(b"/")))):
            name = os.fsencode(info.base_name)
            if name in (b"", b".", b".."):
                log.warning("%s: left out, as no file can have this name", info.path)
            elif info.type is fs.FileType.Directory:
                found.append((name, None))
            elif info.type is fs.FileType.File:
                found.append((name, Listed(name, info.size, info.mtime_ns // _SECOND * _SECOND)))
        return found

    def local(self, listed: Listed, staging: Path) -> bytes:
        """Return the path of a new file with the photo, in memory or in `staging`; of no file if it is gone.

        Raises OSError where the store does not answer, or refuses.
        """
        path = self._staged.new_path(listed.bytes, staging)
        try:
            if self._largest is not None and listed.bytes > self._largest:
                os.truncate(path, listed.bytes)
            else:
                self.fetch(listed.path, path)
        except FileNotFoundError:
            path.unlink(missing_ok=True)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return os.fsencode(path)

    def fetch(self, path: bytes, target: Path) -> None:
        """Write the object at `path`, relative to the prefix, into the file `target`, with its time.

        It is tried again as `in_attempts` does. Raises FileNotFoundError if it is gone, and OSError.
        """
        key = self._key(path)
        in_attempts(lambda: self._fetch(key, target), key)

    def _fetch(self, key: str, target: Path) -> None:
        with self._connected().open_input_stream(key, buffer_size=0) as stream:
            known = {name.lower(): value for name, value in stream.metadata().items()}
            size = left = int(known["content-length"])
            with open(target, "wb", opener=own_opener) as file:
                while left and (piece := stream.read(min(left, s3_connection.PIECE_BYTES))):
                    file.write(piece)
                    left -= len(piece)
        if left:
            raise OSError(errno.EIO, f"ended after {size - left} of {size} bytes")
        moment = datetime.fromisoformat(known["last-modified"].decode()).astimezone(UTC)
        seconds = int(moment.timestamp())
        os.utime(target, ns=(seconds * _SECOND, seconds * _SECOND))

    def check(self) -> None:
        """Raise OSError if the prefix cannot be reached or has no object.

        Also removes what was fetched before.
        """
        from pyarrow import fs

        self._staged.clear()
        if self._connected().get_file_info(self._top).type is fs.FileType.NotFound:
            raise OSError(errno.ENOENT, "there is no object below it", self.name)

    def _key(self, path: bytes) -> str:
        return os.path.join(self._top, os.fsdecode(path)).rstrip("/")

    def _connected(self) -> Any:
        return connected(self.address.query)


@contextmanager
def fetched_into(folder: Path, source: str) -> Iterator[Callable[[Listed], None]]:
    """Yield what fetches a photo to its place in a folder; afterwards, empty folders in it are removed.

    The folder itself stays: an undo puts photos back into the inbox of their rows only where it is there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield _S3Folder(source, folder).fetch
    finally:
        for inside, folders, _ in os.walk(folder, topdown=False):
            for name in folders:
                with suppress(OSError):
                    os.rmdir(os.path.join(inside, name))


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
