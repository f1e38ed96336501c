"""A backup from before there could be many workers, restored into another PostgreSQL database."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from db.queries.workers import all_workers
from pipeline.errors import DatabaseError
from pipeline.files.moves import identity, sha256
from pipeline.settings import config
from pipeline.worker.startup import prepare_folders
from tests.db.conftest import create_database
from tests.pipeline.cli.conftest import Run
from tests.pipeline.many_workers.conftest import Machine
from tests.support.installation import QUICK
from tests.support.old_database import make_old

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def old_row(path: Path, inbox: Path) -> dict[str, Any]:
    """Return the row of a filed photo as the version before had it."""
    dev, ino, size, mtime_ns = identity(bytes(path))
    return {
        "spool_name": "1-0123abcd", "state": "filed", "inbox": str(inbox), "source": path.name,
        "name": path.name, "path": str(path), "destination": str(path), "verdict": "cats", "outcome": "cats",
        "prediction": "cat", "dev": str(dev), "ino": str(ino), "bytes": size, "mtime_ns": str(mtime_ns),
        "sha256": sha256(bytes(path)), "attempts": 0,
        **dict.fromkeys(("seen_at", "claimed_at", "decided_at", "filed_at", "changed_at"), NOW),
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("pg_dump") is None, reason="pg_dump is not here")
def test_an_older_backup_is_restored_and_its_rows_are_the_first_workers(
    tmp_path: Path, postgres: str, postgres_url: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(postgres_url, "0007", monkeypatch)
    path = tmp_path / "ann" / "config.yaml"
    path.parent.mkdir()
    path.write_text(f"{QUICK}database: {postgres_url}\nworker: ann\n")
    settings = config.load(path)
    prepare_folders(settings)
    photo = settings.sorted / "cats" / "a.jpg"
    photo.parent.mkdir()
    photo.write_bytes(b"cat")
    row = old_row(photo, settings.inboxes[0])
    old = create_engine(postgres_url)
    with old.begin() as connection:
        values = ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO files ({', '.join(row)}) VALUES ({values})"), row)
    old.dispose()
    assert run("backup", str(tmp_path / "backup.zip"), "--config", str(path)).code == 0
    refused = run("restore", str(tmp_path / "backup.zip"), "--into", str(tmp_path), "--config", str(path))
    assert (refused.code, "name it by PAWSORT_DATABASE" in refused.err) == (2, True)
    shutil.rmtree(settings.state)
    other = create_database(postgres)
    path.write_text(path.read_text().replace(postgres_url, other))
    empty = run("workers", "--config", str(path))
    assert (empty.code, "is empty. Start the worker" in empty.err) == (DatabaseError.exit_code, True)
    done = run("restore", str(tmp_path / "backup.zip"), "--config", str(path))
    assert (done.code, "migrated" in done.out) == (0, True), done.err
    prepare_folders(config.load(path))
    doctor = run("doctor", "--hashes", "--config", str(path))
    assert doctor.code == 0, doctor.out
    ann = Machine(tmp_path, other, "ann")
    assert [(worker.id, worker.name) for worker in all_workers(ann.everyone)] == [(1, "ann")]
    assert ann.rows("name") == [("a.jpg",)]
    ann.close()
