"""The base of the tables, and their indexes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import DeclarativeBase


def index(name: str, *columns: str, where: str | None = None, **options: Any) -> Index:
    """Return an index of the rows that meet `where`, a condition as text, in every database."""
    condition = None if where is None else text(where)
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition, **options)


class Base(DeclarativeBase):
    """Base of the tables; its metadata must agree with the migrations."""
