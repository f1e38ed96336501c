"""The review queue, and a comparison of the model with corrections.

The queue lists files in uncertain/ without a correction, of all workers, except those with an open request to
their owner. A group of them shares a reason and a best label, so that many similar files can be answered at
once. Every function raises DatabaseError.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, literal, select, text, tuple_

from db.connection.engine import reading
from db.queries.requests import asked_ids, not_asked
from db.schema.records import Entry
from db.schema.rows import FILE_COLUMNS, entry_of
from db.schema.tables import IS_CORRECTED, IS_UNREVIEWED, files

Order = Literal["unsure", "alike"]

NEITHER = "neither"
"""The reason, and the label, of a photo that shows no class; equals `models.labels.NEITHER`."""


class Group(NamedTuple):
    """The reason and the best label that the files of a group share."""

    reason: str | None
    prediction: str | None


class Spot(NamedTuple):
    """A position in the queue: after this file."""

    group: Group
    confidence: float
    id: int


@dataclass(frozen=True, slots=True)
class Settled:
    """Number of corrected files with the same model, verdict, label of the model and correction.

    `verdict` is the outcome that the model's answer led to, `label` is the label of the model.
    """

    model: str | None
    model_sha256: str | None
    verdict: str
    label: str | None
    corrected_to: str
    count: int

    def is_right(self, labels: Collection[str]) -> bool:
        """Return whether the correction confirms the model, which has these `labels`.

        A label that it does not have, such as a person's own folder, confirms `neither`.
        """
        return self.label == (self.corrected_to if self.corrected_to in labels else NEITHER)


def left(engine: Engine) -> dict[Group, int]:
    """Count the files in the queue by group."""
    grouped = files.c.reason, files.c.prediction
    counted = select(*grouped, func.count()).where(text(IS_UNREVIEWED)).group_by(*grouped).order_by(*grouped)
    with reading(engine) as connection:
        found = {Group(*row[:2]): row[2] for row in connection.execute(counted)}
        # Taken off here, because the index that serves the counts does not have the ids.
        for ids in asked_ids(connection):
            for row in connection.execute(counted.where(files.c.id.in_(ids))):
                found[Group(*row[:2])] -= row[2]
    return {group: count for group, count in found.items() if count > 0}


def queue(
    engine: Engine,
    groups: Sequence[Group],
    order: Order = "unsure",
    after: Spot | None = None,
    size: int = 1,
) -> list[Entry]:
    """Return the next `size` files of `groups` in the queue, after a position.

    "unsure": first files below the threshold, the least confident first; then files with the reason neither,
    the most confident first. "alike": group by group, each in that order.
    """
    ranked = sorted(groups, key=_rank)
    with reading(engine) as connection:
        if order == "alike":
            return _one_by_one(connection, ranked, after, size)
        return _merged(connection, ranked, after, size)


def spot_of(entry: Entry) -> Spot:
    """Return the position of a file in the queue."""
    return Spot(Group(entry.reason, entry.prediction), entry.confidence or 0.0, entry.id)


def settled(engine: Engine) -> list[Settled]:
    """Count corrected files by model, verdict, the model's label and the correction."""
    columns = (
        files.c.model, files.c.model_sha256, files.c.verdict, files.c.reason, files.c.prediction,
        files.c.corrected_to,
    )  # fmt: skip
    counted = select(*columns, func.count()).where(text(IS_CORRECTED)).group_by(*columns).order_by(*columns)
    with reading(engine) as connection:
        return [_settled(*row) for row in connection.execute(counted)]


def _settled(
    model: str | None,
    sha256: str | None,
    verdict: str,
    reason: str | None,
    prediction: str | None,
    corrected_to: str,
    count: int,
) -> Settled:
    label = NEITHER if reason == NEITHER else prediction
    return Settled(model, sha256, verdict, label, corrected_to, count)


def _rank(group: Group) -> tuple[bool, str, str]:
    return group.reason == NEITHER, group.reason or "", group.prediction or ""


def _one_by_one(
    connection: Connection, ranked: Sequence[Group], after: Spot | None, size: int
) -> list[Entry]:
    found: list[Entry] = []
    for group in ranked:
        if after is not None and _rank(group) < _rank(after.group):
            continue
        start = after if after is not None and after.group == group else None
        found += _of_group(connection, group, start, size - len(found))
        if len(found) >= size:
            break
    return found


def _merged(connection: Connection, ranked: Sequence[Group], after: Spot | None, size: int) -> list[Entry]:
    found: list[Entry] = []
    for is_neither in (False, True):
        alike = [group for group in ranked if (group.reason == NEITHER) == is_neither]
        passed = after is not None and (after.group.reason == NEITHER) > is_neither
        if passed or len(found) >= size:
            continue
        start = after if after and (after.group.reason == NEITHER) == is_neither else None
        parts = [_of_group(connection, group, start, size) for group in alike]
        found += heapq.merge(*parts, key=_key(is_neither))
    return found[:size]


def _key(falling: bool) -> Callable[[Entry], tuple[float, int]]:
    sign = -1 if falling else 1
    return lambda entry: (sign * (entry.confidence or 0.0), sign * entry.id)


def _of_group(connection: Connection, group: Group, after: Spot | None, size: int) -> list[Entry]:
    same = _same(files.c.reason, group.reason), _same(files.c.prediction, group.prediction)
    chosen = select(*FILE_COLUMNS).where(text(IS_UNREVIEWED), *same, *not_asked(connection))
    return [entry_of(row) for row in connection.execute(_placed(chosen, group, after).limit(size))]


def _placed(chosen: Select[Any], group: Group, after: Spot | None) -> Select[Any]:
    # A photo that was not classified has no confidence; `spot_of` and `_key` take it for 0.
    place = tuple_(literal(0.0) if group.prediction is None else files.c.confidence, files.c.id)
    falling = group.reason == NEITHER
    if after is not None:
        spot = tuple_(literal(after.confidence), literal(after.id))
        chosen = chosen.where(place < spot if falling else place > spot)
    order = [files.c.confidence, files.c.id]
    return chosen.order_by(*(column.desc() if falling else column for column in order))


def _same(column: ColumnElement[Any], value: str | None) -> ColumnElement[bool]:
    return column.is_(None) if value is None else column == value
