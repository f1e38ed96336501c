"""Each alert is received once by a server on loopback, and its end too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.alerts import channels, measuring
from pipeline.reports.daily import DayReport
from pipeline.worker.heartbeat import FILE_NAME, Heartbeat, InboxBeat
from tests.support.notified import START, Server, Watched, server

PAUSED = {"state": "paused", "health": "red", "reasons": ("No space left on device",)}
GONE = {"health": "red", "inboxes": (InboxBeat("/in", "polling", "red", "is missing", 0),)}
SPOOL = {"health": "red", "reasons": ("2 files are gone from the spool; see `pawsort doctor`",)}
CRASHING = {"health": "red", "crash_loop": "the classifier crashes with every photo: SIGKILL"}
DRIFT = {
    "measure": "uncertain", "label": None, "since": "2026-11-28", "before": 0.1, "now": 0.4, "photos": 900,
    "sentence": "The share of uncertain photos rose.",
}  # fmt: skip


@pytest.fixture(scope="module")
def listening() -> Iterator[Server]:
    with server() as found:
        yield found


@pytest.fixture
def notified(listening: Server) -> Server:
    """A server that has received nothing."""
    listening.messages.clear()
    listening.fetched.clear()
    listening.status = 200
    return listening


class Usage:
    """The space of a disk of 100 GB."""

    total = int(100e9)

    def __init__(self, free: float) -> None:
        self.free = int(free)


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many bytes are free, whatever the disk of the tests has."""
    free = [40e9]
    monkeypatch.setattr(measuring.shutil, "disk_usage", lambda _: Usage(free[0]))
    return free


def watched(folder: Path, notified: Server, more: str = "") -> Watched:
    return Watched(folder, f"notify:\n  urls: ['{notified.url}']\n{more}")


@pytest.mark.parametrize(
    ("values", "begun", "over", "says"),
    [
        (PAUSED, "the worker is paused", "the worker goes on", "No space left on device"),
        (GONE, "a folder is missing or refuses files", "the folder is back", "/in: is missing"),
        (SPOOL, "a folder is missing or refuses files", "the folder is back", "2 files are gone"),
        (
            {"model_problem": "a@3: bad"}, "a version of the model is refused",
            "the version in force is at work", "a@3",
        ),
        ({"backup_problem": "no disk."}, "no backup can be made", "backups are made again", "no disk. It"),
        (CRASHING, "the classifier crashes with every photo", "the classifier works again", "SIGKILL"),
        ({"report_problem": "no disk"}, "reports cannot be written", "reports are written again", "no disk"),
    ],
    ids=["paused", "folder", "spool", "version", "backup", "crash loop", "reports"],
)  # fmt: skip
def test_what_the_heartbeat_says_is_received_once_and_its_end_once(
    tmp_path: Path, notified: Server, values: dict[str, Any], begun: str, over: str, says: str
) -> None:
    worker = watched(tmp_path, notified)
    worker.last(minutes=30, **values)
    assert notified.titles == [begun] and says in notified.messages[0]["message"]
    worker.last(minutes=30)
    assert notified.titles == [begun, over]
    assert notified.messages[1]["type"] == "success" and says in notified.messages[1]["message"]


def test_a_full_disk_is_said_once_though_its_space_hovers_at_the_limit(
    tmp_path: Path, notified: Server, free: list[float]
) -> None:
    worker = watched(tmp_path, notified)
    worker.last()
    assert notified.titles == []
    for number in range(100):
        free[0] = 4.9e9 if number % 2 else 5.1e9
        worker.last()
    assert notified.titles == ["a disk is nearly full"]
    assert "GB of 100 GB are free" in notified.messages[0]["message"]
    free[0] = 5.5e9
    worker.last(minutes=300)
    assert notified.titles == ["a disk is nearly full"]
    free[0] = 7e9
    worker.last(minutes=10)
    assert notified.titles == ["a disk is nearly full", "the disk has space again"]


def test_many_failures_are_said_and_few_are_not(tmp_path: Path, notified: Server) -> None:
    worker = watched(tmp_path, notified)
    worker.last()
    worker.outcomes = {"cats": 91, "failed": 9}
    worker.last()
    worker.outcomes = {"cats": 200, "failed": 50}  # a fifth
    worker.last()
    assert notified.titles == []
    worker.outcomes = {"cats": 200, "failed": 90}
    worker.last()
    assert notified.titles == ["many files fail"]
    assert "90 of 290 files of the last hour failed" in notified.messages[0]["message"]
    worker.last(minutes=80)
    assert notified.titles == ["many files fail", "files no longer fail"]


