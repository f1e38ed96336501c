"""Which originals were copied or linked, and which of them may be taken again. Raises DatabaseError."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, or_, select, text

from db.connection.engine import reading
from db.ledger.statements import UNDONE_FILING
from db.schema.file_names import RawName, unescape
from db.schema.records import Identity, from_words
from db.schema.rows import in_pieces
from db.schema.tables import IS_GIVEN_UP, files

_COLUMNS = files.c.id, files.c.inbox, files.c.source, files.c.original, files.c.companions
# A row that ended because its file was replaced in `sorted` is no wish for the original.
_IS_AGAIN = or_(files.c.filed_at.is_(None), UNDONE_FILING)


class TakenOriginal(NamedTuple):
    """An original as it was when it was taken; `inbox` is absolute, `source` relative to it.

    `companions` are the names of the files beside it that were taken too.
    """

    id: int
    inbox: str
    source: RawName
    identity: Identity
    companions: tuple[RawName, ...] = ()


def taken(engine: Engine) -> Iterator[TakenOriginal]:
    """Yield the originals that were taken and are not to be taken again, one by one."""
    again = select(files.c.id).where(text(IS_GIVEN_UP), _IS_AGAIN)
    yield from _read(engine, select(*_COLUMNS).where(files.c.original.is_not(None), files.c.id.not_in(again)))


def given_up(engine: Engine, since: datetime) -> list[TakenOriginal]:
    """Return the originals that may be taken again, by `retry` or because nothing was made, since then."""
    asked = text(f"files.{IS_GIVEN_UP}"), files.c.changed_at >= since
    return list(_read(engine, select(*_COLUMNS).where(*asked, _IS_AGAIN)))


def companions(engine: Engine, inbox: str, sources: Collection[RawName]) -> dict[RawName, set[RawName]]:
    """Return the names of the companions with which earlier versions of these files were taken."""
    names = sorted({os.path.basename(source) for source in sources})
    found: dict[RawName, set[RawName]] = {}
    had = files.c.companions.is_not(None), files.c.original.is_not(None), files.c.inbox == inbox
    with reading(engine) as connection:
        for part in in_pieces(names):
            rows = select(files.c.source, files.c.companions).where(files.c.name.in_(part), *had)
            for source, companions in connection.execute(rows):
                found.setdefault(source, set()).update(map(unescape, companions))
    return {source: names for source, names in found.items() if source in sources}


def _read(engine: Engine, query: Select[Any]) -> Iterator[TakenOriginal]:
    with reading(engine) as connection:
        for id, inbox, source, original, companions in connection.execute(query):
            names = tuple(map(unescape, companions or ()))
            yield TakenOriginal(id, inbox, source, from_words(original or ""), names)
