"""Companions of originals that stay: taken by the same action as their photo, and removed with it.

What was made of a companion is known by its original: a link that names it, another name of the same file,
or a file of the same content. Nothing else is removed. Paths are absolute and bytes.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Sequence

from db.schema.records import Entry
from pipeline.companions import moving
from pipeline.files import moves
from pipeline.files.folders import SYSTEM_ERRNOS
from pipeline.files.links import target_of
from pipeline.originals.taking import take

log = logging.getLogger(__name__)


def bring_in(
    action: str, inbox: bytes, source: bytes, spool: bytes, companions: Sequence[bytes]
) -> tuple[bytes, ...]:
    """Make the companions of a photo in the spool, where it is already. Idempotent; none is durable yet.

    Returns the names of those that are in the spool now: one that is gone, that cannot be linked or that its
    folder refuses is left out. Raises OSError for an error of every file.
    """
    folder = os.path.dirname(source)
    return tuple(
        name
        for name in companions
        if _bring_in(action, inbox, os.path.join(folder, name), moving.spooled(spool, name))
    )


def _bring_in(action: str, inbox: bytes, source: bytes, target: bytes) -> bool:
    try:
        # An earlier try may have been interrupted before its copy was durable.
        if os.path.lexists(target) and _is_file(os.path.join(inbox, source)):
            os.unlink(target)
        if not os.path.lexists(target):
            take(action, inbox, source, target)
    except moves.FolderError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        if error.errno in SYSTEM_ERRNOS - {errno.EROFS}:
            raise
        name = os.fsdecode(os.path.join(inbox, source))
        log.warning("%a cannot be taken with its photo: %s", name, error.strerror)
    return os.path.lexists(target)


def put_beside(action: str, inbox: bytes, source: bytes, goal: bytes) -> bool:
    """Make a companion at `goal`, durably once its folder is synced; return False if that is another file.

    Idempotent. Raises OSError, after which nothing was made.
    """
    if not os.path.lexists(goal):
        take(action, inbox, source, goal, durable=True)
    return is_made(action, goal, os.path.join(inbox, source))


def discard(action: str, inbox: bytes, source: bytes, spool: bytes, companions: Sequence[bytes]) -> None:
    """Remove what was made in the spool of the companions of a photo that is not taken after all.

    Raises OSError.
    """
    folder = os.path.join(inbox, os.path.dirname(source))
    for name in companions:
        path = moving.spooled(spool, name)
        if os.path.lexists(path) and is_made(action, path, os.path.join(folder, name)):
            os.unlink(path)


def unmake(action: str, inbox: bytes, source: bytes, spool: bytes, companions: Sequence[bytes]) -> bool:
    """Remove what was made in the spool of a photo and its companions; return whether it was removed.

    Nothing is, if an original is not as it was: this may be the only copy then. Idempotent. Raises OSError.
    """
    folder = os.path.join(inbox, os.path.dirname(source))
    pairs = [(moving.spooled(spool, name), os.path.join(folder, name)) for name in companions]
    pairs = [pair for pair in [*pairs, (spool, os.path.join(inbox, source))] if os.path.lexists(pair[0])]
    if not all(is_made(action, path, original) for path, original in pairs):
        return False
    for path, _ in pairs:  # the photo last: while it is there, an interrupted removal is done again
        os.unlink(path)
    return True


def discard_stray(path: bytes, entry: Entry) -> bool:
    """Remove a companion in the spool that a row does not need there; return whether it was removed.

    It lies beside its photo already, or the photo was undone. Raises OSError.
    """
    assert entry.action is not None
    inbox, folder = os.fsencode(entry.inbox), os.path.dirname(entry.source)
    spool = os.path.join(os.path.dirname(path), os.fsencode(entry.spool_name))
    for name in entry.companion_names:
        original = os.path.join(inbox, folder, name)
        if moving.spooled(spool, name) == path and is_made(entry.action, path, original):
            os.unlink(path)
            return True
    return False


def is_made(action: str, path: bytes, original: bytes) -> bool:
    """Return whether the file or link at `path` is what `action` makes of an original, as that is now.

    To remove it loses nothing. Raises OSError if it cannot be read.
    """
    if action == "symlink" and target_of(path) == original:
        return True
    if not (_is_file(path) and _is_file(original)):
        return False
    if action == "hardlink" and os.path.samefile(path, original):
        return True
    return moves.identity(path)[2] == moves.identity(original)[2] and (
        moves.sha256(path) == moves.sha256(original)
    )


def _is_file(path: bytes) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
