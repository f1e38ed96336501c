"""Figures of one day of arrivals, for the reports. Every function raises DatabaseError."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, and_, func, not_, or_, select

from db.connection.engine import reading
from db.schema.tables import IMPORTED, files
from db.schema.worker_tables import workers

_UNCERTAIN, _FAILED = "uncertain", "failed"


class Moments(NamedTuple):
    """Number, mean and variance of values; mean and variance are 0 without any."""

    values: int
    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What arrived on a day, each content once, as it was decided; corrections and deletions change nothing.

    `answered` photos have an answer of a model, `failed` ones none; `uncertain` are among the answered.
    `predictions` counts the answered by label. `size` is of log2 of megapixels. `model` is the name of the
    model that gave most answers, None if none was given.
    """

    answered: int
    failed: int
    uncertain: int
    predictions: dict[str, int]
    confidence: Moments
    brightness: Moments
    size: Moments
    model: str | None


def day_figures(engine: Engine, start: datetime, end: datetime) -> DayFigures:
    """Return the figures of the files with start <= seen_at < end."""
    within = _decided(start, end)
    c = files.c
    # A photo that a person deleted has no confidence any more, but those of its scores.
    removed = and_(c.state == "removed", c.verdict != _FAILED)
    grouped = select(
        c.verdict, c.prediction, c.model, func.count(),
        func.sum(c.confidence), func.sum(c.confidence * c.confidence),
        func.count(c.brightness), func.sum(c.brightness), func.sum(c.brightness * c.brightness),
    ).where(*within, not_(removed)).group_by(c.verdict, c.prediction, c.model)  # fmt: skip
    deleted = select(c.verdict, c.prediction, c.model, c.scores, c.brightness).where(*within, removed)
    sizes = select(c.width, c.height, func.count()).where(*within, c.width > 0, c.height > 0)
    with reading(engine) as connection:
        rows = [tuple(row) for row in connection.execute(grouped)]
        rows += [_alone(*row) for row in connection.execute(deleted)]
        sized = connection.execute(sizes.group_by(c.width, c.height)).all()
    return _figures(rows, [tuple(row) for row in sized])


def _decided(start: datetime, end: datetime) -> list[ColumnElement[bool]]:
    """Return conditions of files that a model answered, or that failed: no copies, none labelled by hand."""
    return [
        files.c.seen_at >= start,
        files.c.seen_at < end,
        files.c.state.not_in(("vanished", "noted")),
        files.c.duplicate_of.is_(None),
        or_(
            files.c.confidence.is_not(None),
            files.c.verdict == _FAILED,
            and_(files.c.state == "removed", files.c.prediction.is_not(None)),
        ),
        files.c.verdict.is_not(None),
        func.coalesce(files.c.reason, "") != IMPORTED,
    ]


def _alone(
    verdict: str, prediction: str, model: str, scores: dict[str, float] | None, brightness: float | None
) -> tuple[Any, ...]:
    """Return the group of one photo."""
    confidence, light = (scores or {}).get(prediction) or 0.0, brightness or 0.0
    seen = brightness is not None
    return verdict, prediction, model, 1, confidence, confidence**2, seen, light, light**2


def _figures(rows: list[tuple[Any, ...]], sized: list[tuple[int, int, int]]) -> DayFigures:
    outcomes, labels, models = Counter[str](), Counter[str](), Counter[str]()
    for verdict, prediction, model, count, *_ in rows:
        outcomes[verdict] += count
        if verdict != _FAILED:
            labels[str(prediction)] += count
            models[str(model)] += count
    answered = [row for row in rows if row[0] != _FAILED]
    return DayFigures(
        answered=labels.total(),
        failed=outcomes[_FAILED],
        uncertain=outcomes[_UNCERTAIN],
        predictions=dict(sorted(labels.items())),
        confidence=_moments((row[3], row[4], row[5]) for row in answered),
        brightness=_moments((row[6], row[7], row[8]) for row in rows),
        size=_moments(_logarithms(sized)),
        model=max(sorted(models), key=models.__getitem__, default=None),
    )


def _logarithms(sized: list[tuple[int, int, int]]) -> Iterable[tuple[int, float, float]]:
    for width, height, count in sized:
        power = math.log2(width * height / 1e6)
        yield count, count * power, count * power * power


def _moments(sums: Iterable[tuple[int, float | None, float | None]]) -> Moments:
    """Return the moments of parts, each a number of values, their sum, and that of their squares."""
    parts = [(count, total or 0.0, squares or 0.0) for count, total, squares in sums]
    count = sum(part[0] for part in parts)
    if not count:
        return Moments(0, 0.0, 0.0)
    mean = math.fsum(part[1] for part in parts) / count
    return Moments(count, mean, max(0.0, math.fsum(part[2] for part in parts) / count - mean * mean))


def arrived(engine: Engine, start: datetime, end: datetime) -> dict[tuple[str, str], int]:
    """Count by worker and inbox the rows of `results` with start <= seen_at < end, without noted files.

    The name of a worker is empty before its first start.
    """
    within = files.c.seen_at >= start, files.c.seen_at < end, files.c.state.not_in(("vanished", "noted"))
    place = files.c.worker_id, files.c.inbox
    counted = select(*place, func.count()).where(*within).group_by(*place).order_by(*place)
    with reading(engine) as connection:
        names = dict(connection.execute(select(workers.c.id, workers.c.name)).all())
        found: Counter[tuple[str, str]] = Counter()
        for worker, inbox, count in connection.execute(counted):
            found[names.get(worker) or "", inbox] += count
    return dict(found)
