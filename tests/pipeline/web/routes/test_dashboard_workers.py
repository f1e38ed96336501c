"""Today, `status` and the metrics on a database with many workers show each, and which is silent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from db.connection import session_locks
from db.connection.engine import open_database, writing
from db.ledger import workers
from pipeline.web.metrics.exposition import text
from pipeline.web.metrics.of_worker import of_all
from pipeline.web.routes import reports
from pipeline.worker import status
from pipeline.worker.identity import this_worker
from pipeline.worker.known_workers import duration
from tests.db.conftest import create_database, postgres
from tests.pipeline.web.conftest import HTML, TestClient, made_app
from tests.pipeline.web.routes.test_dashboard import beat
from tests.support.installation import Installation

__all__ = ["postgres"]


@pytest.fixture
def shared(postgres: str, pawsort: Installation) -> Iterator[tuple[Engine, Installation]]:
    """A database of ann, this one, who runs, bob, who was killed, and carl, who stopped."""
    url = create_database(postgres)
    engine = open_database(url)
    pawsort.settings = pawsort.settings.model_copy(update={"database": url, "worker": "ann"})
    with this_worker(engine, pawsort.settings):
        for name, address in (("ann", None), ("bob", "http://bob.example:8420"), ("carl", None)):
            id = workers.register(engine, name, name) if name != "ann" else 1
            waiting = beat(waiting=17, reasons=("slow <disk>",)).as_dict()
            workers.beat(engine, id, waiting, address)
        workers.stopped(engine, 3, beat().at)
        with writing(engine) as connection:
            connection.exec_driver_sql(
                "UPDATE workers SET beat_at = now() - interval '5 minutes' WHERE id > 1"
            )
        yield engine, pawsort
    engine.dispose()


def test_today_shows_each_worker_and_which_is_silent(shared: tuple[Engine, Installation]) -> None:
    with TestClient(made_app(shared[1].settings), base_url="http://127.0.0.1:8420") as client:
        page = client.get("/today", headers=HTML).text
        part = page[page.index('data-row="workers"') : page.index("</section>", page.index("workers"))]
        assert '<span class="pill bad">silent for 5 minutes</span>' in page
        assert '<a href="http://bob.example:8420">bob</a>' in page
        assert "No worker says when another is silent; one that has" in page
        assert 'data-row="carl"' in page and ">stopped</span>" in page and ", this one" in page
        assert "17 waiting" in page and part.count("slow &lt;disk&gt;") == 0
        assert 'data-row="workers"' in client.get("/today/now").text
        found = client.get("/metrics").text
    assert 'pawsort_ledger_worker_silent{worker="bob"} 1\n' in found
    assert 'pawsort_ledger_worker_up{worker="ann"} 1\n' in found
    assert 'pawsort_ledger_worker_up{worker="carl"} 0\n' in found


def test_status_shows_each_worker(shared: tuple[Engine, Installation]) -> None:
    engine, pawsort = shared
    seen = status.read(pawsort.settings, engine)
    assert "worker     bob: silent for 5 minutes, 17 waiting\n" in seen.as_text()
    assert "worker     ann: running, 17 waiting, last sign of life 0 s ago, this one\n" in seen.as_text()
    [ann, bob, carl] = seen.as_dict()["workers"]
    assert [each["state"] for each in (ann, bob, carl)] == ["running", "silent", "stopped"]
    assert bob["address"] == "http://bob.example:8420" and 299 < bob["idle_seconds"] < 360
    assert ann["is_own"] and not bob["is_own"]


def test_a_retired_worker_is_shown_and_is_not_silent(shared: tuple[Engine, Installation]) -> None:
    engine, pawsort = shared
    workers.retire(engine, 2, 30)
    with TestClient(made_app(pawsort.settings), base_url="http://127.0.0.1:8420") as client:
        page, found = client.get("/today", headers=HTML).text, client.get("/metrics").text
    assert '<span class="pill ">retired</span>' in page and "pill bad" not in page
    assert 'pawsort_ledger_worker_silent{worker="bob"} 0\n' in found
    assert 'pawsort_ledger_worker_up{worker="bob"} 0\n' in found
    seen = status.read(pawsort.settings, engine)
    assert "worker     bob: retired\n" in seen.as_text()
    assert [each["state"] for each in seen.as_dict()["workers"]] == ["running", "retired", "stopped"]


def test_reports_names_the_machine_that_writes_them(
    shared: tuple[Engine, Installation], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, pawsort = shared
    pawsort.settings.reports.mkdir(exist_ok=True)
    monkeypatch.setattr(reports, "_missing", lambda *_: ["2026-11-29"])
    with TestClient(made_app(pawsort.settings), base_url="http://127.0.0.1:8420") as client:
        page = client.get("/reports", headers=HTML).text
        assert "The first report is written after the first night" in page and "Days without a report" in page
        lock = session_locks.lock_of_one(engine, session_locks.REPORTER, 2)
        assert lock.take()
        page = client.get("/reports", headers=HTML).text
        lock.free()
    assert 'by the worker <a href="http://bob.example:8420/reports">bob</a>, on its machine.' in page
    assert "The first report is written after the first night" not in page
    assert "Days without a report" not in page


def test_one_worker_is_shown_as_before(pawsort: Installation, client: TestClient) -> None:
    assert 'data-row="workers"' not in client.get("/today", headers=HTML).text
    assert status.read(pawsort.settings, pawsort.engine).as_dict()["workers"] == []
    assert text(of_all(())) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (119, "119 s"), (120, "2 minutes"), (7200, "2 hours"), (172_801, "2 days")],
)
def test_durations_have_one_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words
