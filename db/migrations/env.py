"""Run the migrations on the connection and in the transaction that `db.connection.engine.upgrade` opened."""

from __future__ import annotations

from alembic import context

from db.schema.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
)
context.run_migrations()
