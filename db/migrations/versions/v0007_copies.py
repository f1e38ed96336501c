"""An index of copies by their first, so that a row that is forgotten does not read the whole table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the index."""
    condition = sa.text("duplicate_of IS NOT NULL")
    op.create_index(
        "ix_files_duplicate_of",
        "files",
        ["duplicate_of"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
