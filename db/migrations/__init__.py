"""Migrations of the schema; `REVISIONS` lists them, oldest first, to compare versions without Alembic."""

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
