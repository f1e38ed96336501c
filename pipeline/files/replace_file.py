"""Replace a file atomically: readers see either the old content or the new."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.files.folders import sync_folders
from pipeline.processes import is_running


def replace_file(path: Path, pieces: Iterable[bytes], *, durable: bool = True) -> None:
    """Write `pieces` to a temporary file in the same folder, then rename it to `path`.

    With `durable` that also holds when the power fails. The temporary file is removed if anything fails, also
    if `pieces` raises. Raises OSError.
    """
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folders([os.fsencode(path.parent)])


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of killed processes, but no file that another process still writes."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        process = left.name.split(".")[-2]
        if process.isdigit() and not is_running(int(process)):
            left.unlink(missing_ok=True)
