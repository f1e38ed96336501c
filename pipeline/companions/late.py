"""Companions that arrive after their photo was taken: they follow it to where it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from db.ledger.ledger import Entry, Ledger
from db.schema.records import SettledFile
from pipeline.companions import moving, rules
from pipeline.errors import LockError
from pipeline.files import moves
from pipeline.files.safe_open import reached

log = logging.getLogger(__name__)

ALONE = "belongs to a photo that is not here; stays until that comes"
TAKEN = "belongs to a photo that is filed, beside which another file has its name; stays here"
WAITS = ""  # its photo is on its way, or was put back by `undo`, which the log says of that

Lock = Callable[[], AbstractContextManager[None]]


class LateInbox(Protocol):
    """The inbox of a file."""

    def forget(self, file: SettledFile) -> None:
        """Drop a file that was moved."""

    def postpone(self, file: SettledFile, why: str) -> None:
        """Leave a file alone for a while; log the reason once."""


class LateCompanions:
    """Move companions beside photos that were taken before. `lock` keeps commands from moving these."""

    def __init__(self, ledger: Ledger, lock: Lock) -> None:
        self._ledger = ledger
        self._lock = lock

    def leaves(self, file: SettledFile, inbox: LateInbox) -> bool:
        """Return whether a settled file is to be taken as a file of its own.

        A sidecar never is; a RAW or a video is, unless it belongs to a photo that was taken. Raises
        OSError, DatabaseError.
        """
        name = os.path.basename(file.source)
        of = rules.kind(name)
        if of in ("picture", "other"):
            return True
        photo = self._photo_of(file, name)
        if photo is None:
            if of == "sidecar":
                inbox.postpone(file, ALONE)
            return of != "sidecar"
        if file.action is not None:  # it stays, as its photo does
            inbox.postpone(file, WAITS)
            return False
        folder = os.path.dirname(file.source)
        for each in (name, *file.companions):  # a RAW has its own sidecars with it
            member = replace(file, source=os.path.join(folder, each), companions=())
            why = self._follow(member, each, photo)
            if why is None:
                inbox.forget(member)
            else:
                inbox.postpone(member, why)
        return False

    def _photo_of(self, file: SettledFile, name: bytes) -> Entry | None:
        """Return the newest row of a photo from the same folder that `name` belongs to."""
        folder = os.path.join(os.path.dirname(file.source), b"")
        names = list(dict.fromkeys(rules.candidates(name)))
        found = self._ledger.arrived_as(file.inbox, folder, names, rules.beginnings(name))
        by_name = {os.path.basename(entry.source): entry for entry in found}  # the newest is last
        beside = {each for entry in by_name.values() for each in entry.companion_names}
        return by_name.get(rules.photo_of(name, by_name.keys() | beside))

    def _follow(self, file: SettledFile, name: bytes, photo: Entry) -> str | None:
        """Move a companion beside its photo; return None, or why it was not moved."""
        try:
            with self._lock():
                [photo] = self._ledger.entries([photo.id]) or [photo]
                if photo.state != "filed" or any(m.file_id == photo.id for m in self._ledger.pending_moves()):
                    return WAITS
                return self._move(file, name, photo)
        except LockError:
            return WAITS

    def _move(self, file: SettledFile, name: bytes, photo: Entry) -> str | None:
        """Record the companion, then move it: the row tells where it is if this is interrupted."""
        assert photo.path is not None
        arrived, before = os.path.basename(photo.source), photo.companion_names
        [goal] = moving.beside(photo.path, arrived, [name])
        is_known, is_there = name in before, os.path.lexists(goal)
        after = tuple(sorted({*before, name}))
        if rules.distinct(arrived, after) != after or (is_there and not (is_known and _is_copy(goal, file))):
            return TAKEN
        if not is_known:
            self._ledger.set_companions(photo.id, after)
        try:
            with reached(os.fsencode(file.inbox), file.source) as path:
                moves.resume(path, goal, None) if is_there else moves.move(path, goal)
        except OSError as error:
            if not is_known:
                self._ledger.set_companions(photo.id, before)
            return TAKEN if isinstance(error, FileExistsError) else f"cannot be moved: {error.strerror}"
        moves.sync_folders([os.path.dirname(goal), os.path.dirname(file.path)])
        log.info("%a follows its photo to %a", os.fsdecode(file.path), os.fsdecode(goal))
        return None


def _is_copy(goal: bytes, file: SettledFile) -> bool:
    """Return whether a move to another file system was interrupted before the original was removed.

    Only such a move leaves both. A sidecar that is delivered again, though alike, is another file.
    """
    device, _, size, mtime_ns = moves.identity(goal)
    return device != file.dev and (size, mtime_ns) == (file.bytes, file.mtime_ns)
