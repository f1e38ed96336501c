"""Replace a file atomically: readers see either the old content or the new."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from pipeline.files.folders import sync_folders
from pipeline.files.permissions import own_opener
from pipeline.processes import is_running


def replace_file(
    path: Path, pieces: Iterable[bytes], *, durable: bool = True, mode: int | None = None
) -> None:
    """Write `pieces` to a temporary file in the same folder, then rename it to `path`.

    With `durable` that also holds when the power fails. The temporary file is removed if anything fails, also
    if `pieces` raises. The file has the mode of all that Pawsort makes for itself, unless `mode` says
    another. Raises OSError.
    """
    _remove_abandoned(path)
    temporary = _create(path)
    try:
        with temporary.open("r+b") as file:
            for piece in pieces:
                file.write(piece)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folders([os.fsencode(path.parent)])


def _create(path: Path) -> Path:
    """Make an empty file beside `path`, in place of anything of its name, and without following a link.

    Where all users may write, as in /tmp, another user's file or link may have the name and not be removable.
    """
    plain = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        plain.unlink(missing_ok=True)
        _make(plain)
        return plain
    except (PermissionError, FileExistsError, IsADirectoryError):
        other = path.with_name(f".{path.name}.{secrets.token_hex(8)}.{os.getpid()}.tmp")
        _make(other)
        return other


def _make(path: Path) -> None:
    with open(path, "xb", opener=own_opener):
        pass


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of killed processes, but no file that another process still writes."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        process = left.name.split(".")[-2]
        if process.isdigit() and not is_running(int(process)):
            with contextlib.suppress(OSError):  # gone, or another user's
                left.unlink()
