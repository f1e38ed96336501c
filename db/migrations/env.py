"""Run the migrations on the connection, and inside the transaction, that `db.engine.upgrade` opened."""

from __future__ import annotations

from alembic import context

from db.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
)
context.run_migrations()
