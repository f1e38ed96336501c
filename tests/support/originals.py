"""What must be the same of originals before and after."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple


class State(NamedTuple):
    """A file or folder of a tree, but for its times of reading and of changes of its inode."""

    content: bytes | None
    mode: int
    owner: tuple[int, int]
    inode: tuple[int, int]
    mtime_ns: int


def state_of(folder: Path) -> dict[str, State]:
    """Return everything in a folder by its path."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = os.lstat(path)
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        owner, inode = (status.st_uid, status.st_gid), (status.st_dev, status.st_ino)
        found[str(path.relative_to(folder))] = State(
            content, status.st_mode, owner, inode, status.st_mtime_ns
        )
    return found
