"""The tables, for SQLAlchemy.

`db/migrations` make the schema itself; a test checks that the two agree.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal, cast, get_args

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

import db.schema.worker_tables  # noqa: F401 - Base.metadata is whole only with it
from db.schema.base import Base as Base
from db.schema.base import index
from db.schema.columns import ROW_ID, ExactInt, Folder, Name, UtcTime, Words
from db.schema.file_names import RawName
from db.schema.keywords import IS_KEYWORD_DUE
from db.schema.worker_tables import FIRST

State = Literal["claimed", "decoding", "decided", "filed", "vanished", "undone", "removed", "noted"]
MoveKind = Literal["correct", "undo", "follow", "remove", "return", "edit"]
Via = Literal["command", "page", "api", "folder", "check", "doctor", "keep"]
"""How a person, or a program for them, made a move; by `keep` of the settings, a failed file went."""

# SQL conditions of partial indexes. As text without bound values, because a database uses such an index only
# for a query that repeats its condition.
IS_UNFINISHED = "state IN ('claimed', 'decoding', 'decided')"
IS_FILED = "state = 'filed'"
IS_UNDONE = "state = 'undone'"
IS_REMOVED = "state = 'removed'"
IS_PENDING = "done_at IS NULL"
IS_GIVEN_UP = "state = 'vanished' AND original IS NOT NULL"
IS_NOTED = "state = 'noted'"

IMPORTED = "imported"
"""Reason of a row that `doctor --repair` made for a file without one; see `db.ledger.imported`."""
IS_UNREVIEWED = "state = 'filed' AND outcome = 'uncertain' AND corrected_to IS NULL"
IS_FAILED = "state = 'filed' AND outcome = 'failed'"
_HAS_FAILED = "outcome = 'failed'"
IS_UNREAD = "state = 'filed' AND sha256 IS NULL"
IS_CORRECTED = "corrected_to IS NOT NULL"
IS_BELOW = "source <> name"
"""It arrived in a folder of its inbox."""


class FileRow(Base):
    """One arrival of one file, from its claim to its present place.

    `verdict` is the outcome that was decided; `outcome` is the folder that contains the file, so it is NULL
    until the file is filed and again after an undo. `path` is the recorded place: in the spool while claimed,
    decoding or decided; at its destination once filed; in its inbox once undone; NULL once vanished. A row
    `removed`, whose file a person deleted, keeps the path and has no outcome.

    `reviewed_by` and `reviewed_at` are of the last correction or confirmation that stands. `brightness` is
    the mean of the decoded picture, 0 to 1.

    `action` is how the file was taken from its inbox; NULL if it was moved. `companions` are the names, as
    they arrived and in their readable form, of the files that lie beside the photo wherever it is, under
    names that follow from its own; NULL if there are none. `taken_from` says where `taken_at` was read.
    `original` is the identity that the original had when it was copied or linked, in words of
    `db.schema.records`; NULL if it was moved. That of the row is then of what was made. `keyword` is what
    Pawsort wrote into the photo's sidecar; "" if nothing yet, NULL if it is not to.

    `answer_key` is a digest of the model, settings and versions: equal content with an equal key has an equal
    answer. NULL if unknown. It is not in the view, whose columns are also those of reports.

    `worker_id` is the row of `workers` whose machine has the file: paths, dev and ino are of that machine. In
    SQLite, and in rows of versions before there could be many, it is 1.

    A row `noted` is of a backfill: its file lies at `path`, where it was found (for S3 a URL), `inbox` is the
    source of the run, and `outcome` the folder that was decided. Nothing moves its file.

    (dev, ino, mtime_ns, bytes) is not unique: two hard links to one photo are two arrivals. The worker's lock
    and the rename into the spool, which succeeds once, prevent a second claim of a file.
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
    reviewed_by: Mapped[str | None] = mapped_column(Words)
    reviewed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)
    removed_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)
    brightness: Mapped[float | None] = mapped_column(Double)
    action: Mapped[str | None] = mapped_column(Text)
    companions: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    taken_from: Mapped[str | None] = mapped_column(Text)
    original: Mapped[str | None] = mapped_column(Text)
    keyword: Mapped[str | None] = mapped_column(Text)
    worker_id: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __table_args__ = (
        CheckConstraint(f"state IN {get_args(State)}", name="ck_files_state"),
        # Partial where possible: a row enters such an index once, when its value is known.
        index("ix_files_unfinished", "id", where=IS_UNFINISHED),
        index("ix_files_undone", "id", where=IS_UNDONE),
        index("ix_files_removed", "id", where=IS_REMOVED),
        # A hash, because PostgreSQL's B-tree refuses values above 2,704 bytes and a path may be longer.
        index("ix_files_path", "path", where=IS_FILED, postgresql_using="hash"),
        # Serves counts of files in folders, by what is taken off the counts of all outcomes.
        index("ix_files_noted", "state", "outcome", "seen_at", where=IS_NOTED),
        index("ix_files_filed_at", "filed_at", where="filed_at IS NOT NULL"),
        index("ix_files_sha256", "sha256", where="sha256 IS NOT NULL"),
        # Serves counts of an outcome by day, and its newest files, without reading rows.
        index("ix_files_outcome", "outcome", "seen_at", where="outcome IS NOT NULL"),
        # Filed photos that were never corrected are in none of these three. Their first columns are those of
        # their condition, so that SQLite prefers them and reads no rows.
        index(
            "ix_files_unreviewed",
            *("state", "outcome", "corrected_to", "reason", "prediction", "confidence"),
            where=IS_UNREVIEWED,
        ),
        # Noted failures are in it too, for pages that show both.
        index("ix_files_failed", "outcome", "reason", "seen_at", "state", where=_HAS_FAILED),
        index(
            "ix_files_corrected",
            *("model", "model_sha256", "verdict", "reason", "prediction", "corrected_to"),
            where=IS_CORRECTED,
        ),
        index("ix_files_confidence", "confidence", where="confidence IS NOT NULL"),
        index("ix_files_name", "name"),
        index("ix_files_seen_at", "seen_at"),
        index("ix_files_folder", "source", where=IS_BELOW, postgresql_using="hash"),
        index("ix_files_taken_at", "taken_at", where="taken_at IS NOT NULL"),
        index("ix_files_unread", "bytes", where=IS_UNREAD),
        index("ix_files_reviewed_at", "reviewed_at", where="reviewed_at IS NOT NULL"),
        index("ix_files_given_up", "changed_at", where=IS_GIVEN_UP),
        index("ix_files_keyword_due", "id", where=IS_KEYWORD_DUE),
        # In SQLite all rows are of the first worker, so that the index is empty.
        Index("ix_files_worker", "worker_id", "id", sqlite_where=text(f"worker_id <> {FIRST}")),
        index("ix_files_duplicate_of", "duplicate_of", where="duplicate_of IS NOT NULL"),
        {"sqlite_autoincrement": True},
    )


