"""Carry out the requests that people on other machines sent to this worker, between its steps.

A request is held while it is carried out, and its end recorded afterwards. After a kill between the two it is
open still, and the file's next move shows that it was carried out.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic

from sqlalchemy import Engine

from db.connection.errors import DatabaseError
from db.ledger.ledger import Ledger, Move
from db.ledger.requests import HeldRequest, OpenRequest, held
from db.queries import listing
from db.queries.requests import has_one_owner
from pipeline.corrections import correct_undo_retry
from pipeline.corrections.correct_undo_retry import Known, moves_lock
from pipeline.corrections.own_folders import with_own_folders
from pipeline.corrections.recorded_move import Change
from pipeline.errors import LockError, PawsortError
from pipeline.settings.config import Settings
from pipeline.spot_checks import answer

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""How often the database is asked for requests."""

AT_ONCE_SECONDS = 0.2
"""How long requests may keep the worker from its next step; each takes some milliseconds."""

WAIT_SECONDS = 10.0
"""After an error of the database."""

_MOVES = {"correct": "correct", "undo": "undo", "retry": "undo"}


class RequestStep:
    """Carry out the open requests to the worker `id`, a few at a time; on SQLite there are none.

    `own` sees the files of this worker alone, `everyone` those of all. `folders` returns the folder of each
    label of the model in force.
    """

    def __init__(
        self,
        own: Engine,
        everyone: Engine,
        id: int,
        settings: Settings,
        folders: Callable[[], Mapping[str, str]],
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._on = not has_one_owner(own)
        self.idle = not self._on
        self._own = own
        self._everyone = everyone
        self._id = id
        self._settings = settings
        self._folders = folders
        self._clock = clock
        self._now = now
        self._ledger = Ledger(own, os.fsencode(settings.spool))
        self._resume_at = float("-inf")

    def advance(self) -> None:
        """Carry out the next requests; after an error of the database they are tried again later."""
        if not self._on or self._clock() < self._resume_at:
            return
        self.idle = False
        try:
            with moves_lock(self._settings, 0.0):
                pass  # else the worker would wait for a command that moves many files
            self.idle = self._carry_out_some()
        except LockError:
            return
        except DatabaseError as error:
            log.warning("requests are not carried out: %s; trying again in %d s", error, WAIT_SECONDS)
            self.idle, self._resume_at = True, self._clock() + WAIT_SECONDS
        else:
            self._resume_at = self._clock() + (POLL_SECONDS if self.idle else 0.0)

    def _carry_out_some(self) -> bool:
        """Carry out requests for a moment; return whether none is left that can be."""
        until, last = self._clock() + AT_ONCE_SECONDS, 0
        while True:
            with held(self._own, self._id, last) as found:
                if found is None:
                    return True
                self._carry_out(found)
                last = found.request.id
            if self._clock() >= until:
                return False

    def _carry_out(self, found: HeldRequest) -> None:
        request = found.request
        if self._is_done(request):
            found.finish()
            return
        try:
            problem = self._do(request).problem
        except LockError:
            raise
        except PawsortError as error:  # such as an unknown label
            problem = str(error)
        made = self._made_by(request)
        if made and made.done_at is None:
            return  # the disk did not confirm the move, which is finished later
        log.info("request %d of %s: %s", request.id, request.by, problem or "carried out")
        found.finish(problem)

    def _is_done(self, request: OpenRequest) -> bool:
        """Return whether a worker that was killed then has carried the request out."""
        made = self._made_by(request)
        if made and made.done_at is None:
            correct_undo_retry.recover_moves(self._own, self._settings)
            made = self._made_by(request)
        entries = self._ledger.entries([request.file_id])
        state = entries[0].state if entries else None
        if request.kind == "retry":
            sent = made is not None or self._version(request.file_id) == request.version
            return sent and state == "vanished"
        return made is not None and made.done_at is not None

    def _made_by(self, request: OpenRequest) -> Move | None:
        """Return the move that carried a request out: the first since, if it is as was asked."""
        later = [move for move in self._ledger.moves(request.file_id) if move.id > request.version][:1]
        for move in later:
            same = move.kind == _MOVES[request.kind] and move.by == request.by and move.via == request.via
            if same and (request.kind != "correct" or move.new_corrected_to == request.label):
                return move
        return None

    def _do(self, request: OpenRequest) -> Change:
        made = self._made_by(request)  # of a retry whose second half is missing
        known = [Known(request.file_id, made.id if made else request.version)]
        by, via, own, settings = request.by, request.via, self._own, self._settings
        if request.kind == "retry":
            [change] = correct_undo_retry.retry(own, settings, by, known, self._now, via)
        elif request.kind == "undo" and via == "check":
            [change] = answer.undo(own, settings, known, by, self._now)
        elif request.kind == "undo":
            [change] = correct_undo_retry.undo(own, settings, by, known, now=self._now, via=via)
        else:
            [change] = self._correct(request, known)
        return change

    def _correct(self, request: OpenRequest, known: Sequence[Known]) -> list[Change]:
        label, folders = request.label or "", self._folders_with(request.label or "")
        given = self._own, self._settings, known, label, request.by, folders, self._now
        return (
            answer.answer(*given)
            if request.via == "check"
            else correct_undo_retry.correct(*given, request.via)
        )

    def _folders_with(self, label: str) -> Mapping[str, str]:
        """Return the folder of each label; also those that people made, on whichever machine."""
        known = self._folders()
        if label in known:
            return known
        return with_own_folders(known, listing.counts(self._everyone), self._settings.outcomes.neither)

    def _version(self, file_id: int) -> int:
        moves = self._ledger.moves(file_id)
        return moves[-1].id if moves else 0
