"""What is said to a service manager, and of a database that cannot be used at the start."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connection.engine import DatabaseUnavailable, open_database
from db.connection.errors import LedgerError
from pipeline.errors import PawsortError
from pipeline.service import database_start
from pipeline.service.database_start import another_start, open_when_possible
from pipeline.service.notify_socket import NotifySocket
from pipeline.service.watchdog import MOST_CHARACTERS, Watchdog, status_text
from pipeline.worker.heartbeat import Heartbeat
from tests.support.installation import Installation

NOW = datetime(2026, 11, 30, tzinfo=UTC)
WATCHING = Heartbeat(1, NOW, NOW, "watching", "ok", rate_per_second=2.34, waiting=7, last_file="a\n.jpg")


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(10)
        yield heard


def test_the_socket_is_taken_out_of_the_environment_of_children() -> None:
    environment = {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "300000", "WATCHDOG_PID": str(os.getpid())}
    notify = NotifySocket.of_environment(environment)
    assert (environment, notify.is_open, notify.watchdog_seconds) == ({}, True, 0.3)


@pytest.mark.parametrize(
    "environment",
    [
        {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "300000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "never"},
        {"NOTIFY_SOCKET": "/run/n"},
        {"NOTIFY_SOCKET": "vsock:2:1", "WATCHDOG_USEC": "300000"},
        {},
    ],
)
def test_a_watchdog_of_another_process_or_none_is_not_answered(environment: dict[str, str]) -> None:
    assert NotifySocket.of_environment(environment).watchdog_seconds is None


def test_a_service_manager_that_is_gone_or_busy_does_not_hinder(tmp_path: Path, heard: socket.socket) -> None:
    assert not NotifySocket(str(tmp_path / "nothing")).send("READY=1")
    assert not NotifySocket("/" + "long/" * 50).send("READY=1")
    notify = NotifySocket(str(tmp_path / "notify"))
    while notify.send("READY=1"):
        pass


def test_a_ready_that_was_not_sent_is_sent_with_the_next_beat(tmp_path: Path) -> None:
    watchdog = Watchdog(NotifySocket(str(tmp_path / "notify")))
    watchdog.beat(WATCHING, None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
        late.bind(str(tmp_path / "notify"))
        watchdog.beat(WATCHING, None)
        assert b"READY=1" in late.recv(1000)


def test_beats_come_three_times_in_the_time_of_the_watchdog() -> None:
    assert Watchdog(NotifySocket("/run/n", 0.3)).beat_seconds == pytest.approx(0.1)
    assert Watchdog().beat_seconds == float("inf")


def test_the_status_is_one_line_and_not_long() -> None:
    assert status_text(WATCHING) == "watching, ok; 2.3 files/s, 7 waiting, last a\\n.jpg"
    red = Heartbeat(1, NOW, NOW, "paused", "red", ("disk full " * 100,))
    assert len(status_text(red)) == MOST_CHARACTERS and "paused, red: disk full" in status_text(red)


@pytest.mark.fault(79)
def test_a_service_waits_for_a_database_that_cannot_be_used_now(
    pawsort: Installation, heard: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def refuse_once(url: str, mode: str, file_mode: int) -> Engine:
        tries.append(mode)
        if len(tries) == 1:
            raise DatabaseUnavailable("The server is down")
        return open_database(url, "worker", file_mode=file_mode)

    monkeypatch.setattr(database_start, "open_database", refuse_once)
    monkeypatch.setattr(database_start, "BACKOFF_SECONDS", (0.0,))
    watchdog = Watchdog(NotifySocket(heard.getsockname()))
    open_when_possible(pawsort.settings, watchdog, once=False).dispose()
    said = [heard.recv(1000).decode().split("\n") for _ in range(3)]
    assert [fields[0] for fields in said] == [
        "STATUS=opening the database",
        "STATUS=paused: The server is down",
        "STATUS=opening the database",
    ]
    assert all(fields[1] == "EXTEND_TIMEOUT_USEC=3600000000" for fields in said)
    for patient, once in ((watchdog, True), (Watchdog(), False)):
        tries.clear()
        with pytest.raises(DatabaseUnavailable):
            open_when_possible(pawsort.settings, patient, once)


@pytest.mark.parametrize("kind", [DatabaseUnavailable, LedgerError])
def test_a_service_is_started_again_after_what_another_start_may_end(
    kind: type[Exception], heard: socket.socket
) -> None:
    with pytest.raises(PawsortError) as ended, another_start(Watchdog(NotifySocket(heard.getsockname()))):
        raise kind("gone")
    assert ended.value.exit_code == 1
    with pytest.raises(kind), another_start(Watchdog()):
        raise kind("gone")
