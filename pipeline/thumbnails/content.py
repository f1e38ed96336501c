"""Find the file that has the content of a row of `results`, as a folder and a path below it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from db.schema.file_names import unescape
from pipeline.files.links import target_of
from pipeline.settings.config import Settings


class Content(NamedTuple):
    """A file below a folder of the settings."""

    root: Path
    inside: bytes


def content_path(row: Mapping[str, Any]) -> bytes:
    """Return the path of a row's file, or of the original that its symbolic link names.

    `row` has `path`, `source_path`, `action` and `state`.
    """
    return behind(row, unescape(row["path"]), unescape(row["source_path"]))


def behind(row: Mapping[str, Any], path: bytes, original: bytes) -> bytes:
    """Return `path`, of a row's photo or companion, or the `original` if it is the link made of that."""
    is_link = row["action"] == "symlink" and row["state"] != "undone"
    with contextlib.suppress(OSError):  # it is gone: so says who opens it
        return original if is_link and target_of(path) == original else path
    return path


def photo_folders(settings: Settings) -> tuple[Path, ...]:
    """Return the folders of the settings that contain photos."""
    return (settings.sorted, settings.spool, *settings.inboxes)


def below(folders: Iterable[Path], path: bytes) -> Content | None:
    """Return the folder that contains a path, and the path below it; None if none does."""
    for root in folders:
        inside = os.path.relpath(path, os.fsencode(root))
        if not inside.startswith(b"../") and inside not in (b".", b".."):
            return Content(root, inside)
    return None