class MoveRow(Base):
    """A correction or an undo: recorded before the rename, and done once the rename is durable.

    `undoes` is the correction that an undo reverts; NULL if it reverts the filing itself. The other kinds
    record what a person did to a filed file by hand: its path changed (`follow`), it was deleted (`remove`),
    it came back (`return`), its content changed (`edit`, with the `old_sha256`). `via` is how; NULL in rows
    of earlier versions.
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
    via: Mapped[str | None] = mapped_column(Text)
    old_sha256: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint(f"kind IN {get_args(MoveKind)}", name="ck_moves_kind"),
        index("ix_moves_pending", "file_id", where=IS_PENDING, unique=True),
        index("ix_moves_file_id", "file_id"),
        index("ix_moves_undoes", "undoes", where="undoes IS NOT NULL"),
        index("ix_moves_done_at", "done_at"),
        {"sqlite_autoincrement": True},
    )


class SpotCheckRow(Base):
    """A filed photo that was drawn at random for a person to judge.

    `weight` is how many photos of its `stratum` it stands for. Columns up to `model_sha256` are of the moment
    of drawing; `correct` is NULL until a person answered with `label`.
    """

    __tablename__ = "spot_checks"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("files.id"))
    drawn_at: Mapped[dt.datetime] = mapped_column(UtcTime)
    stratum: Mapped[str] = mapped_column(Text)
    weight: Mapped[float] = mapped_column(Double)
    outcome: Mapped[str] = mapped_column(Text)
    prediction: Mapped[str | None] = mapped_column(Text)
    confidence: Mapped[float | None] = mapped_column(Double)
    model: Mapped[str | None] = mapped_column(Text)
    model_sha256: Mapped[str | None] = mapped_column(Text)
    answered_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)
    by: Mapped[str | None] = mapped_column(Words)
    label: Mapped[str | None] = mapped_column(Text)
    correct: Mapped[bool | None] = mapped_column(Boolean)

    __table_args__ = (
        index("ix_spot_checks_file_id", "file_id"),
        index("ix_spot_checks_answered_at", "answered_at", where="answered_at IS NOT NULL"),
        {"sqlite_autoincrement": True},
    )


class ReportRow(Base):
    """A day whose reports were written, and how many of its files were waiting then."""

    __tablename__ = "reports"

    day: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    written_at: Mapped[dt.datetime] = mapped_column(UtcTime)
    waiting: Mapped[int] = mapped_column(Integer)


files = cast(Table, FileRow.__table__)
moves = cast(Table, MoveRow.__table__)
spot_checks = cast(Table, SpotCheckRow.__table__)
reports = cast(Table, ReportRow.__table__)
