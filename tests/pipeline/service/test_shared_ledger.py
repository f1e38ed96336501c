"""Workers that share a database: their signs of life, who is silent, and which of them reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connection.engine import owned_by, reading, writing
from db.ledger import workers
from db.queries import workers as known_workers
from db.queries.workers import all_workers, reporter
from pipeline.alerts.silences import Silences
from pipeline.nightly.schedule import StoppedError
from pipeline.reports import drift_alarms
from pipeline.service import shared_ledger
from pipeline.service.shared_ledger import OnReporter, SharedLedger
from pipeline.worker.heartbeat import Heartbeat
from pipeline.worker.known_workers import NONE_WATCHES, none_watches, seen
from pipeline.worker.status import Status
from tests.support.installation import Installation, wait

from tests.support.notified import Server, Watched, server as notified_server  # isort: skip

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def beat(**values: object) -> Heartbeat:
    usual = {"pid": 1, "started_at": NOW, "at": NOW, "state": "watching", "health": "ok"}
    return Heartbeat(**{**usual, **values})  # type: ignore[arg-type]


class Machine:
    """A worker of the database, whose steps the test takes."""

    sends_alerts = True

    def __init__(self, server: Engine, name: str) -> None:
        self.name = name
        self.server = server
        self.id = workers.register(server, name, name * 8)
        self.start()

    def start(self) -> None:
        """Start, and give a sign of life."""
        self.own = owned_by(self.server, self.id)
        workers.started(self.server, self.id, self.name, self.name * 8, NOW)
        self.shared = SharedLedger(
            self.own, self.id, f"http://{self.name}:8420", sends_alerts=self.sends_alerts
        )
        self.step()

    def step(self, **values: object) -> None:
        """Take a new heartbeat, and a step."""
        self.shared.follow(beat(**values))
        self.shared.step()

    def step_later(self) -> None:
        """Take a step, and another once a vacancy has been seen for long."""
        self.step()
        for turn in self.shared._turns:
            if turn._vacant_since:
                turn._vacant_since -= known_workers.SILENT_SECONDS
        self.step()

    def free(self) -> None:
        """End all sessions."""
        for turn in self.shared._turns:
            turn.free()
        self.own.dispose()

    def die(self) -> None:
        """End as if killed: all sessions end, nothing is recorded, and its last sign of life is long ago."""
        self.free()
        self.freeze()

    def freeze(self) -> None:
        """Let its last sign of life be long ago."""
        with writing(self.server) as connection:
            connection.exec_driver_sql(
                "UPDATE workers SET started_at = now() - interval '31 s', beat_at = now() - interval '31 s' "
                f"WHERE id = {self.id}"
            )


@pytest.fixture
def machine(server: Engine) -> Iterator[Callable[[str], Machine]]:
    made: list[Machine] = []

    def make(name: str) -> Machine:
        made.append(Machine(server, name))
        return made[-1]

    yield make
    for each in made:
        each.free()


@pytest.fixture
def notified() -> Iterator[Server]:
    with notified_server() as found:
        yield found


def states(server: Engine) -> dict[str, str]:
    return {worker.name: worker.state for worker in all_workers(server)}


def test_a_sign_of_life_is_by_the_clock_of_the_server(
    server: Engine, machine: Callable[[str], Machine], tmp_path: Path
) -> None:
    machine("ann").step(at=NOW - timedelta(days=400), waiting=3, health="degraded", reasons=("slow",))
    [ann] = all_workers(server)
    assert ann.beat_at is not None and abs(datetime.now(UTC) - ann.beat_at) < timedelta(minutes=1)
    assert (ann.address, ann.state) == ("http://ann:8420", "running")
    [shown] = seen(server, tmp_path)
    assert (shown.waiting, shown.health, shown.reasons, shown.reports) == (3, "degraded", ("slow",), True)
    does = "reports, says who is silent"
    assert shown.as_line() == f"ann: running, health degraded, 3 waiting, last sign of life 0 s ago, {does}"


def test_a_worker_is_silent_unless_it_stopped_in_order(
    server: Engine, machine: Callable[[str], Machine], tmp_path: Path
) -> None:
    ann, bob = machine("ann"), machine("bob")
    workers.stopped(server, bob.id, NOW)
    for each in (ann, bob):
        each.die()
    assert states(server) == {"ann": "silent", "bob": "stopped"}
    assert [worker.words for worker in seen(server, tmp_path)] == ["silent for 31 s", "stopped"]
    ann.start()
    assert states(server) == {"ann": "running", "bob": "stopped"}


def test_an_old_heartbeat_is_no_sign_of_life(server: Engine, machine: Callable[[str], Machine]) -> None:
    ann = machine("ann")
    before = all_workers(server)[0].beat_at
    ann.shared.step()
    assert all_workers(server)[0].beat_at == before, "a worker that hangs must not look alive"
    ann.step()
    assert all_workers(server)[0].beat_at != before


def test_a_long_start_is_no_silence_and_one_of_hours_is(
    server: Engine, machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = machine("ann")
    ann.step(state="starting")
    before = all_workers(server)[0].beat_at
    ann.shared.step()
    after = all_workers(server)[0].beat_at
    assert after != before, "it may take up many files that were left unfinished"
    now = time.monotonic()
    monkeypatch.setattr(shared_ledger.time, "monotonic", lambda: now + 3601)
    ann.shared.step()
    assert all_workers(server)[0].beat_at == after


def test_exactly_one_reports_and_another_takes_over(
    server: Engine, machine: Callable[[str], Machine]
) -> None:
    ann, bob, carl = machine("ann"), machine("bob"), machine("carl")
    assert [each.shared.reports for each in (ann, bob, carl)] == [True, False, False]
    assert reporter(server) == ann.id
    ann.die()
    for each in (carl, bob):
        each.step()
    assert reporter(server) is None, "ann may only have been restarted"
    for each in (carl, bob):
        each.step_later()
    assert [each.shared.reports for each in (bob, carl)] == [False, True]
    assert reporter(server) == carl.id


def test_one_whose_session_the_server_has_ended_reports_only_if_no_other_does(
    server: Engine, machine: Callable[[str], Machine]
) -> None:
    ann, bob = machine("ann"), machine("bob")
    with reading(server) as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 0"
        )
    wait(lambda: reporter(server) is None, "the end of the session")
    bob.step_later()
    ann.step()
    assert (ann.shared.reports, bob.shared.reports) == (False, True)


def test_one_that_is_restarted_goes_on_reporting(server: Engine, machine: Callable[[str], Machine]) -> None:
    ann, bob = machine("ann"), machine("bob")
    ann.die()
    bob.step()
    ann.start()
    bob.step_later()
    assert (ann.shared.reports, bob.shared.reports) == (True, False)


def test_one_that_takes_no_steps_leaves_the_reports_to_another(
    server: Engine, machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = machine("ann"), machine("bob")
    now = time.monotonic()
    with monkeypatch.context() as later:
        later.setattr(shared_ledger.time, "monotonic", lambda: now + 31)
        ann.shared.step()
    bob.step_later()
    assert (ann.shared.reports, bob.shared.reports) == (False, True)


def test_one_that_is_frozen_leaves_the_reports_to_another(
    server: Engine, machine: Callable[[str], Machine]
) -> None:
    """Its process is stopped, or its container paused: its session lives, and so does its lock."""
    ann, bob = machine("ann"), machine("bob")
    bob.step()
    assert reporter(server) == ann.id
    ann.freeze()
    bob.step()
    wait(lambda: reporter(server) is None, "the end of its session")
    bob.step_later()
    ann.step()
    assert (ann.shared.reports, bob.shared.reports) == (False, True)


def test_one_that_wakes_does_not_report_before_it_has_looked(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one whose session hangs: the server has freed its lock only some time later."""
    ann = machine("ann")
    assert ann.shared.reports
    now = time.monotonic()
    with monkeypatch.context() as later:
        later.setattr(shared_ledger.time, "monotonic", lambda: now + 31)
        assert not ann.shared.reports
        ann.step()
        assert ann.shared.reports


