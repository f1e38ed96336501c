"""The tables, and the view people query, as SQLAlchemy sees them.

The schema itself is made by `db/migrations`; a test holds the two together.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal, cast, get_args

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.schema.columns import ROW_ID, ExactInt, Folder, Name, UtcTime, Words
from db.schema.file_names import RawName

State = Literal["claimed", "decoding", "decided", "filed", "vanished", "undone"]
MoveKind = Literal["correct", "undo"]

# Conditions of partial indexes. As text, with no bound values, because such an index is used only by a query
# that repeats its condition.
IS_UNFINISHED = "state IN ('claimed', 'decoding', 'decided')"
IS_FILED = "state = 'filed'"
IS_UNDONE = "state = 'undone'"
IS_PENDING = "done_at IS NULL"

IMPORTED = "imported"
"""The reason of a row that was made for a file found in a folder; see `db.ledger.imported`."""
IS_UNREVIEWED = "outcome = 'uncertain' AND corrected_to IS NULL"
IS_FAILED = "outcome = 'failed'"
IS_CORRECTED = "corrected_to IS NOT NULL"


def _index(name: str, *columns: str, where: str | None = None, **options: Any) -> Index:
    condition = None if where is None else text(where)
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition, **options)


class Base(DeclarativeBase):
    """The metadata that the migrations are held to."""


class FileRow(Base):
    """One delivery of one file, from its claim to where it lies now.

    `verdict` is the outcome that was decided on; `outcome` is the folder in which the file is, so it is NULL
    until the file is there and again after an undo. `path` is where the file is by the book: in the spool
    while claimed, decoding or decided; at its destination once filed; back in its inbox once undone; NULL
    once vanished.

    `answer_key` tells whether the same content would get the same answer again: model, settings and versions
    in short, NULL where they are unknown. It is not in the view, whose columns are also those of reports.

    (dev, ino, mtime_ns, bytes) is not unique: two hard links to one photo are two deliveries of equal
    identity. What keeps a file from being claimed twice is the worker's lock, and the rename into the spool,
    which finds the file only once.
    """

    __tablename__ = "files"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=True)
    spool_name: Mapped[str] = mapped_column(Folder)
    state: Mapped[str] = mapped_column(Text)
    inbox: Mapped[str] = mapped_column(Folder)
    source: Mapped[RawName] = mapped_column(Name)
    name: Mapped[RawName] = mapped_column(Name)
    path: Mapped[RawName | None] = mapped_column(Name)
    destination: Mapped[RawName | None] = mapped_column(Name)
    verdict: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(Text)
    prediction: Mapped[str | None] = mapped_column(Text)
    confidence: Mapped[float | None] = mapped_column(Double)
    reason: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[str | None] = mapped_column(Words)
    scores: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))
    dev: Mapped[int] = mapped_column(ExactInt)
    ino: Mapped[int] = mapped_column(ExactInt)
    bytes: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(ExactInt)
    sha256: Mapped[str | None] = mapped_column(Text)
    format: Mapped[str | None] = mapped_column(Text)
    width: Mapped[int | None] = mapped_column(BigInteger)
    height: Mapped[int | None] = mapped_column(BigInteger)
    taken_at: Mapped[str | None] = mapped_column(Words)
    model: Mapped[str | None] = mapped_column(Text)
    model_sha256: Mapped[str | None] = mapped_column(Text)
    duplicate_of: Mapped[int | None] = mapped_column(ForeignKey("files.id"))
    corrected_to: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer)
    seen_at: Mapped[dt.datetime] = mapped_column(UtcTime)
    claimed_at: Mapped[dt.datetime] = mapped_column(UtcTime)
    decided_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)
    filed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)
    changed_at: Mapped[dt.datetime] = mapped_column(UtcTime)
    answer_key: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint(f"state IN {get_args(State)}", name="ck_files_state"),
        # Partial wherever possible: a row enters such an index once, when its value is known.
        _index("ix_files_unfinished", "id", where=IS_UNFINISHED),
        _index("ix_files_undone", "id", where=IS_UNDONE),
        # A hash, because a B-tree of PostgreSQL refuses values above 2,704 bytes and a path may have more.
        _index("ix_files_path", "path", where=IS_FILED, postgresql_using="hash"),
        _index("ix_files_filed_at", "filed_at", where="filed_at IS NOT NULL"),
        _index("ix_files_sha256", "sha256", where="sha256 IS NOT NULL"),
        # Counts of an outcome by day, and a page of it newest first, without a look at the rows.
        _index("ix_files_outcome", "outcome", "seen_at", where="outcome IS NOT NULL"),
        # Photos that were filed and never disputed, nearly all, are in none of these three.
        # They begin with what their condition fixes: SQLite then prefers them, and never looks at the rows.
        _index(
            "ix_files_unreviewed",
            *("outcome", "corrected_to", "reason", "prediction", "confidence"),
            where=IS_UNREVIEWED,
        ),
        _index("ix_files_failed", "outcome", "reason", "seen_at", where=IS_FAILED),
        _index(
            "ix_files_corrected",
            *("model", "model_sha256", "verdict", "reason", "prediction", "corrected_to"),
            where=IS_CORRECTED,
        ),
        _index("ix_files_confidence", "confidence", where="confidence IS NOT NULL"),
        _index("ix_files_name", "name"),
        _index("ix_files_seen_at", "seen_at"),
        {"sqlite_autoincrement": True},
    )


class MoveRow(Base):
    """A correction or an undo: the intent before the rename, done once the rename is durable.

    `undoes` names the correction that an undo takes back; NULL means that it takes back the filing itself.
    """

    __tablename__ = "moves"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("files.id"))
    kind: Mapped[str] = mapped_column(Text)
    source: Mapped[RawName] = mapped_column(Name)
    destination: Mapped[RawName] = mapped_column(Name)
    old_outcome: Mapped[str | None] = mapped_column(Text)
    new_outcome: Mapped[str | None] = mapped_column(Text)
    old_corrected_to: Mapped[str | None] = mapped_column(Text)
    new_corrected_to: Mapped[str | None] = mapped_column(Text)
    undoes: Mapped[int | None] = mapped_column(ForeignKey("moves.id"))
    by: Mapped[str] = mapped_column(Words)
    began_at: Mapped[dt.datetime] = mapped_column(UtcTime)
    done_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)

    __table_args__ = (
        CheckConstraint(f"kind IN {get_args(MoveKind)}", name="ck_moves_kind"),
        _index("ix_moves_pending", "file_id", where=IS_PENDING, unique=True),
        _index("ix_moves_file_id", "file_id"),
        _index("ix_moves_undoes", "undoes", where="undoes IS NOT NULL"),
        _index("ix_moves_done_at", "done_at"),
        {"sqlite_autoincrement": True},
    )


class ReportRow(Base):
    """A day whose reports are written, and how many of its files were waiting then."""

    __tablename__ = "reports"

    day: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    written_at: Mapped[dt.datetime] = mapped_column(UtcTime)
    waiting: Mapped[int] = mapped_column(Integer)


results = Table(
    "results",
    # Of its own, so that nobody creates the view as a table.
    MetaData(),
    Column("id", ROW_ID, primary_key=True),
    Column("name", Text),
    Column("inbox", Text),
    Column("source_path", Text),
    Column("path", Text),
    Column("state", Text),
    Column("outcome", Text),
    Column("prediction", Text),
    Column("confidence", Double),
    Column("reason", Text),
    Column("scores", JSON),
    Column("sha256", Text),
    Column("bytes", BigInteger),
    Column("format", Text),
    Column("width", BigInteger),
    Column("height", BigInteger),
    Column("taken_at", Text),
    Column("model", Text),
    Column("model_sha256", Text),
    Column("duplicate_of", ROW_ID),
    Column("corrected_to", Text),
    Column("seen_at", UtcTime),
    Column("decided_at", UtcTime),
    Column("filed_at", UtcTime),
)
"""The view: one row for each file that arrived, names in their readable form.

A file that vanished before the worker had it did not arrive, so it is left out; so is a row that ended since
its file came in again, or another took its place. `outcome` is NULL while a file waits in the spool, and
again when an undo has put it back into its inbox.
"""

files = cast(Table, FileRow.__table__)
moves = cast(Table, MoveRow.__table__)
reports = cast(Table, ReportRow.__table__)
