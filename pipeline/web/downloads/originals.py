"""Find and open the files of rows of `results`, which must lie in a folder of the settings.

A link is followed only where Pawsort made it, and only to the original that it was made of. Paths are bytes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from db.schema.file_names import escape, unescape
from pipeline.companions.moving import beside
from pipeline.files.safe_open import Opened, opened
from pipeline.settings.config import Settings
from pipeline.thumbnails.content import behind, below, content_path, photo_folders

Row = Mapping[str, Any]

PIECE_BYTES = 256 * 1024

_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}


def companions_of(row: Row) -> list[tuple[bytes, bytes]]:
    """Return the name with which each companion of a row's photo arrived, and the path of its content."""
    if not row["companions"] or row["path"] is None:
        return []
    names, source = list(map(unescape, row["companions"])), unescape(row["source_path"])
    here = beside(unescape(row["path"]), os.path.basename(source), names)
    folder = os.path.dirname(source)
    return [
        (name, behind(row, path, os.path.join(folder, name))) for name, path in zip(names, here, strict=True)
    ]


@contextmanager
def opened_content(settings: Settings, path: bytes) -> Iterator[Opened]:
    """Open a regular file in a folder of the settings without following links. Raises OSError."""
    found = below(photo_folders(settings), path)
    if found is None:
        raise PermissionError(errno.EACCES, "is not in a folder of the settings", os.fsdecode(path))
    with opened(*found) as file:
        yield file


def problem_of(settings: Settings, row: Row) -> str | None:
    """Return why the file of a row cannot be read, None if it can."""
    if row["path"] is None:
        return "it waits in the inbox"
    try:
        with opened_content(settings, content_path(row)):
            return None
    except OSError as error:
        return why(error)


def why(error: OSError) -> str:
    """Return in words why a file cannot be read."""
    return "it is gone" if error.errno in _GONE else error.strerror or str(error)


def readable(path: bytes) -> str:
    """Return a path as people type it; in its escaped form if it is not UTF-8."""
    try:
        return path.decode()
    except UnicodeDecodeError:
        return escape(path)
