from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, insert, inspect

import db
from db.connection.engine import (
    DatabaseError,
    check_damage,
    open_database,
    reading,
    upgrade,
    writing,
)
from db.connection.errors import DatabaseUnavailable
from db.ledger.ledger import Ledger
from db.migrations import REVISIONS
from db.queries import listing
from db.schema.results_view import results
from db.schema.tables import Base, files, moves
from tests.db.conftest import NOON, SPOOL
from tests.support.old_database import make_old

ROOT = Path(__file__).parents[3]

# What people's own queries, notebooks and spreadsheets rely on.
PROMISED = [
    "id", "name", "inbox", "source_path", "path", "state", "outcome", "prediction", "confidence", "reason",
    "scores", "sha256", "bytes", "format", "width", "height", "taken_at", "model", "model_sha256",
    "duplicate_of", "corrected_to", "seen_at", "decided_at", "filed_at", "reviewed_by", "reviewed_at",
    "removed_at", "brightness", "companions", "taken_from", "action",
    "worker",
]  # fmt: skip


OLD_ROW = {
    "spool_name": "1-0123abcd", "state": "filed", "inbox": "/in", "source": b"a.jpg", "name": b"a.jpg",
    "path": b"/sorted/cats/a.jpg", "destination": b"/sorted/cats/a.jpg", "verdict": "cats", "outcome": "cats",
    "prediction": "cat", "confidence": 0.9, "scores": {"cat": 0.9}, "dev": 7, "ino": 1, "bytes": 1000,
    "mtime_ns": 5, "sha256": "c" * 64, "model": "stub", "model_sha256": "b" * 64, "attempts": 0,
    "seen_at": NOON, "claimed_at": NOON, "decided_at": NOON, "filed_at": NOON, "changed_at": NOON,
}  # fmt: skip


# A correction that was taken back, and one that stands.
OLD_MOVES: list[dict[str, object]] = [
    {
        "file_id": 1, "kind": kind, "source": b"/a", "destination": b"/b", "new_corrected_to": label,
        "undoes": undoes, "by": by, "began_at": NOON, "done_at": NOON,
    }
    for kind, label, undoes, by in (
        ("correct", "cat", None, "ann"), ("correct", "dog", None, "bob"), ("undo", "cat", 2, "bob"),
    )
]  # fmt: skip


def test_the_view_has_the_promised_columns_in_their_order(engine: Engine) -> None:
    with reading(engine) as connection:
        assert [column["name"] for column in inspect(connection).get_columns("results")] == PROMISED
        assert list(connection.exec_driver_sql("SELECT * FROM results").keys()) == PROMISED
    assert [column.name for column in results.columns] == PROMISED


def test_the_migrations_make_what_the_tables_say(engine: Engine) -> None:
    with reading(engine) as connection:
        # The index of names is a table of SQLite's own kind, of which SQLAlchemy knows nothing.
        ours = {"include_name": lambda name, kind, _: kind != "table" or not name.startswith("file_names")}
        context = MigrationContext.configure(connection, opts={"compare_type": True, **ours})
        assert compare_metadata(context, Base.metadata) == []


def test_indexes_have_the_conditions_that_the_tables_say(engine: Engine) -> None:
    # Alembic compares their columns only.
    with reading(engine) as connection:
        found = {
            index["name"]: "where" in str(index["dialect_options"])
            for table in Base.metadata.tables
            for index in inspect(connection).get_indexes(table)
        }
    said = {
        index.name: index.dialect_options[engine.dialect.name]["where"] is not None
        for table in Base.metadata.tables.values()
        for index in table.indexes
    }
    assert found == said


def test_revisions_are_listed_as_alembic_has_them() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "db" / "migrations"))
    config.set_main_option("path_separator", "os")
    history = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(history)) == REVISIONS


def test_an_upgrade_of_what_is_new_changes_nothing(url: str) -> None:
    upgrade(url)
    upgrade(url)
    open_database(url).dispose()


