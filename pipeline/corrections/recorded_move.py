"""Move one filed file: verify it, record the intent, rename it, record the end; finish interrupted moves."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from db.connection.engine import LedgerError
from db.ledger.ledger import Entry, Ledger, Move
from db.queries.listing import filed_at_paths
from db.schema.file_names import escape
from db.schema.tables import MoveKind, Via
from pipeline.companions import moving
from pipeline.corrections import made_files
from pipeline.corrections.groups import choose, left_nothing, pairs, targets, with_companions
from pipeline.corrections.keywords import without_keyword, write_keyword
from pipeline.corrections.refused import RefusedError
from pipeline.corrections.relocation import Relocations, advice, inbox_of
from pipeline.corrections.unchanged import refuse_changed
from pipeline.files import moves, naming
from pipeline.files.folders import SYSTEM_ERRNOS
from pipeline.logs import printable
from pipeline.settings.config import Settings

log = logging.getLogger(__name__)

_TRIES = 20


@dataclass(frozen=True, slots=True)
class Change:
    """Result for one file: its path now, or the `problem` for which it was not moved.

    `file` is the requested name or the former path; `outcome` is its folder now, None in an inbox. A change
    of another machine's file has the number of the `request` to its `owner`, and is not made yet.
    """

    kind: MoveKind
    file: bytes
    id: int | None = None
    path: bytes | None = None
    outcome: str | None = None
    corrected_to: str | None = None
    problem: str | None = None
    request: int | None = None
    owner: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, names in their readable form."""
        return {
            "kind": self.kind,
            "file": escape(self.file),
            "id": self.id,
            "path": None if self.path is None else escape(self.path),
            "outcome": self.outcome,
            "corrected_to": self.corrected_to,
            "problem": self.problem,
            **({} if self.request is None else {"request": self.request, "worker": self.owner}),
        }

    def __str__(self) -> str:
        if self.request is not None:
            return printable(f"{escape(self.file)}: sent to {self.owner} (request {self.request})")
        result = self.problem or (escape(self.path) if self.path else "")
        return printable(f"{escape(self.file)}{': ' if self.problem else ' -> '}{result}")


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned move: the destination is `root`/`wanted` unless that is taken."""

    kind: MoveKind
    root: bytes
    wanted: bytes
    outcome: str | None
    corrected_to: str | None
    undoes: int | None = None
    stays: bool = False


class Mover:
    """Make the moves of one command; the caller holds the lock. `now` returns UTC."""

    def __init__(
        self, engine: Engine, settings: Settings, by: str, now: Callable[[], datetime], via: Via | None = None
    ) -> None:
        self.ledger = Ledger(engine, os.fsencode(settings.spool))
        self._engine = engine
        self._settings = settings
        self._sorted = os.fsencode(settings.sorted)
        self._by = by
        self._now = now
        self._via = via
        self._together = settings.filing.companions

    def recover(self) -> list[Change]:
        """Finish interrupted moves."""
        changes = [self._recover(move) for move in self.ledger.pending_moves()]
        for change in changes:
            log.warning("finished an interrupted move: %s", change)
        return changes

    def attempt(self, kind: MoveKind, file: bytes, plan: Callable[[], tuple[Entry, Plan]]) -> Change:
        """Make the move that `plan` returns, or return the problem; `file` is the name that the user gave."""
        try:
            entry, planned = plan()
            self._verify(entry)
            return self._carry_out(file, self._prepared(entry, planned), planned)
        except (RefusedError, LedgerError) as error:
            return Change(kind, file, problem=str(error))
        except OSError as error:
            return Change(kind, file, problem=_text(error))

    def _verify(self, entry: Entry) -> None:
        """Refuse a file that has changed or was moved since it was filed."""
        sorted_ = os.path.join(os.fsencode(self._settings.sorted), b"")
        if not (entry.path or b"").startswith(sorted_) or not os.path.lexists(entry.path or b""):
            relocation = Relocations(self._engine, self._settings).find(entry)
            if relocation:
                raise RefusedError(advice(entry, relocation))
        refuse_changed(entry)

    def _prepared(self, entry: Entry, plan: Plan) -> Entry:
        if self._together:
            entry = with_companions(entry, self._engine, self.ledger)
        return without_keyword(entry, self._engine) if plan.outcome is None else entry

    def _carry_out(self, file: bytes, entry: Entry, plan: Plan) -> Change:
        assert entry.path is not None
        if entry.action and plan.outcome is None:
            return self._unmake(file, entry, plan)
        refused: set[bytes] = set()
        for _ in range(_TRIES):
            destination = entry.path if plan.stays else choose(entry, plan.root, plan.wanted, refused)
            move = self.ledger.begin_move(
                entry.id,
                plan.kind,
                destination,
                plan.outcome,
                plan.corrected_to,
                self._by,
                self._now(),
                plan.undoes,
                self._via,
            )
            try:
                if not plan.stays:
                    _make_folders(move, plan.root)
                    moving.move(pairs(entry, move), entry.sha256, targets=targets(entry))
            except FileExistsError:
                self.ledger.abandon_move(move.id)
                refused.add(destination)
                continue
            except OSError as error:
                if not left_nothing(pairs(entry, move)):
                    raise _unconfirmed("the move failed, and so did its clean-up", error) from error
                self.ledger.abandon_move(move.id)
                plan = _with_plain_name(plan, destination, error)
                continue
            return self._conclude(move, file)
        raise RefusedError("each free name was taken by another program; try again later")

    def _unmake(self, file: bytes, entry: Entry, plan: Plan) -> Change:
        """Undo a filing whose original stayed: remove the copy or the link."""
        original = os.path.join(plan.root, plan.wanted)
        made_files.refuse_only_copy(entry, original)
        companions = made_files.companions(entry, original)
        to = (original, None, plan.corrected_to)
        move = self.ledger.begin_move(entry.id, plan.kind, *to, self._by, self._now(), via=self._via)
        try:
            made_files.remove(entry, companions)
        except OSError as error:
            if not os.path.lexists(entry.path or b""):
                raise _unconfirmed("removed, but the disk did not confirm it", error) from error
            self.ledger.abandon_move(move.id)
            raise
        return self._finish(move, file)

    def _conclude(self, move: Move, file: bytes) -> Change:
        try:
            moves.sync_folders(map(os.path.dirname, (move.destination, move.source)))
        except OSError as error:
            # The file may be in either place after a power cut, so the move stays open.
            raise _unconfirmed("moved, but the disk did not confirm it", error) from error
        return self._finish(move, file)

    def _finish(self, move: Move, file: bytes) -> Change:
        self.ledger.finish_move(move.id, self._now(), _identity(move) if move.new_outcome is None else None)
        write_keyword(move.file_id, self._engine)
        return Change(
            move.kind, file, move.file_id, move.destination, move.new_outcome, move.new_corrected_to
        )

    def _recover(self, move: Move) -> Change:
        [entry] = self.ledger.entries([move.file_id])
        if entry.action and move.new_outcome is None:
            return self._recover_unmade(move, entry)
        root = self._root(entry, move.new_outcome)
        was_there = os.path.isdir(root)
        try:
            owner = filed_at_paths(self._engine, [move.destination]).get(move.destination, entry)
            if owner.id != entry.id:
                raise FileExistsError
            _make_folders(move, root)
            moving.move(pairs(entry, move), entry.sha256, resumed=True, targets=targets(entry))
        except FileExistsError:
            return self._give_up(move, "its place was taken, so the file was not moved")
        except FileNotFoundError:
            # While a disk is not mounted, the file may still be on it.
            if not (was_there and os.path.isdir(self._root(entry, move.old_outcome))):
                return self._problem(move, "the file or its disk is missing; mount the disk and try again")
            return self._give_up(move, "the file is gone")
        except OSError as error:
            return self._problem(move, _text(error))
        return self._finish(move, move.source)

    def _recover_unmade(self, move: Move, entry: Entry) -> Change:
        try:
            if os.path.lexists(entry.path or b""):
                refuse_changed(entry)
                made_files.refuse_only_copy(entry, move.destination)
                companions = made_files.companions(entry, move.destination)
            else:
                companions = made_files.rest_of(entry, move.destination)
            made_files.remove(entry, companions)
        except RefusedError as error:
            return self._give_up(move, str(error))
        except OSError as error:
            return self._problem(move, _text(error))
        return self._finish(move, move.source)

    def _give_up(self, move: Move, why: str) -> Change:
        self.ledger.abandon_move(move.id)
        return self._problem(move, why)

    def _problem(self, move: Move, why: str) -> Change:
        return Change(move.kind, move.source, move.file_id, problem=f"was interrupted: {why}")

    def _root(self, entry: Entry, outcome: str | None) -> bytes:
        if outcome is None:
            return inbox_of(entry, self._settings)
        return os.path.join(self._sorted, os.fsencode(outcome))


def _unconfirmed(what: str, error: OSError) -> RefusedError:
    return RefusedError(f"{what} ({error.strerror}); run this again later")


def _with_plain_name(plan: Plan, destination: bytes, error: OSError) -> Plan:
    """Return the plan with a plain name in place of one that the disk refuses, as the worker chooses it.

    The row has the name that the photo had in its inbox. Raises `error` if no name is the cause.
    """
    if error.errno in SYSTEM_ERRNOS or isinstance(error, moves.FolderError):
        raise error
    try:
        wanted = naming.plain_instead(plan.wanted, destination, plan.root)
    except OSError:  # the folder takes no file
        raise error from None
    if wanted is None:
        raise error
    return replace(plan, wanted=wanted)


def _make_folders(move: Move, root: bytes) -> None:
    # An inbox may be a link, because the user chose it; a class's folder may not.
    real = os.path.realpath(root) if move.new_outcome is None else root
    below = os.path.relpath(os.path.dirname(move.destination), root)
    if below.split(b"/")[0] == b"..":
        raise moves.FolderError(errno.ENOENT, "the settings name another folder now", root)
    if move.new_outcome is None and not os.path.isdir(root):
        raise moves.FolderError(errno.ENOENT, "folder is missing; make it, or mount its disk", root)
    moves.make_folders(os.path.normpath(os.path.join(real, below)), real)


def _identity(move: Move) -> moves.Identity | None:
    try:
        return moves.identity(move.destination)
    except FileNotFoundError:
        return None  # the worker has already taken it from the inbox


def _text(error: OSError) -> str:
    name = error.filename2 or error.filename
    where = f" ({escape(os.fsencode(name))})" if isinstance(name, str | bytes) else ""
    return f"{error.strerror or error}{where}; nothing was moved"
