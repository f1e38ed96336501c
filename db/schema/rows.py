"""Make records from rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Connection, Row, Text, TextClause, case, select, type_coerce

from db.schema.columns import Name
from db.schema.records import Entry, Move
from db.schema.tables import files, moves

T = TypeVar("T")

PIECE = 500
"""Most values in one IN: every database accepts so many, and SQLAlchemy caches the statement."""

FILE_COLUMNS = tuple(files.c[field.name] for field in fields(Entry))
MOVE_COLUMNS = tuple(moves.c[field.name] for field in fields(Move))


# Text forms of paths can be joined.
_ORIGINAL = type_coerce(files.c.inbox, Text) + "/" + type_coerce(files.c.source, Text)
_CONTENT = case((files.c.action == "symlink", _ORIGINAL), else_=type_coerce(files.c.path, Text))
CONTENT_PATH = type_coerce(_CONTENT, Name()).label("path")
"""The path of the file with a row's content: its own, or of the original that its symbolic link names."""


def entry_of(row: Row[Any]) -> Entry:
    """Return a row of FILE_COLUMNS as a record."""
    return Entry(*cast(tuple[Any, ...], row))


def move_of(row: Row[Any]) -> Move:
    """Return a row of MOVE_COLUMNS as a record."""
    return Move(*cast(tuple[Any, ...], row))


def entries_by(connection: Connection, *conditions: ColumnElement[bool] | TextClause) -> list[Entry]:
    """Return the rows of files that meet all `conditions`, oldest first."""
    found = connection.execute(select(*FILE_COLUMNS).where(*conditions).order_by(files.c.id))
    return [entry_of(row) for row in found]


def in_pieces(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut `values` into pieces short enough for an IN."""
    for start in range(0, len(values), PIECE):
        yield values[start : start + PIECE]
