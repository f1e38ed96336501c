"""Find and open the files of rows of `results`, which must lie in a folder of the settings.

A link is followed only where Pawsort made it, and only to the original that it was made of. Paths are bytes.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from db.schema.file_names import escape, unescape
from pipeline.companions.moving import beside
from pipeline.files.links import target_of
from pipeline.files.safe_open import Opened, opened
from pipeline.settings.config import Settings

Row = Mapping[str, Any]

PIECE_BYTES = 256 * 1024

_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}


class Content(NamedTuple):
    """A file below a folder of the settings."""

    root: Path
    inside: bytes


def content_of(row: Row) -> bytes:
    """Return the path of a row's file, or of the original that its symbolic link names."""
    return _behind(unescape(row["path"]), unescape(row["source_path"]), row)


def _behind(path: bytes, original: bytes, row: Row) -> bytes:
    is_link = row["action"] == "symlink" and row["state"] != "undone"
    with contextlib.suppress(OSError):  # it is gone: so says who opens it
        return original if is_link and target_of(path) == original else path
    return path


def companions_of(row: Row) -> list[tuple[bytes, bytes]]:
    """Return the name with which each companion of a row's photo arrived, and the path of its content."""
    if not row["companions"] or row["path"] is None:
        return []
    names, source = list(map(unescape, row["companions"])), unescape(row["source_path"])
    here = beside(unescape(row["path"]), os.path.basename(source), names)
    folder = os.path.dirname(source)
    return [
        (name, _behind(path, os.path.join(folder, name), row)) for name, path in zip(names, here, strict=True)
    ]


def below(settings: Settings, path: bytes) -> Content | None:
    """Return the folder of the settings that contains a path, and the path below it; None if none does."""
    for root in (settings.sorted, settings.spool, *settings.inboxes):
        inside = os.path.relpath(path, os.fsencode(root))
        if not inside.startswith(b"../") and inside not in (b".", b".."):
            return Content(root, inside)
    return None


@contextmanager
def opened_content(settings: Settings, path: bytes) -> Iterator[Opened]:
    """Open a regular file in a folder of the settings without following links. Raises OSError."""
    found = below(settings, path)
    if found is None:
        raise PermissionError(errno.EACCES, "is not in a folder of the settings", os.fsdecode(path))
    with opened(*found) as file:
        yield file


def problem_of(settings: Settings, row: Row) -> str | None:
    """Return why the file of a row cannot be read, None if it can."""
    if row["path"] is None:
        return "it waits in the inbox"
    try:
        with opened_content(settings, content_of(row)):
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