@pytest.mark.fault(86)
def test_an_upgrade_that_fails_leaves_what_was(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("alembic.op.execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        upgrade(url)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []
    upgrade(url)
    open_database(url).dispose()


@pytest.mark.fault(67, 86)
def test_migrations_that_cannot_be_read_make_no_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    with monkeypatch.context() as patch:
        # What Alembic makes of a folder that cannot be listed.
        patch.setattr("alembic.script.base.Script._list_py_dir", lambda *_: [])
        with pytest.raises(DatabaseUnavailable, match="its migrations lead to none"):
            upgrade(url)
    assert os.listdir(tmp_path) == []
    upgrade(url)
    open_database(url).dispose()


def test_a_worker_upgrades_an_empty_postgresql_database(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    assert inspect(engine).has_table("results")
    engine.dispose()


def test_the_migrations_are_in_the_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "migrations/**/*" in settings["tool"]["setuptools"]["package-data"]["db"]
    assert (Path(db.__file__).parent / "migrations" / "env.py").is_file()


def test_a_query_needs_no_alembic(sqlite_made: Path) -> None:
    code = f"""
import sys
from db.connection.engine import open_database
from db.queries import listing
engine = open_database("sqlite:///{sqlite_made}", "read")
listing.counts(engine)
list(listing.results(engine))
sys.exit("alembic" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("old_version", REVISIONS[:-1])
def test_a_database_of_an_older_version_is_refused_until_it_is_upgraded_and_keeps_its_rows(
    url: str, old_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(url, old_version, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr("db.connection.engine.check_version", lambda *_: None)
        old = open_database(url, "write")
        with writing(old) as connection:
            connection.execute(insert(files), [OLD_ROW])
        with writing(old) as connection:
            connection.exec_driver_sql("UPDATE files SET corrected_to = 'cat'")
            for move in OLD_MOVES:
                connection.execute(insert(moves), [move])
        old.dispose()
    with pytest.raises(DatabaseError, match="db upgrade"):
        open_database(url, "read")
    with pytest.raises(DatabaseError, match="db upgrade"):
        open_database(url, "worker")
    upgrade(url)
    engine = open_database(url)
    assert listing.counts(engine) == {"cats": 1, "waiting": 0}
    [entry] = Ledger(engine, SPOOL).same_content({"c" * 64: [1]})["c" * 64]
    assert (entry.name, entry.scores, entry.answer_key) == (b"a.jpg", {"cat": 0.9}, None)
    [row] = listing.results(engine)
    if old_version < "0005":  # from then on a correction writes it
        assert (row["reviewed_by"], row["reviewed_at"]) == ("ann", NOON)
    assert (row["companions"], row["taken_from"], row["action"]) == (None, None, "move")
    engine.dispose()


@pytest.mark.parametrize("old_version", REVISIONS[:-1])
def test_an_upgraded_database_takes_the_new_states_and_no_others(
    url: str, old_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(url, old_version, monkeypatch)
    upgrade(url)
    engine = open_database(url, "write")
    with writing(engine) as connection:
        connection.execute(insert(files), [{**OLD_ROW, "state": "removed"}])
        connection.execute(insert(moves), [{**OLD_MOVES[0], "kind": "follow"}])
    for table, row in ((files, {**OLD_ROW, "state": "lost"}), (moves, {**OLD_MOVES[0], "kind": "lose"})):
        with pytest.raises(DatabaseError), writing(engine) as connection:
            connection.execute(insert(table), [row])
    check_damage(engine)
    engine.dispose()


@pytest.mark.parametrize("lock", ["(1885435763, 1)", "(31632363057279604)"])
def test_a_database_that_a_worker_uses_is_not_upgraded(
    postgres_url: str, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of this version, and one of 0.1, each by the lock that it holds."""
    make_old(postgres_url, "0007", monkeypatch)
    engine = create_engine(postgres_url)
    with engine.connect() as worker:
        worker.exec_driver_sql(f"SELECT pg_advisory_lock{lock}")
        with pytest.raises(DatabaseError, match=r"stop the workers|stopped first"):
            upgrade(postgres_url)
    engine.dispose()
    upgrade(postgres_url)
