"""Three workers on one PostgreSQL, as processes: one is killed, another reports, and one says so."""

from __future__ import annotations

import csv
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connection.engine import reading, writing
from db.queries import workers as known_workers
from pipeline.settings import config
from pipeline.worker import status
from tests.support.fork_server import ForkedWorker, ForkServer
from tests.support.installation import QUICK, wait
from tests.support.notified import Server
from tests.support.notified import server as notified_server

NAMES = ("ann", "bob", "carl")
SILENT = 5.0


class Machine:
    """A folder with settings, and the worker that runs there."""

    def __init__(self, folder: Path, name: str, database: str, url: str, fork_server: ForkServer) -> None:
        self.name = name
        self.folder = folder / name
        self._fork_server = fork_server
        (self.folder / "inbox").mkdir(parents=True)
        (self.folder / "scans").mkdir()
        (self.folder / "config.yaml").write_text(
            f"database: {database}\nworker: {name}\nreport: {{at: '00:00'}}\n"
            f"notify: {{urls: ['{url}'], on: [worker_silent]}}\n{QUICK}"
        )
        self.settings = config.load(self.folder / "config.yaml")

    def start(self) -> None:
        self.worker: ForkedWorker = self._fork_server.worker({"folder": str(self.folder), "silent": SILENT})

    def reports(self) -> list[str]:
        return sorted(path.name for path in self.settings.reports.glob("summary-*.csv"))


@pytest.fixture
def notified() -> Iterator[Server]:
    with notified_server() as found:
        yield found


@pytest.fixture
def machines(server: Engine, tmp_path: Path, notified: Server) -> Iterator[dict[str, Machine]]:
    """Three machines whose workers run; the first reports."""
    url = server.url.render_as_string(hide_password=False)
    fork_server = ForkServer()
    made = {name: Machine(tmp_path, name, url, notified.url, fork_server) for name in NAMES}
    try:
        for machine in made.values():
            machine.start()
            wait(lambda name=machine.name: states(server).get(name) == "running", "a sign of life")  # type: ignore[misc]
        yield made
    finally:
        fork_server.close()


def states(server: Engine) -> dict[str, str]:
    return {worker.name: worker.state for worker in known_workers.all_workers(server)}


def reporter(server: Engine) -> str | None:
    id = known_workers.reporter(server)
    return next((each.name for each in known_workers.all_workers(server) if each.id == id), None)


def count(server: Engine, condition: str) -> int:
    with reading(server) as connection:
        found: int = connection.exec_driver_sql(f"SELECT count(*) FROM files WHERE {condition}").scalar_one()
    return found


def test_a_killed_reporter_is_silent_and_replaced_and_said_once_until_it_is_back(
    server: Engine, machines: dict[str, Machine], notified: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_workers, "SILENT_SECONDS", SILENT)
    assert reporter(server) == "ann"
    for name, machine in machines.items():
        (machine.folder / "inbox" / "a.jpg").write_bytes(f"{name}<cat>".encode())
    wait(lambda: count(server, "state = 'filed'") == 3, "three files")
    assert [machine.reports() for machine in machines.values()] == [[], [], []]

    with writing(server) as connection:
        connection.exec_driver_sql("UPDATE files SET seen_at = seen_at - interval '1 day'")
    machines["ann"].worker.signal(signal.SIGKILL)
    wait(lambda: reporter(server) in ("bob", "carl"), "another reporter")
    new = machines[str(reporter(server))]
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    wait(lambda: new.reports() == [f"summary-{day}.csv"], "the missed report")
    [other] = [machine for machine in machines.values() if machine.name not in ("ann", new.name)]
    assert machines["ann"].reports() == other.reports() == []
    rows = csv.DictReader((new.settings.reports / f"summary-{day}.csv").read_text().splitlines())
    cats = {row["worker"]: (row["inbox"], row["images"]) for row in rows if row["outcome"] == "cats"}
    assert cats == {name: (str(machine.folder / "inbox"), "1") for name, machine in machines.items()}

    wait(lambda: states(server)["ann"] == "silent", "the silence")
    wait(lambda: notified.titles == ["a worker is silent"], "the alert")
    assert "The worker ann" in notified.messages[0]["message"]
    shown = status.read(other.settings, server)
    assert "worker     ann: silent for " in shown.as_text()
    assert f"{new.name}: running, 0 waiting, last sign of life" in shown.as_text()

    machines["ann"].start()
    wait(lambda: states(server)["ann"] == "running", "the sign of life")
    wait(lambda: len(notified.titles) == 2, "the end of the alert")
    assert notified.titles[1] == "the worker is no longer silent"
    assert reporter(server) == new.name, "who reports goes on"

    for machine in machines.values():
        machine.worker.signal(signal.SIGTERM)
        assert machine.worker.wait() == 143
    assert states(server) == dict.fromkeys(NAMES, "stopped")
    assert reporter(server) is None
    assert len(notified.titles) == 2, "the end in order is not said"
