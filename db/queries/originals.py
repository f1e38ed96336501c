"""Which originals were copied or linked, and which of them may be taken again. Raises DatabaseError."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, or_, select, text

from db.connection.engine import reading
from db.ledger.statements import UNDONE_FILING
from db.schema.file_names import RawName
from db.schema.records import Identity, from_words
from db.schema.tables import IS_GIVEN_UP, files

_COLUMNS = files.c.id, files.c.inbox, files.c.source, files.c.original
# A row that ended because its file was replaced in `sorted` is no wish for the original.
_IS_AGAIN = or_(files.c.filed_at.is_(None), UNDONE_FILING)


class TakenOriginal(NamedTuple):
    """An original as it was when it was taken; `inbox` is absolute, `source` relative to it."""

    id: int
    inbox: str
    source: RawName
    identity: Identity


def taken(engine: Engine) -> Iterator[TakenOriginal]:
    """Yield the originals that were taken and are not to be taken again, one by one."""
    again = select(files.c.id).where(text(IS_GIVEN_UP), _IS_AGAIN)
    yield from _read(engine, select(*_COLUMNS).where(files.c.original.is_not(None), files.c.id.not_in(again)))


def given_up(engine: Engine, since: datetime) -> list[TakenOriginal]:
    """Return the originals that may be taken again, by `retry` or because nothing was made, since then."""
    asked = text(f"files.{IS_GIVEN_UP}"), files.c.changed_at >= since
    return list(_read(engine, select(*_COLUMNS).where(*asked, _IS_AGAIN)))


def _read(engine: Engine, query: Select[Any]) -> Iterator[TakenOriginal]:
    with reading(engine) as connection:
        for id, inbox, source, original in connection.execute(query):
            yield TakenOriginal(id, inbox, source, from_words(original or ""))
