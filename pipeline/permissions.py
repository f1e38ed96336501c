"""Who else may read what Pawsort makes for itself: database, spool, signs of life, reports.

They hold names of files, and photos on their way. Photos keep their own modes wherever they go, and the
folders in which the user looks for them, the inboxes and all under `sorted`, get modes by the umask of the
process, as they would from any program.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.config import Permissions, Settings

MASKS: dict[Permissions, int] = {"private": 0o077, "group": 0o027}
"""Bits that no file or folder of Pawsort's own has."""

_COMMANDS: dict[Permissions, str] = {"private": "go=", "group": "g=rX,o="}

_umasks: list[tuple[int, int]] = []
"""For each `limited` that is entered: the umask before it, and the one it set."""


@contextmanager
def limited(permissions: Permissions) -> Iterator[None]:
    """Make all that this process and its children make from now on as private as the setting says.

    By the umask, so that what libraries make, such as SQLite's files, is held to it too.
    """
    if permissions not in MASKS:
        yield
        return
    mask = MASKS[permissions]
    _umasks.append((os.umask(mask), mask))
    try:
        yield
    finally:
        os.umask(_umasks.pop()[0])


def as_usual(path: bytes | str | Path, mode: int) -> None:
    """Give a file or folder that was just made with `mode` the mode that it would have without `limited`."""
    if not _umasks:
        return
    usual, limit = _umasks[0][0], _umasks[-1][1]
    # Shares may know no modes.
    with suppress(OSError):
        found = stat.S_IMODE(os.lstat(path).st_mode)
        # Where the folder around it has a default ACL, that decides and not the umask.
        if found & 0o777 == mode & ~limit:
            os.chmod(path, found | (mode & ~usual))


def exposed(settings: Settings) -> list[str]:
    """Say of each folder of Pawsort's own how others than the setting names may read it, and what to do.

    A folder that is there keeps its mode: who made it may have meant it.
    """
    mask, command = MASKS.get(settings.permissions, 0), _COMMANDS.get(settings.permissions)
    return [
        f"{folder}: others may read it (mode {mode:04o}); `chmod -R {command} {folder}` stops that, "
        "`permissions: umask` in the settings means it"
        for folder in (settings.state, settings.reports)
        if (mode := _mode(folder)) & mask
    ]


def _mode(folder: Path) -> int:
    try:
        return stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return 0
