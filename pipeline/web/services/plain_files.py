"""Opening a file in a folder of ours whose name is known: neither a link nor a pipe leads anywhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def open_plain(folder: Path, name: str) -> tuple[int, int] | None:
    """Return a descriptor of the regular file `name` in `folder` and its size; None for anything else."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return None
    return descriptor, status.st_size
