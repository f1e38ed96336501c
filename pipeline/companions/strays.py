"""Companions in the spool whose photo is not on its way any more: put them beside it."""

from __future__ import annotations

import logging
import os

from db.schema.records import Entry
from pipeline.companions import moving
from pipeline.files import moves

log = logging.getLogger(__name__)


def photo_in_spool(name: bytes) -> bytes:
    """Return the photo to which a file in the spool belongs, by name: itself unless a companion."""
    return name.partition(moving.MARK)[0]


def put_beside(path: bytes, entry: Entry) -> bool:
    """Move a companion in the spool to its photo, which is filed or in its inbox; return whether it is there.

    `entry` is the row of the photo. A power cut can undo a rename that was committed.
    """
    arrived = os.path.basename(entry.source)
    spool = os.path.join(os.path.dirname(path), os.fsencode(entry.spool_name))
    for name in entry.companion_names:
        if moving.spooled(spool, name) != path:
            continue
        photo = entry.path or os.path.join(os.fsencode(entry.inbox), entry.source)
        [goal] = moving.beside(photo, arrived, [name])
        log.warning("%a was left in the spool; moving it to its photo", os.fsdecode(goal))
        try:
            moves.resume(path, goal, _target(path, entry, name))
        except OSError as error:
            log.error("%a cannot be moved there: %s", os.fsdecode(goal), error.strerror)
        else:
            return True
    return False


def _target(path: bytes, entry: Entry, name: bytes) -> bytes | None:
    """Return what a companion in the spool must name if it is a symbolic link; None if it is a file."""
    return moving.targets(entry.target, [name])[-1] if entry.target and os.path.islink(path) else None
