"""Backups each night, and how many are kept; before an upgrade of the database."""

from __future__ import annotations

import logging
import os
import sqlite3
import zipfile
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from db.connection import snapshots
from db.connection.postgres_dump import NoDumpError
from pipeline.backup import archive, scheduled
from pipeline.backup.make import make
from pipeline.backup.scheduled import BackupWriter, backups_in, before_upgrade, name_at
from pipeline.errors import BackupDamagedError, DatabaseError, SettingsError
from pipeline.service import housekeeping
from pipeline.service.housekeeping import Housekeeping
from pipeline.service.shared_ledger import SharedLedger
from pipeline.settings import config
from tests.pipeline.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.support.installation import Installation, wait
from tests.support.old_database import make_old

NIGHT = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)


@pytest.fixture
def nightly(pawsort: Installation) -> Installation:
    pawsort.config.write_text("backup: {at: '03:30', keep: 2}\n", encoding="utf-8")
    pawsort.settings = config.load(pawsort.config)
    return pawsort


@pytest.fixture
def writer(nightly: Installation) -> BackupWriter:
    return BackupWriter(nightly.settings, nightly.config, time(3, 30))


def names(writer: BackupWriter) -> list[str]:
    return sorted(os.listdir(writer.settings.backups))


def write(writer: BackupWriter, *moments: datetime) -> None:
    for moment in moments:
        writer.run_due(moment, lambda: None)


def test_one_backup_is_made_each_night_and_missed_ones_at_the_start(writer: BackupWriter) -> None:
    first = NIGHT + timedelta(hours=8)
    write(writer, first, first + timedelta(hours=1), NIGHT + timedelta(days=1, minutes=-1))
    assert names(writer) == [name_at(first)]
    write(writer, NIGHT + timedelta(days=1), NIGHT + timedelta(days=1, hours=2))
    assert names(writer) == [name_at(first), name_at(NIGHT + timedelta(days=1))]


def test_the_oldest_is_deleted_once_a_new_one_is_verified(writer: BackupWriter) -> None:
    nights = [NIGHT + timedelta(days=day) for day in range(4)]
    write(writer, *nights[:2])
    others = {"pawsort-before-upgrade-0005-20200101-000000.zip", "mine.zip", "pawsort-99999999-000000.zip"}
    for name in others:
        (writer.settings.backups / name).write_bytes(b"mine")
    write(writer, *nights[2:])
    assert set(names(writer)) == {*map(name_at, nights[2:]), *others}


def test_a_backup_that_fails_deletes_none(writer: BackupWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    nights = [NIGHT + timedelta(days=day) for day in range(3)]
    write(writer, *nights[:2])

    def refuse(*_: object, **__: object) -> None:
        raise BackupDamagedError("the disk wrote something else")

    monkeypatch.setattr(scheduled, "make", refuse)
    with pytest.raises(BackupDamagedError, match="wrote something else"):
        write(writer, nights[2])
    assert names(writer) == list(map(name_at, nights[:2]))


def test_a_clock_that_was_ahead_stops_no_backup(writer: BackupWriter) -> None:
    write(writer, NIGHT + timedelta(days=900), NIGHT)
    assert NIGHT in dict(backups_in(writer.settings.backups))


def test_a_backup_is_left_when_the_worker_stops(writer: BackupWriter) -> None:
    def stop() -> None:
        raise StopIteration

    with pytest.raises(StopIteration):
        writer.run_due(NIGHT, stop)
    assert names(writer) == []


def test_a_failure_shows_in_the_health_of_the_worker(
    nightly: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    nightly.settings.backups.write_text("a file in its place")
    keeping = Housekeeping.of(
        nightly.settings,
        nightly.engine,
        nightly.config,
        nightly.engine,
        SharedLedger(nightly.engine, 1, None),
    )
    with caplog.at_level(logging.ERROR):
        keeping.start()
        wait(lambda: keeping.notes, "the problem")
        keeping.follow_clock()
        keeping.stop()
    assert [note.partition(":")[0] for note in keeping.notes] == ["backup"]
    assert keeping.problem_of("backup") and not keeping.problem_of("keep")
    assert f"backup: Not a directory: '{nightly.settings.backups}'" in caplog.text


def fill(*_: object) -> None:
    """Raise what SQLite raises when the disk of the copy is full."""
    with closing(sqlite3.connect(":memory:")) as full:
        full.execute("PRAGMA max_page_count = 1")
        full.execute("CREATE TABLE large (number)")


def test_a_full_disk_is_named_by_the_folder_of_the_backups_and_not_by_the_database(
    writer: BackupWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = writer.settings.backups
    monkeypatch.setattr(snapshots, "_copy", fill)
    with pytest.raises(OSError, match="No space left on device") as error:
        write(writer, NIGHT)
    assert error.value.filename == str(folder)
    monkeypatch.undo()

    def write_to_full_disk(*_: object) -> None:
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"backup")

    monkeypatch.setattr(archive, "write", write_to_full_disk)
    with pytest.raises(OSError, match="No space left") as error:
        make(writer.settings, writer.config, folder / "mine.zip")
    assert error.value.filename == str(folder) and names(writer) == []


def test_without_a_time_there_is_no_schedule(pawsort: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "Schedule", None)
    assert (
        Housekeeping.of(
            pawsort.settings,
            pawsort.engine,
            pawsort.config,
            pawsort.engine,
            SharedLedger(pawsort.engine, 1, None),
        ).notes
        == []
    )


def test_a_folder_for_backups_may_not_lie_in_an_inbox(pawsort: Installation) -> None:
    pawsort.config.write_text("backup: {folder: inbox/backups}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"backup\.folder.*lies inside inboxes\.0"):
        config.load(pawsort.config)


def test_an_older_database_is_backed_up_before_it_is_migrated(
    run: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "state").mkdir()
    make_old(f"sqlite:///{tmp_path}/state/pawsort.db", "0005", monkeypatch)
    done = run("db", "upgrade")
    assert done.code == 0 and "backed up as" in done.out
    [made] = (tmp_path / "backups").glob("pawsort-before-upgrade-0005-*.zip")
    assert made.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(made) as opened:
        assert b'"revision": "0005"' in opened.read("manifest.json")
    assert "backed up" not in run("db", "upgrade").out, "nothing to migrate"
    assert len(list((tmp_path / "backups").iterdir())) == 1


def test_an_upgrade_without_a_backup_must_be_asked_for(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pawsort.settings.state / "pawsort.db").unlink()
    make_old(pawsort.settings.database_url, "0005", monkeypatch)

    def refuse(*_: object) -> None:
        raise NoDumpError("`pg_dump` is not installed.")

    monkeypatch.setattr(snapshots, "take", refuse)
    with pytest.raises(DatabaseError, match=r"`pg_dump` is not installed\. Nothing was changed.*--no-backup"):
        before_upgrade(pawsort.settings, pawsort.config)
    assert list(pawsort.settings.backups.iterdir()) == []
