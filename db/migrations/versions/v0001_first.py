"""The tables, their indexes, and the view `results`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime(timezone=True).with_variant(sa.Text, "sqlite")

_RESULTS = """
CREATE VIEW results AS SELECT
    id, name, inbox, inbox || '/' || source AS source_path, path, state, outcome, prediction, confidence,
    reason, scores, sha256, bytes, format, width, height, taken_at, model, model_sha256, duplicate_of,
    corrected_to, seen_at, decided_at, filed_at
FROM files WHERE state <> 'vanished'
"""


def upgrade() -> None:
    """Make everything; the database is empty."""
    _create_files()
    _create_moves()
    op.create_table(
        "reports",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("written_at", _TIME, nullable=False),
        sa.Column("waiting", sa.Integer, nullable=False),
    )
    op.execute(_RESULTS)


def _create_files() -> None:
    op.create_table(
        "files",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("spool_name", "state", "inbox", "source", "name")
        ),
        *(
            sa.Column(name, sa.Text)
            for name in ("path", "destination", "verdict", "outcome", "prediction", "reason", "detail")
        ),
        sa.Column("confidence", sa.Double),
        sa.Column("scores", sa.JSON),
        sa.Column("dev", sa.Text, nullable=False),
        sa.Column("ino", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text),
        sa.Column("format", sa.Text),
        sa.Column("width", sa.BigInteger),
        sa.Column("height", sa.BigInteger),
        *(sa.Column(name, sa.Text) for name in ("taken_at", "model", "model_sha256", "corrected_to")),
        sa.Column("duplicate_of", _ID, sa.ForeignKey("files.id")),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("claimed_at", _TIME, nullable=False),
        sa.Column("decided_at", _TIME),
        sa.Column("filed_at", _TIME),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.CheckConstraint(
            "state IN ('claimed', 'decoding', 'decided', 'filed', 'vanished', 'undone')",
            name="ck_files_state",
        ),
        sqlite_autoincrement=True,
    )
    _index("ix_files_unfinished", "files", ["id"], "state IN ('claimed', 'decoding', 'decided')")
    _index("ix_files_undone", "files", ["id"], "state = 'undone'")
    _index("ix_files_path", "files", ["path"], "state = 'filed'", postgresql_using="hash")
    _index("ix_files_filed_at", "files", ["filed_at"], "filed_at IS NOT NULL")
    _index("ix_files_sha256", "files", ["sha256"], "sha256 IS NOT NULL")
    _index("ix_files_outcome", "files", ["outcome", "id"], "outcome IS NOT NULL")
    _index("ix_files_confidence", "files", ["confidence"], "confidence IS NOT NULL")
    _index("ix_files_name", "files", ["name"])
    _index("ix_files_seen_at", "files", ["seen_at"])


def _create_moves() -> None:
    op.create_table(
        "moves",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("file_id", _ID, sa.ForeignKey("files.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.Text)
            for name in ("old_outcome", "new_outcome", "old_corrected_to", "new_corrected_to")
        ),
        sa.Column("undoes", _ID, sa.ForeignKey("moves.id")),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("began_at", _TIME, nullable=False),
        sa.Column("done_at", _TIME),
        sa.CheckConstraint("kind IN ('correct', 'undo')", name="ck_moves_kind"),
        sqlite_autoincrement=True,
    )
    _index("ix_moves_pending", "moves", ["file_id"], "done_at IS NULL", unique=True)
    _index("ix_moves_file_id", "moves", ["file_id"])
    _index("ix_moves_undoes", "moves", ["undoes"], "undoes IS NOT NULL")
    _index("ix_moves_done_at", "moves", ["done_at"])


def _index(name: str, table: str, columns: list[str], where: str | None = None, **options: Any) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition, **options)
