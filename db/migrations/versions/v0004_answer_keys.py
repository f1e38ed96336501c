"""What an answer depended on, in short, so that it is given again only under the same conditions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; it is NULL, and so says nothing, in all rows that there are."""
    op.add_column("files", sa.Column("answer_key", sa.Text))
