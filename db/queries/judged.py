"""Photos that people judged: corrections and confirmations, which teach and measure a model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Engine, func, select, text

from db.connection.engine import reading
from db.schema.file_names import RawName
from db.schema.rows import CONTENT_PATH
from db.schema.tables import IS_CORRECTED, IS_FILED, files

PAGE = 2_000


class Judged(NamedTuple):
    """A filed photo and the label that a person gave it last; the answer is of the model before."""

    id: int
    path: RawName
    sha256: str
    label: str
    prediction: str | None
    confidence: float | None
    outcome: str | None
    model: str | None
    model_sha256: str | None
    reviewed_by: str | None
    reviewed_at: datetime | None


_NAMED = {"label": files.c.corrected_to, "path": CONTENT_PATH}
_COLUMNS = tuple(_NAMED[field] if field in _NAMED else files.c[field] for field in Judged._fields)


def judged(engine: Engine) -> Iterator[Judged]:
    """Yield the judged photos, the oldest arrival first: of each content the one that was judged last.

    A page is in memory at a time. Raises DatabaseError.
    """
    # Of equal moments, the later arrival.
    order = files.c.reviewed_at.desc().nulls_last(), files.c.id.desc()
    rank = func.row_number().over(partition_by=files.c.sha256, order_by=order).label("rank")
    known = text(f"{IS_CORRECTED} AND {IS_FILED} AND sha256 IS NOT NULL")
    ranked = select(files.c.id, rank).where(known).subquery()
    with reading(engine) as connection:
        newest = select(ranked.c.id).where(ranked.c.rank == 1).order_by(ranked.c.id)
        ids = list(connection.execute(newest).scalars())
    for start in range(0, len(ids), PAGE):
        page = select(*_COLUMNS).where(files.c.id.in_(ids[start : start + PAGE]), known).order_by(files.c.id)
        with reading(engine) as connection:
            rows = connection.execute(page).all()
        yield from (Judged(*row) for row in rows)


def count(engine: Engine, since: datetime | None = None) -> int:
    """Count the photos judged after `since` (aware), all if None. Raises DatabaseError."""
    after = [] if since is None else [files.c.reviewed_at > since]
    counted = select(func.count()).select_from(files).where(text(IS_CORRECTED), text(IS_FILED), *after)
    with reading(engine) as connection:
        return connection.scalar(counted) or 0


class Filed(NamedTuple):
    """A photo that was filed by an answer, and not corrected."""

    id: int
    path: RawName
    sha256: str


def filed(engine: Engine, limit: int) -> list[Filed]:
    """Return the `limit` photos that were filed last by an answer, the latest first. Raises DatabaseError."""
    answered = text(f"{IS_FILED} AND NOT {IS_CORRECTED} AND sha256 IS NOT NULL AND prediction IS NOT NULL")
    newest = select(files.c.id, CONTENT_PATH, files.c.sha256).where(answered)
    newest = newest.order_by(files.c.filed_at.desc(), files.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        return [Filed(*row) for row in connection.execute(newest)]
