"""Files that a person names at a command line: which are of other machines, and what becomes of these."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from db.ledger.requests import RequestKind
from db.queries import overview
from db.queries import requests as queries
from db.queries.requests import Request
from db.schema.records import Entry
from pipeline.corrections.correct_undo_retry import Known
from pipeline.corrections.recorded_move import Change
from pipeline.errors import SettingsError
from pipeline.requests.asking import Asker
from pipeline.requests.owners import known_workers, name_of, trouble_of

_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Named:
    """Files that were named: one's own, by their paths, and those of other workers, by their rows.

    `unclear` are files that two workers have.
    """

    mine: list[bytes]
    others: dict[bytes, Known]
    unclear: list[Change]


def told_apart(
    everyone: Engine, own: int, files: Sequence[bytes], worker: str | None, kind: RequestKind
) -> Named:
    """Tell files of other workers from one's own, which come first; with `worker`, all are of that one.

    A file is a path as its worker has it, or a name without a slash. Raises SettingsError for an unknown
    worker, DatabaseError.
    """
    named = Named([], {}, [])
    if queries.has_one_owner(everyone):
        _refuse_name(worker)
        return Named(list(files), {}, [])
    known = {each.name: id for id, each in known_workers(everyone).items()}
    if worker is not None and worker not in known:
        raise SettingsError(f"--worker {worker}: expected one of {', '.join(known)}")
    if worker is not None and known[worker] == own:
        return Named(list(files), {}, [])
    for file in dict.fromkeys(files):
        _sort_in(named, everyone, own, file, worker, kind)
    return named


def _sort_in(
    named: Named, everyone: Engine, own: int, file: bytes, worker: str | None, kind: RequestKind
) -> None:
    path = os.path.abspath(file) if b"/" in file else file
    if worker is None and os.path.lexists(file):
        named.mine.append(file)
        return
    found = queries.filed_elsewhere(everyone, own, path, worker, or_undone=kind == "retry")
    if worker is None and _has(everyone, own, path):
        found = []
    if len(found) == 1:
        version = overview.versions(everyone, [found[0].id])[found[0].id]
        named.others[file] = Known(found[0].id, version)
    elif found:
        problem = f"{len(found)} photos may be meant ({_whose(everyone, found)}); give --worker and a path"
        named.unclear.append(Change("correct" if kind == "correct" else "undo", file, problem=problem))
    elif worker is not None:
        problem = f"is no filed photo of {worker}; give its path as it is there"
        named.unclear.append(Change("correct" if kind == "correct" else "undo", file, problem=problem))
    else:
        named.mine.append(file)


def sent(
    asker: Asker, named: Named, kind: RequestKind, label: str | None = None, wait: float | None = None
) -> list[Change]:
    """Send requests for the files of other workers; return a change for each, and for unclear ones.

    With `wait`, so many seconds are given to their workers; what is not done then has the request still.
    Raises DatabaseError.
    """
    files = list(named.others.values())
    changes = asker.undo(files, _none) if kind == "undo" else asker.change(files, kind, _none, label)
    found = [replace(change, file=file) for file, change in zip(named.others, changes, strict=True)]
    return [*named.unclear, *(_awaited(asker.engine, found, wait) if wait else found)]


def troubles(engine: Engine, changes: Sequence[Change]) -> list[str]:
    """Return a sentence for each worker that has a request of `changes` and does not answer."""
    owners = {change.owner for change in changes if change.request is not None}
    workers = {name_of(worker): worker for worker in known_workers(engine).values()}
    known = {owner: trouble_of(workers.get(owner)) for owner in owners if owner is not None}
    return [f"{owner} {why}; it does this once it runs" for owner, why in sorted(known.items()) if why]


def _awaited(
    engine: Engine, changes: Sequence[Change], wait: float, sleep: Callable[[float], None] = time.sleep
) -> list[Change]:
    until = time.monotonic() + wait
    while True:
        found = [_now(engine, change) for change in changes]
        if all(change.request is None for change in found) or time.monotonic() >= until:
            return found
        sleep(_PAUSE_SECONDS)


def _now(engine: Engine, change: Change) -> Change:
    """Return a change as it is once its request was carried out; itself before."""
    request = queries.request(engine, change.request) if change.request is not None else None
    return change if request is None or request.is_open else _done(engine, change, request)


def _done(engine: Engine, change: Change, request: Request) -> Change:
    if request.problem is not None:
        return Change(change.kind, change.file, problem=request.problem)
    found = overview.history(engine, request.file_id)
    assert found is not None
    entry, path = found.entry, found.entry.path
    if path is None and found.moves:  # sent in again, so that it is no longer counted
        path = found.moves[-1].destination
    return Change(change.kind, change.file, entry.id, path, entry.outcome, entry.corrected_to)


def _has(engine: Engine, own: int, path: bytes) -> bool:
    """Return whether a file at this path, or of this name, is one's own, which is meant then."""
    mine = [worker.name for id, worker in known_workers(engine).items() if id == own]
    return any(queries.filed_elsewhere(engine, own, path, name, or_undone=True) for name in mine)


def _whose(engine: Engine, found: Sequence[Entry]) -> str:
    workers = known_workers(engine)
    return ", ".join(sorted({name_of(workers.get(entry.worker_id)) for entry in found}))


def _none(files: Sequence[Known]) -> list[Change]:
    raise AssertionError(f"{len(files)} files are of this machine")


def _refuse_name(worker: str | None) -> None:
    if worker is not None:
        raise SettingsError(f"--worker {worker}: this database has one worker; only PostgreSQL may have many")
