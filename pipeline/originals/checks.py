"""Check before the start whether the file systems allow what the inboxes are to do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import SettingsError
from pipeline.settings.config import Settings

_SHARING = ("btrfs", "xfs", "bcachefs", "zfs", "ocfs2")
"""Kinds of file systems on which a copy can share the blocks of its original."""

_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mounted file system: where, and its kind, such as "ext4"."""

    point: bytes
    kind: str


def refuse_unlinkable(settings: Settings) -> None:
    """Raise SettingsError if an inbox is to be hard-linked from a file system of its own.

    The kernel links inside one mount only. An inbox that is missing is not checked: its disk may be mounted
    later, and each file that cannot be linked then is left in its place.
    """
    for inbox in _with_action(settings, "hardlink"):
        for name, folder in (("state", settings.state), ("sorted", settings.sorted)):
            if inbox.is_dir() and mount_of(inbox) != mount_of(folder):
                raise SettingsError(
                    f"inboxes: {inbox}: cannot be hard-linked: it is on another file system than {name} "
                    f"({folder}); choose `copy` or `symlink`, or put {name} on the same one"
                )


def notes(settings: Settings) -> list[str]:
    """Return text for each inbox whose copies take as much room again."""
    found = []
    for inbox in _with_action(settings, "copy"):
        here, there = mount_of(inbox), mount_of(settings.state)
        if here and there and here != there:
            why = f"it is on another file system than state ({settings.state})"
        elif here and here.kind not in _SHARING:
            why = f"{here.kind} cannot share the blocks of two files"
        else:
            continue
        found.append(f"{inbox}: copies take as much room as the originals: {why}")
    return found


def _with_action(settings: Settings, action: str) -> Iterator[Path]:
    return (inbox for inbox in settings.inboxes if settings.action_of(inbox) == action)


def mount_of(folder: Path) -> Mount | None:
    """Return the mount that a folder is in, or will be in once it is made; None if the kernel does not say.

    Source: proc_pid_mountinfo(5).
    """
    path = os.path.realpath(os.fsencode(folder))
    try:
        with open("/proc/self/mountinfo", "rb") as lines:
            mounts = [_parsed(line) for line in lines]
    except (OSError, IndexError):
        return None
    # The last of equal ones hides the others.
    around = [mount for mount in mounts if os.path.join(path, b"").startswith(os.path.join(mount.point, b""))]
    return max(reversed(around), key=lambda mount: len(mount.point), default=None)


def _parsed(line: bytes) -> Mount:
    point = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), line.split()[4])
    return Mount(point, os.fsdecode(line.partition(b" - ")[2].split()[0]))
