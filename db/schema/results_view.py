"""The view `results`, for SQLAlchemy; `db/migrations` make it, and a test checks that the two agree."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Double, MetaData, Table, Text

from db.schema.columns import ROW_ID, UtcTime

results = Table(
    "results",
    MetaData(),  # separate, so that the view is not created as a table
    Column("id", ROW_ID, primary_key=True),
    Column("name", Text),
    Column("inbox", Text),
    Column("source_path", Text),
    Column("path", Text),
    Column("state", Text),
    Column("outcome", Text),
    Column("prediction", Text),
    Column("confidence", Double),
    Column("reason", Text),
    Column("scores", JSON),
    Column("sha256", Text),
    Column("bytes", BigInteger),
    Column("format", Text),
    Column("width", BigInteger),
    Column("height", BigInteger),
    Column("taken_at", Text),
    Column("model", Text),
    Column("model_sha256", Text),
    Column("duplicate_of", ROW_ID),
    Column("corrected_to", Text),
    Column("seen_at", UtcTime),
    Column("decided_at", UtcTime),
    Column("filed_at", UtcTime),
    Column("reviewed_by", Text),
    Column("reviewed_at", UtcTime),
    Column("removed_at", UtcTime),
    Column("brightness", Double),
    Column("companions", JSON),
    Column("taken_from", Text),
    Column("action", Text),
    Column("worker", Text),
)
"""The view: one row for each file that arrived, with names in their readable form.

It omits files that vanished before the worker took them, and rows that ended because their file arrived again
or another took its place. `outcome` is NULL while a file waits in the spool, and after an undo has put it
back into its inbox.
"""
