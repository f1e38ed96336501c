"""Requests to the owner of a file: asked on another machine, carried out by the owner's worker.

A request is open until `done_at` is set. A file has one open request at most. All moments are by the server's
clock, since those of the machines differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

from sqlalchemy import Connection, Engine, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from db.connection.engine import writing
from db.schema.rows import in_pieces
from db.schema.tables import Via, files, moves
from db.schema.worker_tables import IS_OPEN, requests, workers

RequestKind = Literal["correct", "undo", "retry"]

Refusal = Literal["changed", "open", "gone", "retired"]


TAKEN_BACK = "taken back by "
"""With a name behind it, the problem of a request that a person took back."""


class Wish(NamedTuple):
    """What a person wants of a file: `version` is the number of the last move that they saw, 0 for none."""

    file_id: int
    version: int
    kind: RequestKind
    label: str | None
    by: str
    via: Via


class Asked(NamedTuple):
    """The number of the request that was recorded for a wish, or why none was.

    "changed": the file was moved since the person saw it; "open": another request of it is open; "gone": it
    is in no folder; "retired": its worker is.
    """

    file_id: int
    request: int | None
    refused: Refusal | None = None


class OpenRequest(NamedTuple):
    """An open request that its worker holds."""

    id: int
    file_id: int
    version: int
    kind: RequestKind
    label: str | None
    by: str
    via: Via


_WISHED = (
    requests.c.file_id, requests.c.seen_version, requests.c.kind, requests.c.label, requests.c.by,
    requests.c.via,
)  # fmt: skip


def ask(engine: Engine, wishes: Sequence[Wish]) -> list[Asked]:
    """Record what people want of files of other workers, for these to carry out; return a result for each.

    Raises DatabaseError.
    """
    asked: dict[int, Asked] = {}
    with writing(engine) as connection:
        for piece in in_pieces(sorted(wishes, key=lambda wish: wish.file_id)):
            ids = [wish.file_id for wish in piece]
            # Not locked: their worker changes them meanwhile, and refuses what is outdated then.
            rows = select(files.c.id, files.c.worker_id, files.c.state).where(files.c.id.in_(ids))
            known = {row.id: row for row in connection.execute(rows)}
            versions, taken = _versions(connection, ids), _taken(connection, ids)
            retired = _retired(connection, {row.worker_id for row in known.values()})
            for wish in piece:
                row = known.get(wish.file_id)
                state = None if row is None else row.state
                refused = _refusal(wish, state, versions.get(wish.file_id, 0), wish.file_id in taken)
                if row is not None and row.worker_id in retired:
                    refused = "retired"
                request = None if refused or row is None else _record(connection, wish, row.worker_id)
                lost = "open" if request is None and refused is None else refused
                asked[wish.file_id] = Asked(wish.file_id, request, lost)
                taken.add(wish.file_id)
    return [asked[wish.file_id] for wish in wishes]


def cancel(engine: Engine, id: int, by: str) -> bool:
    """Take back an open request; return whether it was open still. Who did so is recorded as its problem.

    Raises DatabaseError.
    """
    with writing(engine) as connection:
        is_open = update(requests).where(requests.c.id == id, text(IS_OPEN))
        return connection.execute(is_open.values(done_at=func.now(), problem=TAKEN_BACK + by)).rowcount > 0


class HeldRequest:
    """A request that is being carried out: nothing takes it back meanwhile, and a kill leaves it open."""

    def __init__(self, connection: Connection, request: OpenRequest) -> None:
        self._connection = connection
        self.request = request

    def finish(self, problem: str | None = None) -> None:
        """Record its end, committed when the block ends; `problem` says why nothing was changed."""
        mine = update(requests).where(requests.c.id == self.request.id)
        self._connection.execute(mine.values(done_at=func.clock_timestamp(), problem=problem))


@contextmanager
def held(engine: Engine, worker: int, after: int = 0) -> Iterator[HeldRequest | None]:
    """Hold the oldest open request of a worker, of those after the number `after`; None without one.

    It stays open unless it is finished in the block. Raises DatabaseError.
    """
    mine = requests.c.worker_id == worker, requests.c.id > after, text(IS_OPEN)
    oldest = select(requests.c.id, *_WISHED).where(*mine).order_by(requests.c.id).limit(1)
    with writing(engine) as connection:
        row = connection.execute(oldest.with_for_update(skip_locked=True)).one_or_none()
        yield None if row is None else HeldRequest(connection, OpenRequest(*row))


def _versions(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    last = select(moves.c.file_id, func.max(moves.c.id)).where(moves.c.file_id.in_(ids))
    return dict(connection.execute(last.group_by(moves.c.file_id)).all())


def _taken(connection: Connection, ids: Sequence[int]) -> set[int]:
    taken = select(requests.c.file_id).where(requests.c.file_id.in_(ids), text(IS_OPEN))
    return set(connection.execute(taken).scalars())


def _retired(connection: Connection, ids: Collection[int]) -> set[int]:
    """Return which of these workers are retired; none is until the transaction ends if it is not now."""
    owners = select(workers.c.id, workers.c.retired_at).where(workers.c.id.in_(ids)).order_by(workers.c.id)
    # The weakest lock: signs of life go on.
    held = owners.with_for_update(read=True, key_share=True)
    return {row.id for row in connection.execute(held) if row.retired_at is not None}


def _refusal(wish: Wish, state: str | None, version: int, taken: bool) -> Refusal | None:
    if taken:
        return "open"
    if version != wish.version:
        return "changed"
    return None if state == "filed" or (state == "undone" and wish.kind == "retry") else "gone"


def _record(connection: Connection, wish: Wish, worker: int) -> int | None:
    """Record a request and return its number; None if another person was first at this moment."""
    values = {
        "worker_id": worker, "file_id": wish.file_id, "seen_version": wish.version, "kind": wish.kind,
        "label": wish.label, "by": wish.by, "via": wish.via, "asked_at": func.now(),
    }  # fmt: skip
    new = insert(requests).values(values).on_conflict_do_nothing().returning(requests.c.id)
    return connection.execute(new).scalar_one_or_none()
