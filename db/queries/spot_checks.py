"""Queries of spot checks: the photos to draw from, those that wait for an answer, and the answers.

A photo that was drawn counts as answered while a judgement of its file stands, however that was made. Every
function raises DatabaseError.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, and_, case, func, literal, select, text

from db.connection.engine import reading
from db.queries.requests import not_asked
from db.schema.records import Entry
from db.schema.rows import FILE_COLUMNS, entry_of
from db.schema.tables import IMPORTED, IS_CORRECTED, IS_FILED, IS_REMOVED, IS_UNREVIEWED, files, spot_checks


class Drawn(NamedTuple):
    """A photo that was drawn: what it was then, and the `label` that a person gave it, None if none yet.

    The label is "" if a person moved it to `uncertain` without one, which says that it is wrong.
    `seen_at` is when the photo arrived.
    """

    id: int
    file_id: int
    drawn_at: datetime
    stratum: str
    weight: float
    outcome: str
    prediction: str | None
    confidence: float | None
    model_sha256: str | None
    seen_at: datetime
    label: str | None

    @property
    def right(self) -> bool:
        """Whether the label is that of the model."""
        return self.label == self.prediction


class Waiting(NamedTuple):
    """A photo that waits for an answer: the number of its spot check, and its row."""

    id: int
    entry: Entry


class Known(NamedTuple):
    """A photo that the model filed and that a person judged without a spot check."""

    outcome: str
    prediction: str
    label: str
    seen_at: datetime
    reviewed_at: datetime | None
    confidence: float | None
    model_sha256: str | None

    @property
    def right(self) -> bool:
        """Whether the label is that of the model."""
        return self.label == self.prediction


class Doubted(NamedTuple):
    """A photo that was not filed for its low confidence: its answer, and the `label` that a person gave."""

    confidence: float
    prediction: str
    seen_at: datetime
    label: str | None
    reviewed_at: datetime | None


_WAITS = (
    text(f"files.{IS_FILED}"), files.c.corrected_to.is_(None), files.c.outcome == spot_checks.c.outcome
)  # fmt: skip
"""The file lies where it was when it was drawn, and has no judgement."""

_NO_LABEL = ""
"""The label of a photo that a person took out of its class without saying what it is."""

_WITHDRAWN = and_(
    text(f"files.{IS_FILED}"),
    files.c.corrected_to.is_(None),
    files.c.outcome.in_(("uncertain", "failed")),
)

_FILED_BY_MODEL = and_(
    text(IS_FILED),
    files.c.prediction.is_not(None),
    # A photo without a row that `doctor --repair` found was not filed by the model.
    func.coalesce(files.c.reason, "") != IMPORTED,
)


def undrawn(engine: Engine, outcome: str, since: datetime | None, until: datetime | None) -> array[int]:
    """Return the ids of unjudged photos in a folder that were not drawn, of since <= seen_at < until."""
    arrived = [
        *([] if since is None else [files.c.seen_at >= since]),
        *([] if until is None else [files.c.seen_at < until]),
    ]
    drawn = select(spot_checks.c.id).where(spot_checks.c.file_id == files.c.id).exists()
    unjudged = files.c.corrected_to.is_(None)
    chosen = select(files.c.id).where(files.c.outcome == outcome, *arrived, unjudged, _FILED_BY_MODEL, ~drawn)
    with reading(engine) as connection:
        return array("q", connection.execute(chosen).scalars())


def waiting(
    engine: Engine, after: int = 0, size: int = 1, ids: Collection[int] | None = None
) -> list[Waiting]:
    """Return the next photos that wait for an answer, after a spot check; with `ids` only of these files."""
    only = [] if ids is None else [files.c.id.in_(ids)]
    chosen = _waiting(select(spot_checks.c.id, *FILE_COLUMNS)).where(spot_checks.c.id > after, *only)
    with reading(engine) as connection:
        unasked = chosen.where(*not_asked(connection))
        found = connection.execute(unasked.order_by(spot_checks.c.id).limit(size)).all()
    return [Waiting(row[0], entry_of(row[1:])) for row in found]  # type: ignore[arg-type]


def count_waiting(engine: Engine) -> int:
    """Count the photos that wait for an answer."""
    with reading(engine) as connection:
        # Not a join, which SQLite would begin with the table of files.
        waits = select(files.c.id).where(files.c.id == spot_checks.c.file_id, *_WAITS)
        there = waits.where(*not_asked(connection)).exists()
        return connection.scalar(select(func.count()).select_from(spot_checks).where(there)) or 0


def drawn(engine: Engine) -> list[Drawn]:
    """Return the photos that were drawn, in their order, with their answers."""
    columns = [spot_checks.c[name] for name in Drawn._fields[:9]]
    chosen = select(*columns, files.c.seen_at, _label()).join(files, files.c.id == spot_checks.c.file_id)
    with reading(engine) as connection:
        return [Drawn(*row) for row in connection.execute(chosen.order_by(spot_checks.c.id))]


def judged_without(engine: Engine, outcomes: Collection[str]) -> Iterator[Known]:
    """Yield the photos that the model filed in `outcomes`, judged by people, and never drawn.

    One that was moved to `uncertain` without a label is wrong, and has the label "".
    """
    drawn = select(spot_checks.c.id).where(spot_checks.c.file_id == files.c.id).exists()
    columns = (
        files.c.verdict, files.c.prediction, func.coalesce(files.c.corrected_to, _NO_LABEL), files.c.seen_at,
        case((_WITHDRAWN, files.c.changed_at), else_=files.c.reviewed_at),
        files.c.confidence, files.c.model_sha256,
    )  # fmt: skip
    chosen = select(*columns).where(files.c.verdict.in_(outcomes), _FILED_BY_MODEL, ~drawn)
    with reading(engine) as connection:
        for part in (text(IS_CORRECTED), _WITHDRAWN):
            for row in connection.execute(chosen.where(part)):
                yield Known(*row)


def doubted(engine: Engine, model_sha256: str, most: int) -> list[Doubted]:
    """Return the photos that a model did not file for their low confidence, the most confident first.

    Also those that a person deleted: who reviews `uncertain` may delete what is neither.
    """
    low = (
        files.c.verdict == "uncertain", files.c.reason == "low_confidence",
        files.c.model_sha256 == model_sha256, files.c.prediction.is_not(None),
    )  # fmt: skip
    columns = files.c.prediction, files.c.seen_at, files.c.corrected_to, files.c.reviewed_at
    chosen = select(files.c.confidence, *columns).where(*low, text(IS_FILED))
    ordered = chosen.order_by(files.c.confidence.desc()).limit(most)
    # These have no confidence any more, but that of their scores.
    deleted = select(files.c.scores, *columns).where(*low, text(IS_REMOVED), files.c.corrected_to.is_(None))
    with reading(engine) as connection:
        # Each has its index.
        found = [
            Doubted(*row)
            for part in (IS_UNREVIEWED, IS_CORRECTED)
            for row in connection.execute(ordered.where(text(part)))
        ]
        for scores, prediction, *rest in connection.execute(deleted):
            found.append(Doubted((scores or {}).get(prediction) or 0.0, prediction, *rest))
    return sorted(found, key=lambda photo: -photo.confidence)[:most]


def verdicts(engine: Engine) -> dict[str | None, int]:
    """Count the photos that lie in a folder by the folder that the model chose."""
    # By two indexes; the whole table takes a second for a million rows.
    has_one = files.c.outcome.is_not(None)
    lying = select(files.c.outcome, func.count()).where(has_one).group_by(files.c.outcome)
    moved = select(files.c.outcome, files.c.verdict, files.c.prediction).where(text(IS_CORRECTED))
    with reading(engine) as connection:
        counts: Counter[str | None] = Counter(dict(connection.execute(lying).all()))
        # Chosen and counted here, because SQLite would use the index of all outcomes for it.
        for outcome, verdict, prediction in connection.execute(moved):
            if outcome is not None:
                counts[outcome] -= 1
                # A photo that a person put into the folder has no prediction.
                counts[verdict] += prediction is not None
    return {verdict: count for verdict, count in counts.items() if count}


def _label() -> ColumnElement[str | None]:
    # The judgement that stands, which `undo` and later corrections change; else what was recorded.
    withdrawn = and_(_WITHDRAWN, files.c.outcome != spot_checks.c.outcome)
    standing = case((withdrawn, literal(_NO_LABEL)), else_=files.c.corrected_to)
    return case((text(f"files.{IS_FILED}"), standing), else_=spot_checks.c.label)


def _waiting(chosen: Any) -> Any:
    return chosen.join(files, files.c.id == spot_checks.c.file_id).where(*_WAITS)