def test_a_classifier_that_crashes_often_is_said_and_one_bad_file_is_not(
    tmp_path: Path, notified: Server
) -> None:
    worker = watched(tmp_path, notified)
    worker.last()
    worker.restarts = 3  # a file that crashes it costs three
    worker.last()
    assert notified.titles == []
    worker.restarts = 5
    worker.last()
    assert notified.titles == ["the classifier crashes often"]
    assert "5 times in the last hour" in notified.messages[0]["message"]
    worker.last(minutes=80)
    assert notified.titles[1:] == ["the classifier runs without crashes"]


def test_drift_is_said_and_its_end(tmp_path: Path, notified: Server) -> None:
    worker = watched(tmp_path, notified)
    path = worker.settings.state / "drift.json"
    for alarms in ([], [DRIFT], []):
        path.write_text(json.dumps({"schema_version": 1, "day": "2026-11-29", "alarms": alarms}))
        worker.last(minutes=10)
    assert notified.titles == ["photos are no longer as usual", "photos are as usual again"]
    assert DRIFT["sentence"] in notified.messages[0]["message"]


def test_a_folder_that_refuses_files_is_said(tmp_path: Path, notified: Server) -> None:
    worker = watched(tmp_path, notified)
    worker.refusals = ["/sorted/cats: files cannot be filed: Permission denied"]
    worker.last(health="red", reasons=tuple(worker.refusals))
    assert notified.titles == ["a folder is missing or refuses files"]
    assert "Permission denied" in notified.messages[0]["message"]


def test_a_worker_that_was_killed_is_back_and_says_so_once(tmp_path: Path, notified: Server) -> None:
    worker = watched(tmp_path, notified)
    beat = Heartbeat(1, START, START, "watching", "ok")
    for _ in range(5):  # killed again and again
        beat.write(worker.settings.state / FILE_NAME)
        worker.restart()
        worker.last()
    assert notified.titles == ["the worker is back"]
    assert "2026-11-30 12:00:00 UTC" in notified.messages[0]["message"]
    Heartbeat(1, START, START, "stopped", "ok").write(worker.settings.state / FILE_NAME)
    worker.restart()
    worker.last(minutes=60)
    assert notified.titles == ["the worker is back"]


def report(day: date, **counts: int) -> DayReport:
    return DayReport(day, sum(counts.values()), {"cats": 0, "dogs": 0, "failed": 0} | counts, True, ())


def test_a_report_is_said_with_its_figures_if_that_is_wanted(tmp_path: Path, notified: Server) -> None:
    worker = watched(tmp_path, notified, "  on: [report]\n")
    yesterday = START.date() - timedelta(days=1)
    for _ in range(2):  # a day that is written again, after a correction, is not said again
        worker.alerts.reports_written(
            report(yesterday, cats=1200, dogs=30, failed=4), report(START.date(), cats=1)
        )
        worker.last()
    worker.restart()
    worker.alerts.reports_written(report(yesterday, cats=1201))
    worker.last(**PAUSED)
    assert notified.titles == [f"report of {yesterday}"]
    body = notified.messages[0]["message"]
    assert body == f"{yesterday}: 1,234 photos arrived: 1,200 cats, 30 dogs, 4 failed."


def test_reports_are_not_said_by_default(tmp_path: Path, notified: Server) -> None:
    worker = watched(tmp_path, notified)
    worker.alerts.reports_written(report(START.date() - timedelta(days=1), cats=1))
    worker.last()
    assert notified.titles == []


def test_only_events_that_are_wanted_are_said(tmp_path: Path, notified: Server) -> None:
    worker = watched(tmp_path, notified, "  on: [folder_gone]\n")
    worker.last(**PAUSED)
    assert notified.titles == []


def test_an_alert_that_stands_is_not_said_again_after_a_restart(tmp_path: Path, notified: Server) -> None:
    worker = watched(tmp_path, notified)
    worker.last(**PAUSED)
    for _ in range(3):
        worker.restart()
        worker.last(**PAUSED)
    assert notified.titles == ["the worker is paused"]
    worker.restart()
    worker.last(minutes=10)
    assert notified.titles == ["the worker is paused", "the worker goes on"]


def test_what_lasts_over_short_runs_is_said_too(tmp_path: Path, notified: Server) -> None:
    """As of `run --once` each hour."""
    worker = watched(tmp_path, notified)
    for _ in range(3):
        worker.beat(**GONE)
        worker.alerts.__exit__(None, None, None)
        worker.restart()
        worker.pass_time(hours=1)
    assert notified.titles == ["a folder is missing or refuses files"]


