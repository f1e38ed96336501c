from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.connection.errors import DatabaseUnavailable
from pipeline.settings.config import Settings
from pipeline.version import version
from pipeline.web.metrics import scrape
from pipeline.web.metrics.bounded_calls import BoundedCalls
from pipeline.web.metrics.exposition import counter, gauge, histogram, text
from pipeline.web.metrics.scrape import MonotonicCounts
from pipeline.worker import counters
from tests.pipeline.web.conftest import ADDRESS, TestClient, client_of, made_app
from tests.pipeline.web.routes.test_api import beat
from tests.support.installation import SMALL, Installation, wait

CLOSED = 1
"""A port at which no server listens."""

LEDGER = {"pawsort_files", "pawsort_corrections_total", "pawsort_undos_total"}


def scraped(client: TestClient) -> dict[str, float]:
    """The value of each sample, by its name and labels as they are written."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {sample: float(value) for sample, _, value in (line.rpartition(" ") for line in lines)}


def names(samples: dict[str, float]) -> set[str]:
    return {sample.split("{")[0] for sample in samples}


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Installation]:
    """An installation where a worker has filed photos, and a person has corrected one."""
    pawsort = Installation(tmp_path / "pets", SMALL)
    pawsort.drop("a.jpg", b"<cat>a")
    pawsort.drop("b.jpg", b"<truncated>")
    worker = pawsort.run_worker()
    worker.counters.write(pawsort.settings.state / counters.FILE_NAME)
    beat(pawsort)
    pawsort.correct(b"cats/a.jpg")
    yield pawsort
    pawsort.close()


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Yield the port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
    wait(lambda: not [thread for thread in threading.enumerate() if thread.name == "database"])


def test_a_scrape_has_the_counters_of_the_worker(busy: Installation) -> None:
    with client_of(busy) as client:
        found = scraped(client)
    assert found["pawsort_arrived_files_total"] == 2
    assert found['pawsort_filed_files_total{outcome="cats"}'] == 1
    assert found['pawsort_failed_files_total{reason="truncated"}'] == 1
    assert found["pawsort_filing_duration_seconds_count"] == 2
    assert found['pawsort_filing_duration_seconds_bucket{le="+Inf"}'] == 2
    assert found["pawsort_classifier_restarts_total"] == 0
    [build] = [sample for sample in found if sample.startswith("pawsort_build_info{")]
    assert f'version="{version()}"' in build and 'engine="stub"' in build


def test_an_undo_lowers_no_total(busy: Installation) -> None:
    with client_of(busy) as client:
        before = scraped(client)
        busy.undo(last=1)
        client.app.state.context.cache.forget()  # type: ignore[attr-defined]
        after = scraped(client)
    assert (before["pawsort_corrections_total"], before["pawsort_undos_total"]) == (1, 0)
    assert (after["pawsort_corrections_total"], after["pawsort_undos_total"]) == (1, 1)


def test_rows_that_are_deleted_lower_no_total() -> None:
    growing = MonotonicCounts()
    assert [growing.follow("correct", count) for count in (5, 7, 2, 3)] == [5, 7, 7, 8]


@pytest.mark.parametrize("is_there", [False, True])
def test_without_postgresql_all_else_is_answered_soon(
    busy: Installation, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "MOST_SECONDS", 0.3)
    busy.close()
    with contextlib.ExitStack() as stack:
        server = contextlib.ExitStack()
        port = server.enter_context(silent_server()) if is_there else CLOSED
        other = f"postgresql://pawsort@127.0.0.1:{port}/pawsort"
        app = made_app(busy.settings.model_copy(update={"database": other}))
        client = stack.enter_context(TestClient(app, base_url=ADDRESS))
        stack.enter_context(server)  # it ends first, since the client would wait for its connection
        found = scraped(client)
        if is_there:
            assert not app.state.scraper._calls._running["database"].done(), "it is answered meanwhile"
    assert found["pawsort_database_up"] == 0
    assert not names(found) & LEDGER
    assert {"pawsort_arrived_files_total", "pawsort_worker_health", "pawsort_waiting_files"} <= names(found)


def test_a_database_that_stops_to_answer_is_noticed_though_counts_are_cached(
    busy: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(engine: object) -> str:
        raise DatabaseUnavailable("the server is gone")

    with client_of(busy) as client:
        assert scraped(client)["pawsort_database_up"] == 1
        monkeypatch.setattr(scrape, "schema_version", unavailable)
        found = scraped(client)
    assert found["pawsort_database_up"] == 0 and not names(found) & LEDGER
    assert "pawsort_arrived_files_total" in found


def test_each_folder_is_shown_and_those_that_are_gone(busy: Installation) -> None:
    inbox, scans = busy.settings.inboxes
    scans.rmdir()
    with client_of(busy) as client:
        found = scraped(client)
    assert found[f'pawsort_folder_up{{kind="inbox",path="{inbox}"}}'] == 1
    assert found[f'pawsort_folder_up{{kind="inbox",path="{scans}"}}'] == 0
    assert found[f'pawsort_folder_up{{kind="sorted",path="{busy.settings.sorted}"}}'] == 1
    assert found[f'pawsort_folder_up{{kind="state",path="{busy.settings.state}"}}'] == 1


def test_a_folder_that_hangs_holds_nothing_up(busy: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "MOST_SECONDS", 0.3)
    going_on = threading.Event()
    honest = scrape._is_reachable

    def hang(folder: Path) -> bool:
        return folder != busy.settings.sorted or (going_on.wait(60) and honest(folder))

    monkeypatch.setattr(scrape, "_is_reachable", hang)
    with client_of(busy) as client:
        try:
            first, second = scraped(client), scraped(client)
            hanging = [each for each in threading.enumerate() if each.name == str(busy.settings.sorted)]
        finally:
            going_on.set()
        for found in (first, second):
            assert found[f'pawsort_folder_up{{kind="sorted",path="{busy.settings.sorted}"}}'] == 0
            assert 'pawsort_worker_health{health="ok"}' in found
        assert len(hanging) == 1, "one call at a time"
        wait(lambda: not hanging[0].is_alive())


def test_a_state_that_cannot_be_read_shows_no_worker_and_no_counters(busy: Installation) -> None:
    (busy.settings.state / "heartbeat.json").unlink()
    (busy.settings.state / "heartbeat.json").mkdir()
    (busy.settings.state / counters.FILE_NAME).unlink()
    with client_of(busy) as client:
        found = scraped(client)
    assert found["pawsort_worker_up"] == 0 and found["pawsort_database_up"] == 1
    assert not [name for name in names(found) - LEDGER if name.endswith("_total")]


def test_an_unexpected_error_leaves_a_gap_and_is_logged(
    busy: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(path: Path) -> None:
        raise ValueError(path)

    monkeypatch.setattr(counters, "read", fail)
    with client_of(busy) as client:
        found = scraped(client)
    assert "pawsort_arrived_files_total" not in found and found["pawsort_database_up"] == 1
    assert "ValueError" in caplog.text


def test_the_time_of_the_last_report_is_that_of_its_file(busy: Installation) -> None:
    with client_of(busy) as client:
        assert "pawsort_last_report_timestamp_seconds" not in scraped(client)
        latest = busy.settings.reports / "latest-summary.csv"
        latest.touch()
        assert scraped(client)["pawsort_last_report_timestamp_seconds"] == latest.stat().st_mtime


def test_where_no_worker_has_been_nothing_is_wrong_with_the_database(tmp_path: Path) -> None:
    with TestClient(made_app(Settings(base=tmp_path)), base_url=ADDRESS) as client:
        found = scraped(client)
    assert found["pawsort_database_up"] == 1 and found['pawsort_files{outcome="waiting"}'] == 0


def test_a_call_that_fails_says_why_and_is_made_again() -> None:
    calls = BoundedCalls()
    failing = calls.begin("a", lambda: 1 // 0)
    assert isinstance(failing.exception(5), ZeroDivisionError)
    assert calls.begin("a", lambda: 2).result(5) == 2


def test_metrics_are_written_as_prometheus_reads_them() -> None:
    written = text(
        [
            gauge("a_bytes", "Bytes.", ({"path": 'a\n"b\\'}, 1e12), ({"path": "c"}, 0.25)),
            gauge("absent", "Unknown."),
            counter("b_total", "B.", ({}, 3.0)),
            histogram("c_seconds", "C.", (0.5, 1.0), (1, 0, 2), 7.5),
        ]
    )
    assert written == (
        '# HELP a_bytes Bytes.\n# TYPE a_bytes gauge\na_bytes{path="a\\n\\"b\\\\"} 1000000000000\n'
        'a_bytes{path="c"} 0.25\n'
        "# HELP b_total B.\n# TYPE b_total counter\nb_total 3\n"
        '# HELP c_seconds C.\n# TYPE c_seconds histogram\nc_seconds_bucket{le="0.5"} 1\n'
        'c_seconds_bucket{le="1"} 1\nc_seconds_bucket{le="+Inf"} 3\nc_seconds_sum 7.5\nc_seconds_count 3\n'
    )


def test_a_path_that_is_not_utf_8_is_shown_in_escapes() -> None:
    written = text([gauge("up", "Up.", ({"path": os.fsdecode(b"/in\xff")}, 1.0))])
    assert written.encode().endswith(b'up{path="/in\\\\udcff"} 1\n')


def test_names_and_units_are_as_prometheus_asks(busy: Installation) -> None:
    with client_of(busy) as client:
        shown = client.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", shown, re.MULTILINE))
    assert all(re.fullmatch(r"pawsort_[a-z_]+", name) for name in kinds)
    assert {name for name, kind in kinds.items() if kind == "counter"} == {
        name for name in kinds if name.endswith("_total")
    }
    assert set(kinds) == set(re.findall(r"^# HELP (\S+) \S", shown, re.MULTILINE))
