"""The files of a run: below a folder on a disk, or below a prefix of S3.

A file appears whole under its name, or not at all, whenever its writer ends.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from models import regular_files
from pipeline.backfill.storage.s3_connection import (
    PIECE_BYTES,
    SCHEME,
    Address,
    address,
    connected,
    in_attempts,
)
from pipeline.files.folders import sync_folders
from pipeline.files.permissions import own_opener

AT_ONCE = 16
"""Files of a run on S3 that are read at once, as each takes several round trips."""

MOST_PHOTOS = 400_000
"""Photos of lists or results that are in memory at once."""

_UNFINISHED = (".part-*.tmp", ".run.json.*.tmp")


@dataclass(frozen=True, slots=True)
class S3Path:
    """An object, or all below a prefix, with the methods of `Path` that a run needs; it can be pickled.

    The methods raise FileNotFoundError, and OSError once several attempts have failed.
    """

    address: Address

    def __str__(self) -> str:
        return str(self.address)

    def __truediv__(self, name: str) -> S3Path:
        return S3Path(self.address._replace(top=f"{self.address.top}/{name}"))

    @property
    def name(self) -> str:
        """The last part of its key."""
        return self.address.top.rpartition("/")[2]

    def absolute(self) -> S3Path:
        """Return itself."""
        return self

    def read_bytes(self, last: int | None = None) -> bytes:
        """Return the content, or the `last` bytes of it."""
        content: bytes = self._in_attempts(partial(_read, last=last))
        return content

    def write_bytes(self, content: Any) -> None:
        """Write the object, which has the new content once all of it has arrived, and never a part of it."""
        self._in_attempts(partial(_write, content=content))

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        try:
            self._in_attempts(_delete)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def names(self) -> list[str]:
        """Return the names of the objects and prefixes below it; none if there is nothing."""
        found: list[str] = self._in_attempts(_names)
        return found

    def _in_attempts(self, call: Any) -> Any:
        system, key = connected(self.address.query), self.address.top
        return in_attempts(partial(call, system, key), key)


RunPath = Path | S3Path
"""The folder of a run, or a file in it."""


def run_path(text: str) -> RunPath:
    """Return the folder of a run: s3://BUCKET/PREFIX, or a folder. Raises SettingsError."""
    return S3Path(address(text)) if text.startswith(SCHEME) else Path(text)


def names(folder: RunPath) -> list[str]:
    """Return the names in a folder. Raises OSError."""
    return os.listdir(folder) if isinstance(folder, Path) else folder.names()


def at_once(run: RunPath, photos: int = 1) -> int:
    """Return how many files, with so many photos to keep of each, to read at once, as `ahead` takes it."""
    return 0 if isinstance(run, Path) else max(1, min(AT_ONCE, MOST_PHOTOS // photos))


def read_small(path: RunPath, most: int) -> bytes:
    """Return the content of a file of at most so many bytes. Raises OSError."""
    return regular_files.read(path, most) if isinstance(path, Path) else path.read_bytes()


def readable(path: RunPath, last: int | None = None) -> Any:
    """Return what PyArrow can read a file from, or the `last` bytes of it. Raises OSError."""
    return path if isinstance(path, Path) else io.BytesIO(path.read_bytes(last))


def write_whole(path: RunPath, content: Any) -> None:
    """Write a file in place of any before; it has its name once it is whole and stored. Raises OSError."""
    if not isinstance(path, Path):
        path.write_bytes(content)
        return
    # A process number would not do in place of the random one: another machine may have the same.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb", opener=own_opener) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folders([os.fsencode(path.parent)])


def is_unfinished(name: str) -> bool:
    """Return whether a file is one that `write_whole` had not finished when its process was killed."""
    return any(fnmatchcase(name, pattern) for pattern in _UNFINISHED)


def remove_unfinished(folder: RunPath) -> None:
    """Remove what killed processes left in a folder, once none is written any more. Raises OSError."""
    for name in filter(is_unfinished, names(folder)):
        (folder / name).unlink(missing_ok=True)


def _read(system: Any, key: str, last: int | None) -> bytes:
    with system.open_input_file(key) as file:
        size = file.size()
        first = 0 if last is None else max(0, size - last)
        content = b"".join(_pieces(file, first, size))
    if len(content) < size - first:
        raise OSError(errno.EIO, f"ended after {first + len(content)} of {size} bytes")
    return content


def _pieces(file: Any, first: int, size: int) -> Iterator[bytes]:
    for at in range(first, size, PIECE_BYTES):
        yield file.read_at(min(PIECE_BYTES, size - at), at)


def _write(system: Any, key: str, content: Any) -> None:
    # Without `with`: after an error it would store what has arrived until then.
    stream = system.open_output_stream(key)
    stream.write(content)
    stream.close()


def _delete(system: Any, key: str) -> None:
    system.delete_file(key)


def _names(system: Any, key: str) -> list[str]:
    from pyarrow import fs

    found = system.get_file_info(fs.FileSelector(key, allow_not_found=True))
    return [info.base_name for info in found]
