"""Companions that arrive after their photo was taken: they follow it to where it is.

Where originals stay, a copy of the companion, or a link to it, is put beside what was made of the photo.
"""

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
from pipeline.companions.beside import is_companion
from pipeline.errors import LockError
from pipeline.files import moves
from pipeline.files.safe_open import reached

log = logging.getLogger(__name__)

ALONE = "belongs to a photo that is not here; stays until that comes"
TAKEN = "belongs to a photo that is filed, beside which another file has its name; stays here"
WAITS = ""  # its photo is on its way, or was put back by `undo`, which the log says of that

Lock = Callable[[], AbstractContextManager[None]]


class Taking(Protocol):
    """Makes companions of originals that stay."""

    def put_beside(self, action: str, inbox: bytes, source: bytes, goal: bytes) -> bool:
        """Make a companion at `goal`; return False if that is another file. Raises OSError."""

    def taken(self, inbox: str, source: bytes) -> None:
        """Remember a companion that was taken, or that stays for good."""


class LateInbox(Protocol):
    """The inbox of a file."""

    def forget(self, file: SettledFile) -> None:
        """Drop a file that was moved."""

    def postpone(self, file: SettledFile, why: str) -> None:
        """Leave a file alone for a while; log the reason once."""


class LateCompanions:
    """Bring companions to photos that were taken before. `lock` keeps commands from moving these.

    `taking` is needed where originals stay.
    """

    def __init__(self, ledger: Ledger, lock: Lock, taking: Taking | None = None) -> None:
        self._ledger = ledger
        self._lock = lock
        self._taking = taking
        self._alone: dict[int, int] = {}  # how many claims there had been when no photo was found
        self._claims = 0

    def claimed(self) -> None:
        """Look again for the photos of companions that had none, since files were claimed."""
        self._claims += 1

    def leaves(self, file: SettledFile, inbox: LateInbox) -> bool:
        """Return whether a settled file is to be taken as a file of its own.

        A sidecar never is; a RAW or a video is, unless it belongs to a photo that was taken. Raises
        OSError, DatabaseError.
        """
        name = os.path.basename(file.source)
        of = rules.kind(name)
        if of in ("picture", "other"):
            return True
        key = hash((file.inbox, file.source))
        photo = None if self._alone.get(key) == self._claims else self._photo_of(file, name)
        if photo is None:
            if of == "sidecar":
                self._alone[key] = self._claims
                inbox.postpone(file, ALONE)
            elif file.action is not None and is_companion(file.path):
                inbox.postpone(file, WAITS)  # what was made of its photo was deleted
                return False
            return of != "sidecar"
        if file.action is None and _is_in_inbox(file, photo):
            inbox.postpone(file, WAITS)  # it belongs to the new one, to which no scan has come yet
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
                if photo.action != file.action:  # the settings named another one when the photo came
                    return WAITS
                return self._make(file, name, photo) if file.action else self._move(file, name, photo)
        except LockError:
            return WAITS

    def _make(self, file: SettledFile, name: bytes, photo: Entry) -> str | None:
        """Make the companion, then record it: what is not in the row is offered again after a kill."""
        assert photo.path is not None and file.action is not None and self._taking is not None
        arrived, after = os.path.basename(photo.source), tuple(sorted({*photo.companion_names, name}))
        [goal] = moving.beside(photo.path, arrived, [name])
        if rules.distinct(arrived, after) != after:
            return TAKEN
        try:
            if not self._taking.put_beside(file.action, os.fsencode(file.inbox), file.source, goal):
                return TAKEN
            moves.sync_folders([os.path.dirname(goal)])
        except OSError as error:
            return TAKEN if isinstance(error, FileExistsError) else f"cannot be taken: {error.strerror}"
        self._ledger.set_companions(photo.id, after)
        self._taking.taken(file.inbox, file.source)
        log.info("%a follows its photo to %a", os.fsdecode(file.path), os.fsdecode(goal))
        return None

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


def _is_in_inbox(file: SettledFile, photo: Entry) -> bool:
    """Return whether another file has come to where the photo of a companion was."""
    again = os.path.join(os.path.dirname(file.path), os.path.basename(photo.source))
    return os.path.isfile(again) and not os.path.islink(again)


def _is_copy(goal: bytes, file: SettledFile) -> bool:
    """Return whether a move to another file system was interrupted before the original was removed.

    Only such a move leaves both. A sidecar that is delivered again, though alike, is another file.
    """
    device, _, size, mtime_ns = moves.identity(goal)
    return device != file.dev and (size, mtime_ns) == (file.bytes, file.mtime_ns)
