"""Find files by a part of their name.

In SQLite, a full-text index of trigrams (FTS5) finds parts of three characters and more, fast for any number
of rows. For shorter parts, and in PostgreSQL, all names are read.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Text, select, text, type_coerce

from db.connection.sqlite import can_search
from db.schema.file_names import can_stand
from db.schema.tables import files

RARE = 2_000
"""If more files match, reading the newest files finds some fast; fewer are looked up here."""

_TRIGRAM = 3

_LOOKED_UP = text("SELECT rowid FROM file_names WHERE file_names MATCH :phrase LIMIT :most")


def ids_by_name(connection: Connection, part: str) -> list[int] | None:
    """Return the ids of all files with `part` in their name, and perhaps more; None for more than RARE.

    More, because the index ignores case in every language.
    """
    if not can_stand(part):
        return []
    ids = _look_up(connection, part) if is_quick(connection, part) else _go_through(connection, part)
    return ids if len(ids) <= RARE else None


def is_quick(connection: Connection, part: str) -> bool:
    """Return whether an index finds `part`, so that the time does not grow with the number of rows."""
    return connection.dialect.name == "sqlite" and len(part) >= _TRIGRAM and can_search(connection)


def _look_up(connection: Connection, part: str) -> list[int]:
    phrase = '"' + part.replace('"', '""') + '"'
    return list(connection.execute(_LOOKED_UP, {"phrase": phrase, "most": RARE + 1}).scalars())


def _go_through(connection: Connection, part: str) -> list[int]:
    named = select(files.c.id).where(_named(connection, part)).limit(RARE + 1)
    return list(connection.execute(named).scalars())


def _named(connection: Connection, part: str) -> ColumnElement[bool]:
    name = type_coerce(files.c.name, Text)
    if connection.dialect.name == "sqlite":
        # SQLite's LIKE ignores case and can read the index.
        return name.contains(part, autoescape=True)
    return name.icontains(part, autoescape=True)
