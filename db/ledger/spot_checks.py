"""Record spot checks: which photos were drawn, and what a person said of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Engine, and_, func, insert, literal, null, select, text, update

from db.connection.engine import writing
from db.connection.postgres import lock_draws
from db.schema.columns import UtcTime
from db.schema.rows import in_pieces
from db.schema.tables import IS_FILED, files, spot_checks

_COPIED = ("outcome", "prediction", "confidence", "model", "model_sha256")


class Sampled(NamedTuple):
    """A photo that was drawn of a stratum, and how many photos of it this one stands for."""

    file_id: int
    stratum: str
    weight: float


def record_draw(engine: Engine, sample: Sequence[Sampled], at: datetime) -> int:
    """Record that photos were drawn, with their answers as they are now; return how many still lie there.

    They are asked in the order of `sample`. One that another machine has drawn meanwhile is left out. Raises
    DatabaseError.
    """
    count = 0
    drawn = select(spot_checks.c.id).where(spot_checks.c.file_id == files.c.id).exists()
    with writing(engine) as connection:
        if connection.dialect.name != "sqlite":  # where one transaction writes at a time
            lock_draws(connection)
        for one in sample:
            values = (
                select(
                    files.c.id, literal(at, UtcTime), literal(one.stratum), literal(one.weight),
                    *(files.c[name] for name in _COPIED),
                ).where(files.c.id == one.file_id, files.c.corrected_to.is_(None), text(IS_FILED), ~drawn)
            )  # fmt: skip
            columns = ["file_id", "drawn_at", "stratum", "weight", *_COPIED]
            inserted = insert(spot_checks).from_select(columns, values).returning(spot_checks.c.id)
            count += len(connection.execute(inserted).all())
    return count


def record_answers(engine: Engine, file_ids: Sequence[int], label: str, by: str, at: datetime) -> None:
    """Record what a person said of photos that were drawn. Raises DatabaseError."""
    with writing(engine) as connection:
        for part in in_pieces(file_ids):
            said = update(spot_checks).where(spot_checks.c.file_id.in_(part))
            right = func.coalesce(spot_checks.c.prediction, "") == label
            connection.execute(said.values(answered_at=at, by=by, label=label, correct=right))


def forget_undone(engine: Engine) -> None:
    """Take back the answers whose corrections were undone. Raises DatabaseError."""
    undone = and_(
        files.c.id == spot_checks.c.file_id, text(f"files.{IS_FILED}"), files.c.corrected_to.is_(None)
    )
    answered = spot_checks.c.answered_at.is_not(None), select(files.c.id).where(undone).exists()
    nothing = {"answered_at": null(), "by": null(), "label": null(), "correct": null()}
    with writing(engine) as connection:
        connection.execute(update(spot_checks).where(*answered).values(**nothing))
