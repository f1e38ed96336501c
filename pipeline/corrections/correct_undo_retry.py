"""Change decisions: `correct` records the right label, `undo` reverts changes, `retry` puts files back.

Each move is an intent in the ledger, a rename that overwrites nothing, and a record that it is done. The next
command, or the worker when it starts, finishes an interrupted move. A file whose content has changed since it
was filed is never touched.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from db.ledger.ledger import Action, Entry, Move
from db.queries import listing
from db.queries.integrity import filed_as, is_noted
from db.queries.listing import filed_at_paths, undone_at
from db.schema.file_names import escape
from db.schema.tables import Via
from models.labels import NEITHER
from pipeline.classifier.configured_model import load_bundle
from pipeline.corrections.elsewhere import refuse_others
from pipeline.corrections.own_folders import with_own_folders
from pipeline.corrections.recorded_move import Change, Mover, Plan
from pipeline.corrections.refused import NOTED_ONLY, RefusedError
from pipeline.corrections.relocation import Relocations, advice, inbox_of
from pipeline.corrections.spellings import respelled
from pipeline.decision import FAILED
from pipeline.errors import SettingsError
from pipeline.files.exclusive_lock import exclusive
from pipeline.settings.config import Settings

LOCK_NAME = "moves.lock"
LOCK_SECONDS = 10.0

Now = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Known:
    """A file by its row, as a client saw it: `version` is the number of its last move then, 0 for none.

    A file that was moved since is refused, so that a second answer, or a late one, changes nothing.
    """

    id: int
    version: int


def _utc() -> datetime:
    return datetime.now(UTC)


def login_name() -> str:
    """Return the user name of this process, which is recorded if no other name is given."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def correct(
    engine: Engine,
    settings: Settings,
    files: Sequence[bytes | Known],
    label: str,
    by: str,
    folders: Mapping[str, str] | None = None,
    now: Now = _utc,
    via: Via = "command",
) -> list[Change]:
    """Move photos to the folder of `label` and record who decided it; return a change for each of `files`.

    A file is a path under `sorted`, absolute or relative to the working folder, or a name that exactly one
    row has, or a `Known` row. `folders` maps the labels to their folders, as in the bundle if None; `neither`
    goes to the folder that the settings name. A folder that people made is a label too, as long as it has
    photos. A file that is there already is only confirmed. Raises SettingsError for an unknown label,
    ModelError, LockError, DatabaseError.
    """
    known = load_bundle(settings).folders if folders is None else folders
    if label not in known and label != NEITHER:
        known = with_own_folders(known, listing.counts(engine), settings.outcomes.neither)
    if label not in known and label != NEITHER:
        raise SettingsError(f"--as {label}: expected one of {', '.join(dict.fromkeys([*known, NEITHER]))}")
    mover = Mover(engine, settings, by, now, via)
    planner, neither = _Planner(engine, settings, mover), settings.outcomes.neither
    with moves_lock(settings):
        mover.recover()
        return [planner.correct(file, label, known.get(label, neither)) for file in dict.fromkeys(files)]


def undo(
    engine: Engine,
    settings: Settings,
    by: str,
    files: Sequence[bytes | Known] = (),
    last: int | None = None,
    since: datetime | None = None,
    now: Now = _utc,
    via: Via = "command",
) -> list[Change]:
    """Revert changes, the newest first; return a change for each.

    These are the last change of each of `files`, the `last` so many changes, or all since `since` (aware). A
    corrected file returns to its former folder, a filed one to its inbox; if its name is taken there, it gets
    another. Raises LockError, DatabaseError.
    """
    mover = Mover(engine, settings, by, now, via)
    planner = _Planner(engine, settings, mover)
    with moves_lock(settings):
        mover.recover()
        if files:
            return [planner.undo_last_of(file) for file in dict.fromkeys(files)]
        ledger = mover.ledger
        return planner.undo(ledger.last_actions(last or 1) if since is None else ledger.actions_since(since))


