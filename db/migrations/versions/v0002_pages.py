"""Indexes for the pages: outcomes by day, what waits for a review, failures, what people said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the indexes; no row changes."""
    op.drop_index("ix_files_outcome", "files")
    _index("ix_files_outcome", ["outcome", "seen_at"], "outcome IS NOT NULL")
    doubts = "outcome = 'uncertain' AND corrected_to IS NULL"
    _index("ix_files_unreviewed", ["outcome", "corrected_to", "reason", "prediction", "confidence"], doubts)
    _index("ix_files_failed", ["outcome", "reason", "seen_at"], "outcome = 'failed'")
    said = ["model", "model_sha256", "verdict", "reason", "prediction", "corrected_to"]
    _index("ix_files_corrected", said, "corrected_to IS NOT NULL")


def _index(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "files", columns, sqlite_where=condition, postgresql_where=condition)
