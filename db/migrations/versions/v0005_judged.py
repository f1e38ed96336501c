"""What people said, in full: who judged a photo and when, what they did to its file by hand, spot checks.

Also how bright a picture is, for the report on drift.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime(timezone=True).with_variant(sa.Text, "sqlite")

_STATES = "'claimed', 'decoding', 'decided', 'filed', 'vanished', 'undone'"
_KINDS = "'correct', 'undo'"

_RESULTS = """
CREATE VIEW results AS SELECT
    id, name, inbox, inbox || '/' || source AS source_path, path, state, outcome, prediction, confidence,
    reason, scores, sha256, bytes, format, width, height, taken_at, model, model_sha256, duplicate_of,
    corrected_to, seen_at, decided_at, filed_at, reviewed_by, reviewed_at, removed_at, brightness
FROM files WHERE state <> 'vanished'
"""

_LAST_CORRECTION = """
SELECT max(id) FROM moves WHERE file_id = files.id AND kind = 'correct' AND done_at IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM moves AS undo WHERE undo.undoes = moves.id AND undo.done_at IS NOT NULL)
"""
_REVIEWS = f"""
UPDATE files SET
    reviewed_by = (SELECT by FROM moves AS said WHERE said.id = ({_LAST_CORRECTION})),
    reviewed_at = (SELECT done_at FROM moves AS said WHERE said.id = ({_LAST_CORRECTION}))
WHERE corrected_to IS NOT NULL
"""  # noqa: S608 - no value of a user


def upgrade() -> None:
    """Add columns, states and kinds, and fill in who corrected what; the view is made anew."""
    op.execute("DROP VIEW results")
    for name, type_ in (
        ("reviewed_by", sa.Text),
        ("reviewed_at", _TIME),
        ("removed_at", _TIME),
        ("brightness", sa.Double),
    ):
        op.add_column("files", sa.Column(name, type_))
    for name in ("via", "old_sha256"):
        op.add_column("moves", sa.Column(name, sa.Text))
    _allow("files", "ck_files_state", f"state IN ({_STATES})", f"state IN ({_STATES}, 'removed')")
    more = "'follow', 'remove', 'return', 'edit'"
    _allow("moves", "ck_moves_kind", f"kind IN ({_KINDS})", f"kind IN ({_KINDS}, {more})")
    _index("ix_files_removed", "files", ["id"], "state = 'removed'")
    _index("ix_files_unread", "files", ["bytes"], "state = 'filed' AND sha256 IS NULL")
    _index("ix_files_reviewed_at", "files", ["reviewed_at"], "reviewed_at IS NOT NULL")
    _create_spot_checks()
    op.execute(_REVIEWS)
    op.execute(_RESULTS)


def _create_spot_checks() -> None:
    op.create_table(
        "spot_checks",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("file_id", _ID, sa.ForeignKey("files.id"), nullable=False),
        sa.Column("drawn_at", _TIME, nullable=False),
        sa.Column("stratum", sa.Text, nullable=False),
        sa.Column("weight", sa.Double, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("prediction", sa.Text),
        sa.Column("confidence", sa.Double),
        sa.Column("model", sa.Text),
        sa.Column("model_sha256", sa.Text),
        sa.Column("answered_at", _TIME),
        sa.Column("by", sa.Text),
        sa.Column("label", sa.Text),
        sa.Column("correct", sa.Boolean),
        sqlite_autoincrement=True,
    )
    _index("ix_spot_checks_file_id", "spot_checks", ["file_id"])
    _index("ix_spot_checks_answered_at", "spot_checks", ["answered_at"], "answered_at IS NOT NULL")


def _allow(table: str, name: str, before: str, after: str) -> None:
    """Widen a CHECK constraint without copying its table.

    SQLite cannot alter a constraint. Its documentation ("ALTER TABLE", section 7) says to edit the schema's
    text for changes that touch no stored row; a copy of a table of millions of rows would take minutes and
    drop the triggers of `file_names`.
    """
    if op.get_context().dialect.name != "sqlite":
        op.drop_constraint(name, table, type_="check")
        op.create_check_constraint(name, table, sa.text(after))
        return
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    edited = sa.text(
        "UPDATE sqlite_master SET sql = replace(sql, :before, :after) "
        "WHERE type = 'table' AND name = :name AND instr(sql, :before) > 0"
    )
    changed = connection.execute(edited, {"before": before, "after": after, "name": table}).rowcount
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    if changed != 1:
        raise RuntimeError(f"the constraint {name} of the table {table} is not as this migration expects it")


def _index(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