def retry(
    engine: Engine,
    settings: Settings,
    by: str,
    files: Sequence[bytes | Known],
    now: Now = _utc,
    via: Via = "command",
) -> list[Change]:
    """Put failed files back into their inbox as new arrivals; return a change for each of `files`.

    Their old rows end once the files are there, and the worker processes them as new. The row of a file that
    an undo has put back ends in the same way. Raises as `undo`.
    """
    mover = Mover(engine, settings, by, now, via)
    planner = _Planner(engine, settings, mover)
    with moves_lock(settings):
        mover.recover()
        return [planner.retry(file, now) for file in dict.fromkeys(files)]


def recover_moves(engine: Engine, settings: Settings, now: Now = _utc) -> list[Change]:
    """Finish interrupted moves; return a change for each. Raises as `undo`."""
    with moves_lock(settings):
        return Mover(engine, settings, "", now).recover()


@contextmanager
def moves_lock(settings: Settings, seconds: float | None = None) -> Iterator[None]:
    """Allow one command at a time to make moves. Raises LockError after `seconds` (LOCK_SECONDS)."""
    problem = f"another correct or undo is running on {settings.state}; try again later"
    with exclusive(settings.state / LOCK_NAME, LOCK_SECONDS if seconds is None else seconds, problem):
        yield


def changed_since(moves: Sequence[Move]) -> str:
    """Return text that says who changed a file last, for a client that saw an earlier state of it."""
    if not moves:
        return "has changed since"
    last = moves[-1]
    said = f", to {last.new_corrected_to}" if last.kind == "correct" else ""
    return f"was changed meanwhile by {last.by}{said}"