def test_without_a_database_none_reports_and_the_thread_goes_on(
    server: Engine, machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = machine("ann")

    def fail(*_: object) -> None:
        raise shared_ledger.DatabaseError("it does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(shared_ledger.workers, "beat", fail)
        ann.step()
        assert not ann.shared.reports
    ann.step()
    assert ann.shared.reports


def test_a_slow_database_holds_up_no_heartbeat_and_no_end(
    server: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = workers.register(server, "ann", "a" * 8)
    answers, asked = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        asked.set()
        answers.wait()

    monkeypatch.setattr(shared_ledger, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(shared_ledger, "STOP_SECONDS", 0.1)
    monkeypatch.setattr(shared_ledger.workers, "beat", slow)
    shared = SharedLedger(server, id, None)
    began = time.monotonic()
    with shared.shared():
        shared.follow(beat())
        assert asked.wait(60)
        shared.follow(beat())
    assert time.monotonic() - began < 30
    answers.set()
    shared._thread.join()


def test_sqlite_has_one_worker_that_reports_and_nothing_is_written(pawsort: Installation) -> None:
    shared = SharedLedger(pawsort.engine, 1, "http://ann:8420")
    with shared.shared():
        shared.follow(beat())
        assert shared.reports and not shared._thread.is_alive()
    assert seen(pawsort.engine, pawsort.settings.state) == ()
    assert reporter(pawsort.engine) is None
    with reading(pawsort.engine) as connection:
        [row] = connection.exec_driver_sql("SELECT beat_at, heartbeat, address FROM workers").all()
    assert tuple(row) == (None, None, None)


def test_nightly_work_is_done_by_the_reporter_alone_and_stops_when_it_is_none(
    machine: Callable[[str], Machine],
) -> None:
    ann, bob = machine("ann"), machine("bob")
    done: list[str] = []

    class Work:
        def run_due(self, now: datetime, check: Callable[[], None]) -> None:
            done.append(now.isoformat())
            ann.shared._reports = False
            check()

    with pytest.raises(StoppedError):
        OnReporter(Work(), bob.shared).run_due(NOW, lambda: None)
    assert done == []
    with pytest.raises(StoppedError):
        OnReporter(Work(), ann.shared).run_due(NOW, lambda: None)
    assert done == [NOW.isoformat()]


class Person:
    """The alerts of a machine, in a folder of its own, with the silences that it sees."""

    def __init__(self, folder: Path, machine: Machine, url: str, event: str = "worker_silent") -> None:
        folder.mkdir()
        self.machine = machine
        # Not whether the disk of the tests is full.
        self.watched = Watched(folder, f"notify: {{urls: ['{url}'], on: [{event}]}}")

    def look(self, **later: float) -> None:
        """Take a step of the machine and two heartbeats with what it saw, and remember what was said."""
        self.machine.step_later()
        for _ in range(2):
            silences = self.machine.shared.silences
            self.watched.beat_with(silences)
            self.watched.pass_time(**(later or {"seconds": 40}))
            self.machine.shared.note_said(self.watched.alerts.silences_said)
        self.machine.step()


def test_one_says_that_a_worker_is_silent_and_that_it_is_back_whoever_reports_then(
    server: Engine, machine: Callable[[str], Machine], notified: Server, tmp_path: Path
) -> None:
    machines = [machine(name) for name in ("ann", "bob", "carl")]
    ann, bob, carl = (Person(tmp_path / each.name, each, notified.url) for each in machines)
    carl.machine.die()
    for person in (ann, bob, ann, bob):
        person.look()
    assert notified.titles == ["a worker is silent"]
    assert "The worker carl gives no sign of life" in notified.messages[0]["message"]
    ann.machine.die()
    for _ in range(3):
        bob.look()
    assert notified.titles[1:] == ["a worker is silent"], "carl is not said again"
    assert "The worker ann" in notified.messages[1]["message"]
    carl.machine.start()
    for _ in range(3):
        bob.look(minutes=6)
    assert notified.titles[2:] == ["the worker is no longer silent"]
    ann.machine.start()
    for person in (ann, bob, carl) * 3:
        person.look(minutes=6)
    assert notified.titles[3:] == ["the worker is no longer silent"]
    assert "The worker ann" in notified.messages[3]["message"]
    assert [worker.silence_said_at for worker in all_workers(server)] == [None] * 3


def test_the_alert_of_a_worker_that_is_retired_is_over(
    server: Engine, machine: Callable[[str], Machine], notified: Server, tmp_path: Path
) -> None:
    ann, carl = Person(tmp_path / "ann", machine("ann"), notified.url), machine("carl")
    carl.die()
    ann.look()
    assert notified.titles == ["a worker is silent"]
    workers.retire(server, carl.id, known_workers.SILENT_SECONDS)
    assert states(server) == {"ann": "running", "carl": "retired"}
    for _ in range(3):
        ann.look(minutes=6)
    assert notified.titles[1:] == ["the worker is no longer silent"]


def test_drift_is_said_by_the_reporter_alone_and_another_says_no_end(
    machine: Callable[[str], Machine], notified: Server, tmp_path: Path
) -> None:
    ann, bob = (Person(tmp_path / name, machine(name), notified.url, "drift") for name in ("ann", "bob"))
    found = {"before": 0.1, "now": 0.3, "photos": 900, "since": NOW.date(), "sentence": "More are uncertain."}
    for person in (ann, bob):
        alarm = drift_alarms.DriftAlarm("uncertain", None, **found)  # type: ignore[arg-type]
        state = drift_alarms.DriftState(NOW.date(), (alarm,))
        drift_alarms.update(person.watched.settings.state, state)
    for person in (ann, bob):
        person.look()
    assert notified.titles == ["photos are no longer as usual"]
    ann.machine.shared._reports = False
    ann.watched.beat_with(Silences(reports=False))
    ann.watched.last(30)
    assert notified.titles == ["photos are no longer as usual"] * 2, "it began anew, and no end was said"


def test_silence_is_said_by_a_worker_with_addresses_if_the_reporter_has_none(
    server: Engine,
    machine: Callable[[str], Machine],
    notified: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as without:
        without.setattr(Machine, "sends_alerts", False)
        ann, carl = machine("ann"), machine("carl")
    assert none_watches(seen(server, tmp_path))
    shown = Status("running", 1, {}, None, workers=seen(server, tmp_path)).as_text()
    assert f"alerts     {NONE_WATCHES}" in shown
    bob = Person(tmp_path / "bob", machine("bob"), notified.url)
    assert (ann.shared.reports, bob.machine.shared.reports) == (True, False)
    assert not none_watches(seen(server, tmp_path))
    carl.die()
    for _ in range(2):
        ann.step()
        bob.look()
    assert notified.titles == ["a worker is silent"]
    assert not ann.shared.silences.watches
    carl.start()
    for _ in range(3):
        ann.step()
        bob.look(minutes=6)
    assert notified.titles[1:] == ["the worker is no longer silent"]
    [line] = (each.as_line() for each in seen(server, tmp_path) if each.name == "bob")
    assert line == "bob: running, 0 waiting, last sign of life 0 s ago, says who is silent"


def test_a_short_silence_is_not_said(
    server: Engine, machine: Callable[[str], Machine], notified: Server, tmp_path: Path
) -> None:
    """After a restart of the server all workers are silent until each has given its first sign of life."""
    ann, bob = Person(tmp_path / "ann", machine("ann"), notified.url), machine("bob")
    bob.die()
    ann.machine.step()
    ann.watched.beat_with(ann.machine.shared.silences)
    bob.start()
    ann.look()
    assert notified.titles == []
    assert known_workers.SILENT_SECONDS > 5 * shared_ledger.BEAT_SECONDS
