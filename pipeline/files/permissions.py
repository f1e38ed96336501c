"""Limit which users may read Pawsort's own files: database, spool, heartbeat, reports.

They contain file names, and photos being processed. Photos keep their modes, and the inboxes and the folders
in `sorted` get modes by the umask of the process, as from any program.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.settings.config import Settings
from pipeline.settings.sections import Permissions

MASKS: dict[Permissions, int] = {"private": 0o077, "group": 0o027}
"""Mode bits that none of Pawsort's own files and folders has."""

_COMMANDS: dict[Permissions, str] = {"private": "go=", "group": "g=rX,o="}

_OWNER, _GROUP, _MASK, _OTHER = 0x01, 0x04, 0x10, 0x20  # tags of the entries of an access list

_umasks: list[tuple[int, int]] = []
"""For each active `limited`: the umask before it, and the one it set."""


@contextmanager
def limited(permissions: Permissions) -> Iterator[None]:
    """Apply the setting to all files that this process and its children make inside the context.

    Uses the umask, so that it applies to files of libraries, such as SQLite's, too.
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


def own_mode(mode: int = 0o666) -> int:
    """Return the mode with which to make one of Pawsort's own files, `mode` within `limited`.

    In a folder with a default ACL the kernel ignores the umask, but not the mode that a file is made with.
    """
    return mode & ~(_umasks[-1][1] if _umasks else 0)


def own_opener(path: str, flags: int) -> int:
    """Open one of Pawsort's own files for `open`, which makes it with `own_mode`."""
    return os.open(path, flags, own_mode())


def make_folder(folder: Path) -> None:
    """Make one of Pawsort's own folders with the mode that `limited` allows; an existing one keeps its mode.

    Raises OSError, FileExistsError if a file has its name.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    # A default ACL of its parent applied instead of the umask. Network shares may have no modes.
    with suppress(OSError):
        folder.chmod(own_mode(_mode(folder)))


def as_usual(path: bytes | str | Path, mode: int) -> None:
    """Set the mode of a new file or folder to the one that `mode` gives without `limited`."""
    if not _umasks:
        return
    usual, limit = _umasks[0][0], _umasks[-1][1]
    # Network shares may have no modes.
    with suppress(OSError):
        found = stat.S_IMODE(os.lstat(path).st_mode)
        if found & 0o777 == mode & ~limit:
            allowed = _default_acl(os.path.dirname(path) or os.curdir)
            os.chmod(path, found | (mode & (~usual if allowed is None else allowed)))


def _default_acl(folder: bytes | str) -> int | None:
    """Return the mode bits that the default ACL of a folder allows what is made in it; None without one.

    It applies instead of the umask. Source: acl(5), and the kernel's include/uapi/linux/posix_acl_xattr.h.
    """
    try:
        listed = os.getxattr(folder, "system.posix_acl_default")
    except OSError:
        return None
    bits: dict[int, int] = {tag: allowed for tag, allowed, _ in struct.iter_unpack("<HHI", listed[4:])}
    group = bits.get(_MASK, bits[_GROUP])  # the mask limits the group, and all users who are named
    return bits[_OWNER] << 6 | group << 3 | bits[_OTHER]


def exposed(settings: Settings) -> list[str]:
    """Return a message for each of Pawsort's folders that more users may read than the setting allows.

    An existing folder keeps its mode, because its mode may be intended.
    """
    mask, command = MASKS.get(settings.permissions, 0), _COMMANDS.get(settings.permissions)
    return [
        f"{folder}: other users may read it (mode {mode:04o}); `chmod -R {command} {folder}` prevents that, "
        "where the disk keeps modes; to allow it, set `permissions: umask`"
        for folder in (settings.state, settings.reports)
        if (mode := _mode(folder)) & mask
    ]


def _mode(folder: Path) -> int:
    try:
        return stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return 0
