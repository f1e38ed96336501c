"""Detect remote file systems: inotify reports only what this machine writes."""

from __future__ import annotations

import os
import re

_REMOTE = re.compile(
    r"nfs4?|cifs|smb3?|smbfs|ncpfs|afs|ceph|lustre|gpfs|beegfs|9p|virtiofs|vboxsf|vmhgfs|prl_fs|drvfs|fakeowner"
    r"|fuse\..+|orangefs|ocfs2|gfs2"
)


def remote_kind(path: bytes) -> str | None:
    """Return the kind of file system, such as "nfs4", if other machines can write to it; else None.

    None too if the kernel does not report it. Source: proc_pid_mountinfo(5).
    """
    device = os.stat(path).st_dev
    wanted = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            kinds = [line.partition(b" - ")[2].split()[0] for line in mounts if line.split()[2] == wanted]
    except (OSError, IndexError):
        return None
    kind = os.fsdecode(kinds[0]) if kinds else ""
    return kind if _REMOTE.fullmatch(kind) else None
