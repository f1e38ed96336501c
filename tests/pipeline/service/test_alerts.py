"""A worker's alerts, from what goes wrong to the server that receives them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from pipeline.alerts import active_alerts, alerts
from pipeline.errors import DatabaseError, ModelError
from pipeline.service import service, worker_run
from pipeline.settings import config
from pipeline.settings.config import Settings
from pipeline.worker import loop
from tests.support.notified import Server, server
from tests.support.stub_classifier import BUNDLE, StubClassifier

SETTINGS = """
decision: {min_confidence: 0.9}
watch: {mode: polling, settle_seconds: 0, rescan_seconds: 0.05}
batch: {wait_seconds: 0}
report: {at: "00:00"}
"""


@pytest.fixture
def notified() -> Iterator[Server]:
    with server() as found:
        yield found


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notified: Server) -> Settings:
    """Settings of a worker whose alerts are sent at once, and which waits until they are delivered."""
    monkeypatch.setattr(service, "load_bundle", lambda _: BUNDLE)
    monkeypatch.setattr(worker_run, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "BACKOFF_SECONDS", (0.0,))
    monkeypatch.setattr(active_alerts, "FOR", {})
    for name in ("STOP_SECONDS", "REFUSED_SECONDS"):
        monkeypatch.setattr(alerts, name, 60.0)
    # Not whether the disk of the tests is full.
    on = "[paused, folder_gone, refused, child_restarts, failures, report]"
    notify = f"notify: {{urls: ['{notified.url}'], on: {on}}}"
    (tmp_path / "config.yaml").write_text(SETTINGS + notify, encoding="utf-8")
    return config.load(tmp_path / "config.yaml")


def once(settings: Settings, classifier: StubClassifier | None = None) -> int:
    return service.run(settings, once=True, classifier=classifier or StubClassifier())


def drop(settings: Settings, **files: bytes) -> None:
    settings.inboxes[0].mkdir(exist_ok=True)
    for name, data in files.items():
        (settings.inboxes[0] / f"{name}.jpg").write_bytes(data)


def test_a_worker_that_is_well_says_nothing(settings: Settings, notified: Server) -> None:
    drop(settings, a=b"<cat>")
    assert once(settings) == 0
    assert notified.titles == []


def test_a_model_that_is_refused_is_said_once_though_systemd_tries_again(
    settings: Settings, notified: Server
) -> None:
    for _ in range(3):
        with pytest.raises(ModelError):
            once(settings, StubClassifier(refusal="the self-test fails"))
    assert notified.titles == ["the worker has ended"]
    assert "The worker has ended: the self-test fails" in notified.messages[0]["message"]
    once(settings)
    assert notified.titles[1:] == [], "it may end again within minutes"


def test_a_database_that_is_refused_is_said_without_a_database(settings: Settings, notified: Server) -> None:
    settings.state.mkdir()
    (settings.state / "pawsort.db").write_bytes(b"no database" * 1000)
    for _ in range(2):
        with pytest.raises(DatabaseError):
            once(settings)
    assert notified.titles == ["the worker has ended"]
    assert "pawsort.db" in notified.messages[0]["message"]


def test_a_worker_that_ends_says_so_in_quiet_hours_too(
    settings: Settings, notified: Server, tmp_path: Path
) -> None:
    """After them no worker may be there to say it."""
    text = (tmp_path / "config.yaml").read_text().replace("notify: {", "notify: {quiet: '00:00-23:59', ")
    (tmp_path / "config.yaml").write_text(text)
    quiet = config.load(tmp_path / "config.yaml")
    drop(quiet, **{f"a{number}": b"<truncated>%d" % number for number in range(10)})
    once(quiet)
    if datetime.now(UTC).time() < time(23, 58):
        assert notified.titles == []
    with pytest.raises(ModelError):
        once(quiet, StubClassifier(refusal="the self-test fails"))
    assert any("the self-test fails" in message["message"] for message in notified.messages)


def test_many_failures_and_crashes_are_said(settings: Settings, notified: Server) -> None:
    drop(settings, **{f"a{number}": b"<truncated>%d" % number for number in range(10)})
    assert once(settings) == 1
    assert notified.titles == ["many files fail"]
    drop(settings, **{f"b{number}": b"<crash>%d" % number for number in range(2)})
    once(settings)
    assert notified.titles[1:] == ["the classifier crashes often"]


def test_an_inbox_that_is_gone_is_said(settings: Settings, notified: Server) -> None:
    once(settings)
    settings.inboxes[0].rmdir()
    once(settings)
    assert notified.titles == ["a folder is missing or refuses files"]
    assert str(settings.inboxes[0]) in notified.messages[0]["message"]


def test_a_pause_is_said(settings: Settings, notified: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, errors = loop.Worker._claim, [OSError(28, "No space left on device")]

    def full_once(worker: loop.Worker) -> None:
        if errors:
            raise errors.pop()
        claim(worker)

    monkeypatch.setattr(loop.Worker, "_claim", full_once)
    once(settings)
    assert notified.titles == ["the worker is paused"]
    assert "No space left on device" in notified.messages[0]["message"]


def test_a_report_is_said_with_its_figures(settings: Settings, notified: Server) -> None:
    drop(settings, a=b"1<cat>", b=b"2<dog>", c=b"<truncated>")
    once(settings)
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    with sqlite3.connect(settings.state / "pawsort.db") as database:
        database.execute("UPDATE files SET seen_at = replace(seen_at, substr(seen_at, 1, 10), ?)", [str(day)])
    database.close()
    for _ in range(2):
        once(settings)
    assert notified.titles == [f"report of {day}"]
    assert notified.messages[0]["message"] == f"{day}: 3 photos arrived: 1 cats, 1 dogs, 1 failed."
