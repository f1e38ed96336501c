"""Keywords in the sidecars of filed photos: which are to be written, and which are."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine, select, text, update

from db.connection.engine import reading, writing
from db.ledger.move_records import readable
from db.schema.file_names import RawName
from db.schema.keywords import IS_KEYWORD_DUE, wanted_keyword
from db.schema.records import Entry
from db.schema.rows import FILE_COLUMNS, entry_of
from db.schema.tables import IS_PENDING, files, moves


class KeywordBook:
    """The keywords in the database of `engine`. Every method is one transaction and raises DatabaseError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(self, most: int, ids: Collection[int] | None = None, after: int = 0) -> list[tuple[Entry, str]]:
        """Return filed photos whose sidecar has another keyword than their answer, with that; "" for none.

        At most `most`, in the order of their ids, which are greater than `after`, and only of `ids` if these
        are given; none that a correction or an undo is moving.
        """
        moving = select(moves.c.id).where(moves.c.file_id == files.c.id, text(f"moves.{IS_PENDING}")).exists()
        is_due = text(IS_KEYWORD_DUE), files.c.id > after, ~moving
        asked = select(*FILE_COLUMNS).where(*is_due).order_by(files.c.id).limit(most)
        if ids is not None:
            asked = asked.where(files.c.id.in_(ids))
        with reading(self._engine) as connection:
            entries = [entry_of(row) for row in connection.execute(asked)]
        return [(each, wanted_keyword(each.outcome, each.corrected_to, each.prediction)) for each in entries]

    def write(self, file_id: int, keyword: str | None, companions: Collection[RawName] | None = None) -> None:
        """Record the keyword that a sidecar has now: "" for none yet, None if Pawsort does not write it.

        `companions` are the names of the photo's companions from now on, as they arrived.
        """
        beside = {} if companions is None else {"companions": readable(companions)}
        with writing(self._engine) as connection:
            connection.execute(update(files).where(files.c.id == file_id).values(keyword=keyword, **beside))
