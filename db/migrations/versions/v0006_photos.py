"""How a file was taken from its inbox, what travels with it, where its date comes from, its keyword."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_RESULTS = """
CREATE VIEW results AS SELECT
    id, name, inbox, inbox || '/' || source AS source_path, path, state, outcome, prediction, confidence,
    reason, scores, sha256, bytes, format, width, height, taken_at, model, model_sha256, duplicate_of,
    corrected_to, seen_at, decided_at, filed_at, reviewed_by, reviewed_at, removed_at, brightness,
    companions, taken_from, coalesce(action, 'move') AS action
FROM files WHERE state <> 'vanished'
"""


_KEYWORD_DUE = (
    "state = 'filed' AND keyword <> CASE WHEN outcome IN ('uncertain', 'failed', 'duplicates') "
    "OR coalesce(corrected_to, prediction, 'neither') = 'neither' THEN '' "
    "ELSE coalesce(corrected_to, prediction) END"
)

_INDEXES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("ix_files_folder", "source", "source <> name", {"postgresql_using": "hash"}),
    ("ix_files_taken_at", "taken_at", "taken_at IS NOT NULL", {}),
    ("ix_files_given_up", "changed_at", "state = 'vanished' AND original IS NOT NULL", {}),
    ("ix_files_keyword_due", "id", _KEYWORD_DUE, {}),
)


def upgrade() -> None:
    """Add the columns, NULL in all rows that there are, and four indexes; the view is made anew."""
    op.execute("DROP VIEW results")
    for name in ("action", "taken_from", "original", "keyword"):
        op.add_column("files", sa.Column(name, sa.Text))
    op.add_column("files", sa.Column("companions", sa.JSON))
    for name, column, where, options in _INDEXES:
        condition = sa.text(where)
        op.create_index(
            name, "files", [column], sqlite_where=condition, postgresql_where=condition, **options
        )
    op.execute(_RESULTS)
