"""Many workers on one PostgreSQL: whose each file is, requests to its owner. And what backfills loaded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime(timezone=True).with_variant(sa.Text, "sqlite")

_STATES = "'claimed', 'decoding', 'decided', 'filed', 'vanished', 'undone', 'removed'"

# Not a join, which the planner of SQLite might begin with the workers.
_RESULTS = """
CREATE VIEW results AS SELECT
    id, name, inbox, inbox || '/' || source AS source_path, path, state, outcome, prediction, confidence,
    reason, scores, sha256, bytes, format, width, height, taken_at, model, model_sha256, duplicate_of,
    corrected_to, seen_at, decided_at, filed_at, reviewed_by, reviewed_at, removed_at, brightness,
    companions, taken_from, CASE WHEN state <> 'noted' THEN coalesce(action, 'move') END AS action,
    (SELECT workers.name FROM workers WHERE workers.id = files.worker_id) AS worker
FROM files WHERE state <> 'vanished'
"""


def upgrade() -> None:
    """Give all rows that there are to the first worker, who gets its name when it starts."""
    op.execute("DROP VIEW results")
    _create_workers()
    _create_requests()
    op.create_table(
        "backfill_loads",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("loaded_at", _TIME, nullable=False),
    )
    # A constant default is recorded in the schema alone: no row is written, however many there are. There is
    # no foreign key, which SQLite adds to no column with a default; a worker's row is never deleted.
    op.add_column("files", sa.Column("worker_id", sa.Integer, nullable=False, server_default=sa.text("1")))
    # All rows of SQLite are of the first worker: there the index costs nothing.
    op.create_index("ix_files_worker", "files", ["worker_id", "id"], sqlite_where=sa.text("worker_id <> 1"))
    _count_owners()
    _allow_noted()
    _index_noted()
    op.execute(_RESULTS)


def _count_owners() -> None:
    """Let PostgreSQL know that all rows are of one worker; it would take each for the owner of few."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite" and connection.scalar(sa.text("SELECT id FROM files LIMIT 1")):
        op.execute("ANALYZE files (worker_id)")


def _create_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text),
        sa.Column("token", sa.Text),
        sa.Column("started_at", _TIME),
        sa.Column("beat_at", _TIME),
        sa.Column("stopped_at", _TIME),
        sa.Column("address", sa.Text),
        sa.Column("heartbeat", sa.JSON),
        sa.Column("silence_said_at", _TIME),
        sa.Column("retired_at", _TIME),
    )
    op.create_index("ix_workers_name", "workers", ["name"], unique=True)
    op.execute("INSERT INTO workers (name) VALUES (NULL)")


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("worker_id", sa.Integer, nullable=False),
        sa.Column("file_id", _ID, sa.ForeignKey("files.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("seen_version", _ID, nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("done_at", _TIME),
        sa.Column("problem", sa.Text),
        sqlite_autoincrement=True,
    )
    is_open = sa.text("done_at IS NULL")
    op.create_index(
        "ix_requests_open", "requests", ["worker_id"], sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_index("ix_requests_file_id", "requests", ["file_id"])
    refused = sa.text("problem IS NOT NULL")
    op.create_index(
        "ix_requests_refused", "requests", ["done_at"], sqlite_where=refused, postgresql_where=refused
    )
    op.create_index(
        "ix_requests_pending",
        "requests",
        ["file_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _index_noted() -> None:
    """Keep noted rows out of the queue of Review, and let counts tell them apart."""
    unreviewed = "state = 'filed' AND outcome = 'uncertain' AND corrected_to IS NULL"
    for name, columns, condition in (
        ("unreviewed", "state, outcome, corrected_to, reason, prediction, confidence", unreviewed),
        ("failed", "outcome, reason, seen_at, state", "outcome = 'failed'"),
        ("noted", "state, outcome, seen_at", "state = 'noted'"),
    ):
        op.execute(f"DROP INDEX IF EXISTS ix_files_{name}")
        op.execute(f"CREATE INDEX ix_files_{name} ON files ({columns}) WHERE {condition}")


def _allow_noted() -> None:
    """Allow the state `noted`; SQLite's schema is edited as text, for the reasons in v0005."""
    before, after = f"state IN ({_STATES})", f"state IN ({_STATES}, 'noted')"
    if op.get_context().dialect.name != "sqlite":
        op.drop_constraint("ck_files_state", "files", type_="check")
        op.create_check_constraint("ck_files_state", "files", sa.text(after))
        return
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    edited = sa.text(
        "UPDATE sqlite_master SET sql = replace(sql, :before, :after) "
        "WHERE type = 'table' AND name = 'files' AND instr(sql, :before) > 0"
    )
    changed = connection.execute(edited, {"before": before, "after": after}).rowcount
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    if changed != 1:
        raise RuntimeError("the constraint ck_files_state is not as this migration expects it")
