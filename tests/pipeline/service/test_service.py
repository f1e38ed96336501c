from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from db.connection.engine import DatabaseUnavailable, open_database, reserved
from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.errors import DatabaseError, LockError, ModelError, PawsortError
from pipeline.service import reporting, service, worker_run
from pipeline.settings import config
from pipeline.settings.config import Settings
from pipeline.worker import counters, startup
from pipeline.worker.heartbeat import FILE_NAME, read
from tests.support.installation import SMALL, Installation
from tests.support.stub_classifier import BUNDLE, BrokenClassifier, StubClassifier

SETTINGS = """
decision: {min_confidence: 0.9}
watch: {mode: polling, settle_seconds: 0, rescan_seconds: 0.05}
batch: {wait_seconds: 0}
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(service, "load_bundle", lambda _: BUNDLE)
    (tmp_path / "config.yaml").write_text(SETTINGS, encoding="utf-8")
    return config.load(tmp_path / "config.yaml")


def once(settings: Settings) -> int:
    return service.run(settings, once=True, classifier=StubClassifier())


def drop(settings: Settings, name: str, data: bytes) -> None:
    (settings.inboxes[0] / name).write_bytes(data)


def test_the_first_start_makes_every_folder(settings: Settings) -> None:
    assert once(settings) == 0
    for folder in (*settings.inboxes, settings.spool, settings.reports, settings.sorted / "cats"):
        assert folder.is_dir()
    assert settings.spool.stat().st_mode & 0o777 == 0o700


def test_the_schedule_of_reports_follows_the_clock(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[worker_run.Schedule] = []
    monkeypatch.setattr(worker_run, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(worker_run.Schedule, "follow_clock", lambda schedule: followed.append(schedule))
    once(settings)
    assert followed


def test_an_inbox_that_went_is_waited_for_and_not_made_again(settings: Settings) -> None:
    once(settings)
    settings.inboxes[0].rmdir()
    assert once(settings) == 1, "an inbox that cannot be seen is no success"
    assert not settings.inboxes[0].exists()


def test_an_inbox_that_is_new_in_the_settings_is_made(settings: Settings, tmp_path: Path) -> None:
    once(settings)
    (tmp_path / "config.yaml").write_text("inboxes: [inbox, scans]" + SETTINGS, encoding="utf-8")
    assert once(config.load(tmp_path / "config.yaml")) == 0
    assert (tmp_path / "scans").is_dir()


def test_a_bare_mount_point_takes_no_files(settings: Settings) -> None:
    once(settings)
    drop(settings, "a.jpg", b"1<cat>")
    once(settings)
    shutil.rmtree(settings.sorted)
    drop(settings, "b.jpg", b"2<cat>")
    with pytest.raises(PawsortError, match="1 files were filed and none of their folders is there"):
        once(settings)
    assert (settings.inboxes[0] / "b.jpg").exists()
    (settings.sorted / "failed").mkdir(parents=True)
    assert once(settings) == 0


def test_a_failed_file_shows_in_the_exit_code(settings: Settings) -> None:
    once(settings)
    drop(settings, "a.jpg", b"<truncated>")
    assert once(settings) == 1


def test_the_last_sign_of_life_says_stopped_and_how_it_watched(settings: Settings) -> None:
    once(settings)
    beat = read(settings.state / FILE_NAME)
    assert beat is not None
    assert (beat.state, beat.health, beat.model) == ("stopped", "ok", "stub")
    assert [(inbox.path, inbox.mode) for inbox in beat.inboxes] == [(str(settings.inboxes[0]), "polling")]


def test_each_run_writes_its_counters_and_the_next_goes_on_with_them(settings: Settings) -> None:
    once(settings)
    for number in (1, 2):
        drop(settings, f"{number}.jpg", b"<cat>%d" % number)
        once(settings)
        counted = counters.read(settings.state / counters.FILE_NAME)
        assert counted is not None
        assert counted.filed == {"cats": number, "dogs": 0, "uncertain": 0, "failed": 0}


def test_once_writes_todays_report(settings: Settings) -> None:
    once(settings)
    drop(settings, "a.jpg", b"<cat>")
    once(settings)
    assert b"a.jpg" in (settings.reports / "latest-images.csv").read_bytes()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), DatabaseUnavailable("locked")])
def test_a_report_that_fails_does_not_undo_the_work(
    settings: Settings, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(reporting.Reporter, "write_due", fail)
    with caplog.at_level(logging.ERROR):
        assert once(settings) == 0
    assert "pawsort report" in caplog.text


def test_a_correction_at_work_does_not_keep_the_worker_down(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    once(settings)
    monkeypatch.setattr("pipeline.corrections.correct_undo_retry.LOCK_SECONDS", 0.0)
    with moves_lock(settings):
        assert once(settings) == 0


def test_another_worker_on_the_same_database_is_refused(settings: Settings, tmp_path: Path) -> None:
    once(settings)
    other = tmp_path / "other"
    other.mkdir()
    shared = f"database: sqlite:///{settings.state / 'pawsort.db'}\n"
    (other / "config.yaml").write_text(shared + SETTINGS, encoding="utf-8")
    engine = open_database(settings.database_url)
    with reserved(engine), pytest.raises(LockError, match="another worker uses the database"):
        once(config.load(other / "config.yaml"))
    engine.dispose()


def test_what_the_database_says_reaches_the_user_as_such(settings: Settings) -> None:
    once(settings)
    (settings.state / "pawsort.db").write_bytes(b"")
    with pytest.raises(DatabaseError, match="empty"):
        once(settings)


def test_probing_leaves_no_trace(tmp_path: Path) -> None:
    pawsort = Installation(tmp_path, SMALL)
    startup.probe_folders(pawsort.settings, BUNDLE)
    assert pawsort.sorted() == set()
    assert list(pawsort.settings.spool.iterdir()) == []
    pawsort.close()


@pytest.mark.fault(53)
def test_once_ends_where_the_classifier_crashes_with_every_photo(settings: Settings) -> None:
    once(settings)
    for number in range(8):
        drop(settings, f"{number}.jpg", b"%d<cat>" % number)
    with pytest.raises(ModelError, match=r"crashes with every photo: killed by SIGKILL\. Memory is short"):
        service.run(settings, once=True, classifier=BrokenClassifier())
    assert not list((settings.sorted / "failed").iterdir())
    assert once(settings) == 0 and len(list((settings.sorted / "cats").iterdir())) == 8
