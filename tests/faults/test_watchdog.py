"""What the service manager hears of a worker: signs of life as long as it makes progress, and then none."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import injection
from tests.support.forked_installation import ForkedInstallation
from tests.support.installation import wait

WATCHDOG = 0.3
"""Seconds that this service manager lets pass without a sign of life."""


class ServiceManager:
    """The socket of a service manager, as systemd has one for each service."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.received: list[list[str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def listen(self, seconds: float) -> None:
        """Take what has come, and wait so long for more."""
        end = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError, BlockingIOError):
            while True:
                self._socket.settimeout(max(0.0, end - time.monotonic()))
                self.received.append(self._socket.recv(4096).decode().split("\n"))

    def hears(self, field: str) -> bool:
        """Return whether a message that was not heard yet has this field, or one with this text in it."""
        self.listen(0.01)
        while self.received:
            if any(field in each for each in self.received.pop(0)):
                return True
        return False

    def wait_for(self, *fields: str) -> None:
        """Wait until each has been heard, one after the other."""
        for field in fields:
            wait(lambda: self.hears(field), f"{field} of the worker")  # noqa: B023 - called at once

    def would_kill(self) -> bool:
        """Return whether the worker gave no sign of life in the time of the watchdog."""
        self.listen(0.01)
        self.received.clear()
        self.listen(WATCHDOG)
        return not any("WATCHDOG=1" in fields for fields in self.received)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceManager]:
    address = str(tmp_path / "notify")
    manager = ServiceManager(address if request.param == "path" else f"@{address}")
    yield manager
    manager.close()


@pytest.fixture
def start(pawsort: ForkedInstallation, manager: ServiceManager) -> Callable[..., None]:
    def start(**order: object) -> None:
        pawsort.start(notify=manager.address, watchdog=WATCHDOG, **order)

    return start


def only_by(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("manager", [kind], indirect=True)


def test_a_worker_is_ready_once_its_model_is_and_beats_while_idle_and_busy(
    pawsort: ForkedInstallation, manager: ServiceManager, start: Callable[..., None]
) -> None:
    start(delay=0.05)
    manager.wait_for("STATUS=opening the database", "EXTEND_TIMEOUT_USEC=", "READY=1", "WATCHDOG=1")
    for number in range(8):
        pawsort.drop(f"{number}.jpg", b"%d<cat>" % number)
    manager.wait_for("WATCHDOG=1")
    pawsort.wait_until_filed()
    manager.wait_for("STATUS=watching, ok; 0.1 files/s, 0 waiting, last ", "WATCHDOG=1")
    pawsort.workers[-1].signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")


@only_by("path")
def test_a_worker_that_is_stopped_or_whose_thread_waits_for_ever_is_silent(
    pawsort: ForkedInstallation, manager: ServiceManager, start: Callable[..., None]
) -> None:
    start(deadlock=True)
    manager.wait_for("READY=1")
    pawsort.workers[-1].signal(signal.SIGSTOP)
    wait(manager.would_kill, "the silence of a worker that is stopped")
    pawsort.workers[-1].signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1")
    pawsort.drop("a.jpg", b"<cat>")
    wait(manager.would_kill, "the silence of a worker that is deadlocked")
    pawsort.workers[-1].signal(signal.SIGABRT)
    assert pawsort.workers[-1].wait() == -signal.SIGABRT
    assert "in _deadlock" in pawsort.log, "the log says where the thread waits"


@only_by("path")
@pytest.mark.fault(50)
@pytest.mark.parametrize("crashes", ["idle", "at work"])
def test_a_worker_whose_classifier_crashes_for_ever_is_silent_and_red(
    pawsort: ForkedInstallation, manager: ServiceManager, start: Callable[..., None], crashes: str
) -> None:
    start(child=True, crashes=crashes)
    manager.wait_for("READY=1")
    for number in range(40 if crashes == "at work" else 0):
        pawsort.drop(f"{number}.jpg", b"%d<cat>" % number)
    # `starting`, if the beat comes between two children.
    manager.wait_for(", red: the classifier crashes with every photo: ")
    wait(manager.would_kill, "the silence of a worker whose classifier crashes")
    assert pawsort.beat and pawsort.beat.health == "red"


@only_by("path")
@injection.ROOT_ONLY
def test_a_worker_that_is_paused_by_a_full_disk_beats(
    pawsort: ForkedInstallation, manager: ServiceManager, start: Callable[..., None]
) -> None:
    with injection.tmpfs(pawsort.settings.sorted):
        start()
        manager.wait_for("READY=1")
        with injection.full(pawsort.settings.sorted):
            pawsort.drop("a.jpg", b"<cat>" * 5000)
            manager.wait_for("STATUS=paused, red: ", "WATCHDOG=1", "WATCHDOG=1")
        manager.wait_for("STATUS=watching, ok")
        pawsort.workers[-1].kill()
