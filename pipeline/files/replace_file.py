"""Replace a file atomically: readers see either the old content or the new."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.files.folders import sync_folders
from pipeline.files.in_progress import create_in, remove_abandoned


def replace_file(
    path: Path, pieces: Iterable[bytes], *, durable: bool = True, mode: int | None = None
) -> None:
    """Write `pieces` to a temporary file in the same folder, then rename it to `path`.

    With `durable` that also holds when the power fails. The temporary file is removed if anything fails, also
    if `pieces` raises. The file has the mode of all that Pawsort makes for itself, unless `mode` says
    another. Several processes, also of several machines, may write the same file: the last one stays. Raises
    OSError.
    """
    remove_abandoned(path.parent.glob(f".{glob.escape(path.name)}.*.tmp"))
    temporary, file = create_in(path.parent, f".{path.name}.", ".tmp")
    try:
        with file:
            for piece in pieces:
                file.write(piece)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            temporary.replace(path)  # before the lock ends
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folders([os.fsencode(path.parent)])
