from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.settings import config
from pipeline.worker import status
from pipeline.worker.heartbeat import FILE_NAME, Heartbeat, InboxBeat
from pipeline.worker.locks import worker_lock
from pipeline.worker.startup import prepare_folders

NOW = datetime.now(UTC)


def site(folder: Path) -> config.Settings:
    (folder / "config.yaml").write_text("", encoding="utf-8")
    settings = config.load(folder / "config.yaml")
    prepare_folders(settings)
    return settings


def beat(**changes: object) -> Heartbeat:
    usual = {"pid": os.getpid(), "started_at": NOW, "at": NOW, "state": "watching", "health": "ok"}
    return Heartbeat(**{**usual, **changes})  # type: ignore[arg-type]


def test_a_worker_that_was_killed_is_not_well(tmp_path: Path) -> None:
    settings = site(tmp_path)
    beat().write(settings.state / FILE_NAME)
    seen = status.read(settings, None)
    assert (seen.worker, seen.well) == ("died", False)


def test_a_worker_at_work_is_well(tmp_path: Path) -> None:
    settings = site(tmp_path)
    with worker_lock(settings):
        beat(at=datetime.now(UTC)).write(settings.state / FILE_NAME)
        seen = status.read(settings, None)
    assert (seen.worker, seen.well) == ("running", True)


def test_a_worker_that_hangs_is_not_well(tmp_path: Path) -> None:
    settings = site(tmp_path)
    with worker_lock(settings):
        beat(at=NOW - timedelta(seconds=30)).write(settings.state / FILE_NAME)
        seen = status.read(settings, None)
    assert (seen.worker, seen.well) == ("stalled", False)


def test_a_beat_of_an_earlier_life_says_nothing_of_this_one(tmp_path: Path) -> None:
    settings = site(tmp_path)
    with worker_lock(settings):
        beat(pid=1, at=NOW - timedelta(hours=1)).write(settings.state / FILE_NAME)
        assert status.read(settings, None).worker == "starting"


def test_red_health_is_not_well_and_says_why(tmp_path: Path) -> None:
    settings = site(tmp_path)
    inbox = InboxBeat(path="/in\nbox", mode="polling", health="red", reason="gone", waiting=3)
    with worker_lock(settings):
        beat(at=datetime.now(UTC), health="red", reasons=("disk full",), inboxes=(inbox,)).write(
            settings.state / FILE_NAME
        )
        seen = status.read(settings, None)
    assert not seen.well
    assert "red; disk full" in seen.as_text()
    assert r"/in\nbox (polling), 3 waiting" in seen.as_text()


def test_the_model_at_work_and_what_was_learnt_are_told(tmp_path: Path) -> None:
    settings = site(tmp_path)
    with worker_lock(settings):
        beat(at=datetime.now(UTC), model="pets@2", engine="int8", learning="pets@3 is\nbetter").write(
            settings.state / FILE_NAME
        )
        text = status.read(settings, None).as_text()
    assert "model      pets@2 on int8\n" in text
    assert "learning   pets@3 is\\nbetter\n" in text


def test_every_outcome_that_always_exists_is_counted(tmp_path: Path) -> None:
    assert status.read(site(tmp_path), None).counts == {"uncertain": 0, "failed": 0, "waiting": 0}


def test_a_database_that_cannot_be_had_hides_nothing_of_the_worker(tmp_path: Path) -> None:
    settings = site(tmp_path)
    with worker_lock(settings):
        beat(at=datetime.now(UTC), state="paused", health="red", reasons=("locked",)).write(
            settings.state / FILE_NAME
        )
        seen = status.read(settings, None, "it is locked")
    assert not seen.well
    assert "paused" in seen.as_text()
    assert "database   it is locked" in seen.as_text()
    assert seen.as_dict()["problem"] == "it is locked"


def test_overflows_are_told(tmp_path: Path) -> None:
    settings = site(tmp_path)
    inbox = InboxBeat("/inbox", "native", "ok", None, waiting=3, overflows=2)
    with worker_lock(settings):
        beat(at=datetime.now(UTC), inboxes=(inbox,)).write(settings.state / FILE_NAME)
        assert "2 overflows" in status.read(settings, None).as_text()