class _Planner:
    """Find the file that is meant and plan its move."""

    def __init__(self, engine: Engine, settings: Settings, mover: Mover) -> None:
        self._engine = engine
        self._settings = settings
        self._sorted = os.fsencode(settings.sorted)
        self._mover = mover

    def correct(self, file: bytes | Known, label: str, outcome: str) -> Change:
        def plan() -> tuple[Entry, Plan]:
            entry = self._find(file)
            root = os.path.join(self._sorted, os.fsencode(outcome))
            stays = entry.outcome == outcome
            return entry, Plan("correct", root, entry.source, outcome, label, stays=stays)

        return self._mover.attempt("correct", self._called(file), plan)

    def undo_last_of(self, file: bytes | Known) -> Change:
        try:
            entry = self._find(file)
        except RefusedError as error:
            return Change("undo", self._called(file), problem=str(error))
        return self._undo(self._last_of(entry))

    def retry(self, file: bytes | Known, now: Now) -> Change:
        try:
            entry = self._find(file, or_undone=True)
            if entry.state == "filed" and entry.outcome != FAILED:
                raise RefusedError(f"is in {entry.outcome}; only failed files can be retried")
            self._refuse_unwatched(inbox_of(entry, self._settings))
        except RefusedError as error:
            return Change("undo", self._called(file), problem=str(error))
        change = Change("undo", entry.path or b"", entry.id, entry.path)
        if entry.state == "filed":
            change = self._undo(self._last_of(entry))
        # If a correction was reverted, the file is still in a folder.
        if change.problem is None and change.outcome is None:
            self._mover.ledger.let_go(entry.id, now())
        return change

    def _refuse_unwatched(self, inbox: bytes) -> None:
        """Raise RefusedError for a folder that is no inbox now, or was the source of a backfill."""
        if inbox not in map(os.fsencode, self._settings.inboxes):
            folder = os.fsdecode(inbox)
            raise RefusedError(f"is of {folder}, which no worker watches; move it into an inbox yourself")

    def _last_of(self, entry: Entry) -> Action:
        # By number, because a clock that was set back would date a correction before its filing.
        actions = self._mover.ledger.actions_of([entry.id])
        return max(actions, key=lambda action: action.move.id if action.move else 0)

    def undo(self, actions: Sequence[Action]) -> list[Change]:
        changes: list[Change] = []
        stuck: set[int] = set()
        for action in actions:
            id, file = action.entry.id, action.entry.path or action.entry.source
            if id in stuck:
                why = "a later change of it could not be reverted"
                changes.append(Change("undo", file, id, problem=why))
                continue
            changes.append(self._undo(action))
            if changes[-1].problem:
                stuck.add(id)
        return changes

    def _undo(self, action: Action) -> Change:
        def plan() -> tuple[Entry, Plan]:
            # An earlier undo of this command may have moved it since the actions were read.
            [entry] = self._mover.ledger.entries([action.entry.id])
            return entry, self._plan_undo(entry, action.move)

        return self._mover.attempt("undo", action.entry.path or action.entry.source, plan)

    def _plan_undo(self, entry: Entry, move: Move | None) -> Plan:
        if move is None:
            return Plan("undo", inbox_of(entry, self._settings), entry.source, None, entry.corrected_to)
        root = os.path.join(self._sorted, os.fsencode(move.old_outcome or ""))
        inside = move.source.startswith(os.path.join(root, b""))
        wanted = os.path.relpath(move.source, root) if inside else entry.source
        stays = move.source == move.destination
        return Plan("undo", root, wanted, move.old_outcome, move.old_corrected_to, move.id, stays)

    def _called(self, file: bytes | Known) -> bytes:
        if isinstance(file, bytes):
            return file
        [path] = [entry.path for entry in self._mover.ledger.entries([file.id])] or [None]
        return path or b"%d" % file.id

    def _find(self, file: bytes | Known, or_undone: bool = False) -> Entry:
        if isinstance(file, Known):
            return self._known(file, or_undone)
        for path in self._paths(file):
            if entry := filed_at_paths(self._engine, [path]).get(path):
                return entry
            if or_undone and (entry := undone_at(self._engine, path)):
                return entry
        self._refuse_relocated(file)
        named = [] if b"/" in file else filed_as(self._engine, file)
        if len(named) == 1:
            return named[0]
        if named:
            paths = ", ".join(escape(entry.path) for entry in named[:10] if entry.path)
            raise RefusedError(f"{len(named)} photos have this name; give the path of one: {paths}")
        if is_noted(self._engine, os.path.abspath(file)):
            raise RefusedError(NOTED_ONLY)
        refuse_others(self._engine, file)
        raise RefusedError(f"is not a filed photo; give a path under {os.fsdecode(self._sorted)}")

    def _refuse_relocated(self, file: bytes) -> None:
        """Refuse a photo whose row names its former folder, with advice. Raises RefusedError."""
        path = os.path.abspath(file)
        for entry in filed_as(self._engine, os.path.basename(path)) if os.path.lexists(path) else ():
            relocation = Relocations(self._engine, self._settings).find(entry)
            if relocation and relocation.follow(entry.path or b"") == path:
                raise RefusedError(advice(entry, relocation))

    def _known(self, file: Known, or_undone: bool) -> Entry:
        refuse_others(self._engine, file.id)
        moves = self._mover.ledger.moves(file.id)
        if (moves[-1].id if moves else 0) != file.version:
            raise RefusedError(changed_since(moves))
        found = self._mover.ledger.entries([file.id])
        if found and found[0].state in ("filed", *(["undone"] if or_undone else [])):
            return found[0]
        raise RefusedError(NOTED_ONLY if found and found[0].state == "noted" else "is no longer in a folder")

    def _paths(self, file: bytes) -> Iterator[bytes]:
        """Yield the path as given, with links on the way to `sorted` resolved, and as its row spells it."""
        path = os.path.abspath(file)
        yield path
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        below = os.path.join(self._sorted, os.path.relpath(real, os.path.realpath(self._sorted)))
        yield below
        yield from respelled(self._engine, self._sorted, [below]).values()
