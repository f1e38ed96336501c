"""Repair findings of `doctor` where that is safe: no file is deleted or overwritten, no class is guessed.

A repair records the facts through the ledger's transitions: a file without a row gets one with the reason
`imported`; the row of a file that was moved by hand gets its new path; an unfinished row whose file was filed
meanwhile, as after a backup was restored, becomes that of this file; a file without a row in the spool is
processed; an interrupted move is finished; a superseded row ends. Each repair is one transaction, or one that
recovery finishes, so an interrupted repair can be run again. Other findings stay, each with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import Engine

from db.ledger.by_hand import HandMove
from db.ledger.by_hand import record as record_by_hand
from db.ledger.imported import Found, record
from db.ledger.ledger import Entry, FileDecision, Ledger
from db.queries import integrity
from db.schema.file_names import escape
from db.schema.tables import IMPORTED
from pipeline.companions.moving import beside
from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.corrections.recorded_move import Change, Mover
from pipeline.corrections.relocation import Relocation, Relocations
from pipeline.decision import FAILED
from pipeline.doctor.check import examine
from pipeline.doctor.check_rows import missing_companions
from pipeline.doctor.problem import Problem
from pipeline.doctor.superseded import may_end
from pipeline.files import moves
from pipeline.logs import printable
from pipeline.settings.config import Settings
from pipeline.worker.recovery import take_up_stray

PAGE = 200
BY = "doctor"

_LEFT = {
    "database": "left: a damaged database is not changed; replace it by a backup",
    "folder": "left: its disk may not be mounted",
    "missing": "left: its content was not found under `sorted`",
    "superseded": "left: its folder is missing or empty, so its disk may not be mounted; if you emptied it, "
    "put any file into it and repair again",
    "changed": "left: only you can decide which content is right",
    "unreadable": "left: it cannot be read",
    "unfinished": "left: the worker finishes it when it starts",
    "leftover": "left: a repair deletes no file",
}


@dataclass(frozen=True, slots=True)
class Repair:
    """One finding, whether it is repaired, and what was done or why nothing was."""

    problem: Problem
    done: bool
    told: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**self.problem.as_dict(), "repaired": self.done, "repair": self.told}

    def __str__(self) -> str:
        return f"{self.problem}\n    {printable(self.told)}"


def repair(
    engine: Engine,
    settings: Settings,
    outcomes: Sequence[str],
    hashes: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Repair]:
    """Yield each finding of `doctor.examine` once it is repaired or left.

    The caller holds the worker's lock. `outcomes` are the folders whose files may be recorded. Raises
    LockError while a `correct` or `undo` is running, DatabaseError.
    """
    with moves_lock(settings):
        yield from _Repairer(engine, settings, outcomes, now).run(hashes)


class _Repairer:
    def __init__(
        self, engine: Engine, settings: Settings, outcomes: Sequence[str], now: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._outcomes = outcomes
        self._now = now
        self._ledger = Ledger(engine, os.fsencode(settings.spool))
        self._sorted = os.fsencode(settings.sorted)
        self._missing: dict[str, list[tuple[Problem, Entry]]] = {}
        self._unread: list[tuple[Problem, Entry]] = []
        self._page: list[tuple[Problem, Found]] = []
        self._moves: dict[int, Change] | None = None

    def run(self, hashes: bool) -> Iterator[Repair]:
        """Repair each finding as it comes; missing files come last, since they may be found meanwhile."""
        for problem in examine(self._engine, self._settings, hashes):
            if problem.kind == "superseded" and os.path.lexists(problem.path):
                yield self._end(problem)
            elif problem.kind in ("missing", "superseded", "unfinished") and (entry := self._lost(problem)):
                self._expect(problem, entry)
            elif problem.kind == "unrecorded":
                yield from self._unrecorded(problem)
            else:
                yield self._repair(problem)
        yield from self._record_page()
        for pairs in (*self._missing.values(), self._unread):
            for problem, entry in pairs:
                if entry.state == "filed" and os.path.lexists(entry.path or b""):
                    yield Repair(problem, True, "repaired: the file is in its place again")
                elif problem.kind == "superseded" and may_end(self._engine, entry, self._sorted):
                    yield self._end(problem)
                else:
                    yield Repair(problem, False, _LEFT[problem.kind])

    def _forget(self, problem: Problem) -> Repair:
        """Take the companions that are missing out of their row."""
        for entry in self._ledger.entries([problem.id or 0]):
            gone = missing_companions(entry)
            there = beside(entry.path or b"", os.path.basename(entry.source), entry.companion_names)
            names = zip(entry.companion_names, there, strict=True)
            self._ledger.set_companions(entry.id, [name for name, path in names if path not in gone])
        return Repair(problem, True, "repaired: its row does not name it any more")

    def _end(self, problem: Problem) -> Repair:
        ended = self._ledger.end(self._ledger.entries([problem.id or 0]), self._now())
        told = "repaired: this row has ended" if ended else "left: a correction or undo is moving its file"
        return Repair(problem, bool(ended), told)

    def _repair(self, problem: Problem) -> Repair:
        if problem.kind == "pending":
            return self._pending(problem)
        if problem.kind == "orphan":
            return self._orphan(problem)
        if problem.kind == "companion":
            return self._forget(problem)
        if problem.relocation is not None:
            return self._relocate(problem, problem.relocation)
        return Repair(problem, False, _LEFT[problem.kind])

    def _lost(self, problem: Problem) -> Entry | None:
        """Return the row of a file that is missing and may be found: its content, version or row is known."""
        for entry in self._ledger.entries([problem.id] if problem.id is not None else []):
            if entry.state == "filed":
                return entry if entry.sha256 or problem.kind == "superseded" else None
            # The original of a copy stays, so that its row is not missing.
            may_be_filed = problem.kind == "missing" or entry.action is not None
            if may_be_filed and not os.path.lexists(self._settings.spool / entry.spool_name):
                return entry
        return None

    def _expect(self, problem: Problem, entry: Entry) -> None:
        if entry.state == "filed" or entry.sha256:
            self._missing.setdefault(str(entry.sha256), []).append((problem, entry))
        else:
            self._unread.append((problem, entry))

    # --- folders that were moved or renamed -------------------------------------------------------------

    def _relocate(self, problem: Problem, relocation: Relocation) -> Repair:
        """Write the new paths of a moved folder into its rows, a page in one transaction."""
        relocations, done = Relocations(self._engine, self._settings), 0
        entries = integrity.filed(self._engine)
        while page := list(islice(entries, PAGE)):
            # Keyed by path, because two rows may have the same end of a path and the file belongs to one.
            ids = {relocation.follow(e.path or b""): e.id for e in relocations.following(relocation, page)}
            self._ledger.relocate({id: path for path, id in ids.items()}, self._now())
            done += len(ids)
        return Repair(problem, True, f"repaired: {done} rows name {escape(relocation.new)} now")

    # --- interrupted moves, and files without a row in the spool ----------------------------------------

    def _pending(self, problem: Problem) -> Repair:
        if self._moves is None:
            mover = Mover(self._engine, self._settings, BY, self._now, "doctor")
            self._moves = {change.id: change for change in mover.recover() if change.id is not None}
        change = self._moves.get(problem.id or 0)
        if change is None:
            return Repair(problem, True, "repaired: it was finished meanwhile")
        if change.problem:
            return Repair(problem, not self._is_pending(problem), f"ended: {change.problem}")
        return Repair(problem, True, f"repaired: finished at {escape(change.path or b'')}")

    def _is_pending(self, problem: Problem) -> bool:
        return any(move.file_id == problem.id for move in self._ledger.pending_moves())

    def _orphan(self, problem: Problem) -> Repair:
        spool = os.fsencode(self._settings.spool)
        name = os.path.relpath(problem.path, spool)
        if b"/" in name or name.startswith(b".pawsort-"):
            return Repair(problem, False, "left: the worker did not put it there")
        if take_up_stray(self._ledger, spool, name, self._now()):
            return Repair(problem, True, "repaired: put back to its filed place")
        return Repair(problem, True, "repaired: has a row now; the worker classifies it when it starts")

    # --- files without a row ----------------------------------------------------------------------------

    def _unrecorded(self, problem: Problem) -> Iterator[Repair]:
        outcome, _, source = os.path.relpath(problem.path, self._sorted).partition(b"/")
        if os.fsdecode(outcome) not in self._outcomes:
            yield Repair(problem, False, "left: photos are not filed into its folder")
            return
        try:
            identity, sha256 = moves.identity(problem.path), moves.sha256(problem.path)
            stable = moves.identity(problem.path) == identity
        except OSError as error:
            yield Repair(problem, False, f"left: it cannot be read: {error.strerror}")
            return
        # An empty file of another folder is probably about to be written.
        if not stable or (not identity[2] and os.fsdecode(outcome) != FAILED):
            yield Repair(problem, False, "left: it is empty, or a program is writing to it")
            return
        found = Found(problem.path, os.fsdecode(outcome), source, identity, sha256)
        if lost := self._taken_from_expected(found):
            yield from self._follow(problem, found, *lost)
            return
        self._page.append((problem, found))
        if len(self._page) >= PAGE:
            yield from self._record_page()

    def _taken_from_expected(self, found: Found) -> tuple[Problem, Entry] | None:
        """Return the missing file, by its content or else its version, that a file without a row is."""
        if pairs := self._missing.get(str(found.sha256)):
            return pairs.pop()
        for pair in self._unread:
            entry = pair[1]
            same = (entry.dev, entry.ino) == found.identity[:2] or entry.name == os.path.basename(found.path)
            if same and entry.is_version(found.identity):
                self._unread.remove(pair)
                return pair
        return None

    def _follow(self, problem: Problem, found: Found, gone: Problem, entry: Entry) -> Iterator[Repair]:
        """Record the new place of a file; a correction is kept only if the folder is the same."""
        if entry.state == "filed":
            self._record_move(entry, found)
        else:
            self._record_arrival(entry, found)
        yield Repair(gone, True, f"repaired: found at {escape(found.path)}; its row names this path now")
        was = escape(entry.path or entry.name)
        yield Repair(problem, True, f"repaired: it is the file that was recorded as {was}")

    def _record_arrival(self, entry: Entry, found: Found) -> None:
        """Record that the file of an unfinished row has been filed: it was, after a backup was taken."""
        if entry.state == "decided":
            kept = entry.verdict == found.outcome
            was = entry.destination or b""
            move = HandMove(
                entry.id, "move", "decided", was, found.path, BY, kept, found.outcome, None, found.identity
            )
            record_by_hand(self._engine, [move], self._now())
            return
        known = FileDecision(
            entry.id, found.outcome, reason=IMPORTED, destination=found.path, sha256=found.sha256
        )
        self._ledger.decide([known], self._now())
        self._ledger.file([entry.id], self._now())

    def _record_move(self, entry: Entry, found: Found) -> None:
        stays = entry.outcome == found.outcome
        corrected_to = entry.corrected_to if stays else None
        move = self._ledger.begin_move(
            entry.id, "correct", found.path, found.outcome, corrected_to, BY, self._now(), via="doctor"
        )
        self._ledger.finish_move(move.id, self._now())

    def _record_page(self) -> Iterator[Repair]:
        page, self._page = self._page, []
        inbox = os.fspath(self._settings.inboxes[0])
        recorded = record(self._engine, [found for _, found in page], inbox, self._now()) if page else set()
        for problem, found in page:
            done = found.path in recorded
            told = "repaired: recorded in its place, as `imported`" if done else "it has a row by now"
            yield Repair(problem, True, told)