def test_a_pause_of_seconds_is_not_worth_a_message(tmp_path: Path, notified: Server) -> None:
    worker = watched(tmp_path, notified)
    worker.beat(**PAUSED)
    worker.pass_time(seconds=50)
    worker.beat(**PAUSED)
    worker.last()
    assert notified.titles == []


def test_a_message_that_was_not_taken_is_sent_again_also_after_a_restart(
    tmp_path: Path, notified: Server, caplog: pytest.LogCaptureFixture
) -> None:
    worker = watched(tmp_path, notified)
    notified.status = 500
    worker.last(**PAUSED)
    assert "notify.urls.0 (JSON): a message was not taken" in caplog.text
    worker.restart()
    notified.status = 200
    worker.last(**PAUSED)
    assert notified.titles == ["the worker is paused"]
    assert "hunter2" not in caplog.text


def test_quiet_hours_hold_messages_and_give_them_as_one(tmp_path: Path, notified: Server) -> None:
    worker = watched(tmp_path, notified, '  quiet: "13:00-06:00"\nreport: {timezone: Europe/Berlin}\n')
    worker.last(**PAUSED)  # at 12:00 UTC it is 13:00 there
    worker.last(minutes=10)
    worker.restart()
    worker.last(**GONE)
    assert notified.titles == []
    worker.pass_time(hours=17)
    worker.last(**GONE)
    assert notified.titles == ["2 messages of the quiet hours"]
    body = notified.messages[0]["message"]
    assert "the worker goes on" in body and "/in: is missing" in body and "is paused" not in body


def test_the_sign_of_life_is_given_each_minute_and_only_while_the_worker_is_well(
    tmp_path: Path, notified: Server
) -> None:
    url = f"http://127.0.0.1:{notified.port}/ping/hunter2"
    worker = Watched(tmp_path, f"notify: {{heartbeat_url: '{url}'}}")
    worker.last(minutes=4, health="degraded")
    assert notified.fetched == ["/ping/hunter2"] * 5
    worker.last(minutes=4, **PAUSED)
    worker.last(minutes=4, state="starting")
    assert len(notified.fetched) == 5
    worker.beat()
    worker.pass_time(minutes=10)
    assert len(notified.fetched) == 6 and not worker.alerts.sender.step(), "no step was taken since"


def test_a_sign_of_life_that_fails_is_logged_once_without_its_secret(
    tmp_path: Path, notified: Server, caplog: pytest.LogCaptureFixture
) -> None:
    notified.status = 503
    worker = Watched(tmp_path, f"notify: {{heartbeat_url: 'http://127.0.0.1:{notified.port}/hunter2'}}")
    worker.last(minutes=4)
    assert caplog.text.count(f"notify.heartbeat_url: http://127.0.0.1:{notified.port}/***: answers 503") == 1
    assert "hunter2" not in caplog.text


def test_without_urls_nothing_is_remembered(tmp_path: Path) -> None:
    worker = Watched(tmp_path, "")
    worker.last(**PAUSED)
    assert list(worker.settings.state.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 2}', '{"schema_version": 1}', "\0"])
def test_a_damaged_memory_costs_a_repeated_message_only(tmp_path: Path, notified: Server, text: str) -> None:
    worker = watched(tmp_path, notified)
    (worker.settings.state / "alerts.json").write_text(text)
    worker.restart()
    worker.last(**PAUSED)
    assert notified.titles == ["the worker is paused"]


def test_an_error_in_the_alerts_does_not_stop_the_worker(
    tmp_path: Path, notified: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = watched(tmp_path, notified)
    monkeypatch.setattr(worker.alerts._active, "said", None)
    worker.beat()
    assert "alerts: unexpected error" in caplog.text


@pytest.mark.parametrize(
    ("notify", "can"),
    [
        ("urls: [json://127.0.0.1:9/a]", True),
        ("urls: [json://127.0.0.1:9/a], on: [paused]", False),
        ("heartbeat_url: http://127.0.0.1:9/a", False),
    ],
)
def test_only_who_can_send_it_says_that_another_worker_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notify: str, can: bool
) -> None:
    watched = Watched(tmp_path, f"notify: {{{notify}}}")
    assert watched.alerts.can_say_silent == can
    monkeypatch.setattr(channels, "find_spec", lambda _: None)
    assert not watched.alerts.can_say_silent
