"""In SQLite, an index of names by every three characters that follow each other, kept by triggers."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_DROP_OLD = "INSERT INTO file_names (file_names, rowid, name) VALUES ('delete', old.id, old.name)"
_ADD_NEW = "INSERT INTO file_names (rowid, name) VALUES (new.id, new.name)"


def upgrade() -> None:
    """Make the index and fill it: some seconds for a million rows. No row changes."""
    if op.get_context().dialect.name != "sqlite":
        # What PostgreSQL has for this is an extension that only its administrator may install.
        return
    # The names themselves stay in `files`.
    op.execute(
        "CREATE VIRTUAL TABLE file_names USING fts5 "
        "(name, content='files', content_rowid='id', tokenize='trigram', columnsize=0)"
    )
    op.execute("INSERT INTO file_names (file_names) VALUES ('rebuild')")
    _trigger("added", "AFTER INSERT", _ADD_NEW)
    _trigger("removed", "AFTER DELETE", _DROP_OLD)
    _trigger("renamed", "AFTER UPDATE OF id, name", f"{_DROP_OLD}; {_ADD_NEW}")


def _trigger(name: str, moment: str, what: str) -> None:
    op.execute(f"CREATE TRIGGER file_names_{name} {moment} ON files BEGIN {what}; END")
