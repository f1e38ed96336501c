from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.web.routes.dashboard import headline_of
from pipeline.web.services.cached import Cache
from pipeline.worker import heartbeat
from pipeline.worker.heartbeat import Heartbeat, InboxBeat
from pipeline.worker.locks import worker_lock
from tests.pipeline.web.conftest import HTML, TestClient
from tests.support.installation import Installation


def beat(**changes: object) -> Heartbeat:
    now = datetime.now(UTC)
    values = {"pid": os.getpid(), "started_at": now, "at": now, "state": "watching", "health": "ok"}
    return Heartbeat(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("worker", "changes", "mood", "words"),
    [
        ("running", {}, "good", "waiting for photos"),
        ("running", {"waiting": 3}, "good", "processing"),
        ("running", {"state": "paused", "health": "red"}, "bad", "paused"),
        ("running", {"health": "degraded"}, "warn", "with problems"),
        ("running", {"state": "starting"}, "warn", "starting"),
        ("running", {"state": "stopping"}, "warn", "stopping"),
        ("starting", {}, "warn", "starting"),
        ("stalled", {}, "bad", "not responding"),
        ("died", {}, "bad", "died"),
        ("stopped", {}, "bad", "No worker is running"),
    ],
)
def test_the_worker_is_red_when_it_is_dead_or_cannot_go_on(
    worker: heartbeat.Liveness, changes: dict[str, object], mood: str, words: str
) -> None:
    found = headline_of(worker, beat(**changes))
    assert found[0] == mood and words in found[1]


def test_the_page_has_what_the_worker_says_of_itself(client: TestClient, pawsort: Installation) -> None:
    pawsort.file(b"a.jpg")
    inboxes = (
        InboxBeat("/in/a", "native", "ok", None, 2),
        InboxBeat("/in/b<", "polling", "degraded", "no events", 0),
    )
    said = beat(
        inboxes=inboxes, rate_per_second=12.5, reasons=("slow <disk>",), disk_free_bytes=10**9,
        model="pets@2", learning="pets@3 is better",
    )  # fmt: skip
    said.write(pawsort.settings.state / heartbeat.FILE_NAME)
    with worker_lock(pawsort.settings):
        text = client.get("/today", headers=HTML).text
    assert 'class="pulse good"' in text and "12.5" in text
    assert "slow &lt;disk&gt;" in text and "/in/b&lt;" in text and "no events" in text
    assert text.count("watching (events)") == 1 and "2 waiting" in text and "0 waiting" in text
    assert "watching (polling every 2 to 60 s)" in text
    assert "1.0 GB of" in text
    assert "Model: pets@2" in text and "Learning: pets@3 is better" in text


def test_a_dead_worker_is_red(client: TestClient, pawsort: Installation) -> None:
    said = beat(inboxes=(InboxBeat("/in/a", "native", "ok", None, 2),))
    said.write(pawsort.settings.state / heartbeat.FILE_NAME)
    text = client.get("/today/now").text
    assert 'class="pulse bad"' in text
    assert "watching" not in text and str(pawsort.settings.inboxes[0]) in text


def test_the_part_that_renews_itself_comes_alone(client: TestClient, pawsort: Installation) -> None:
    text = client.get("/today/now").text
    assert "<html" not in text
    assert text.lstrip().startswith('<div id="now"')


def test_a_folder_that_people_made_is_counted_as_the_others(
    client: TestClient, pawsort: Installation
) -> None:
    pawsort.time = datetime.now(UTC)
    pawsort.file(b"a.jpg")
    pawsort.file(b"b.jpg", b"rabbit", "rabbits")
    text = client.get("/today/now").text
    assert "<dt>Arrived today</dt><dd>2</dd>" in text
    assert "1 cats, 1 rabbits</title>" in text


def test_polling_asks_the_database_next_to_nothing(
    client: TestClient, pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.file(b"a.jpg")
    client.get("/today/now")

    def forbidden(*_: object) -> None:
        raise AssertionError("counted again at once")

    monkeypatch.setattr("pipeline.web.services.cached.LEAST_SECONDS", 60)
    client.get("/today")
    for name in ("db.queries.overview.by_day", "db.queries.overview.failures", "db.queries.listing.counts"):
        monkeypatch.setattr(name, forbidden)
    assert client.get("/today/now").status_code == 200


def test_failures_are_counted_by_reason_and_tried_again(client: TestClient, pawsort: Installation) -> None:
    for number in range(3):
        reason = "truncated" if number else "empty"
        pawsort.file(b"%d.jpg" % number, b"%d" % number, "failed", reason=reason, prediction=None)
    text = client.get("/today", headers=HTML).text
    assert "truncated" in text and "Retry all" in text and ">Retry<" in text
    response = client.post("/today/retry", data={"reason": "truncated"}, follow_redirects=False)
    assert response.status_code == 303
    assert set(pawsort.tree()) == {b"inbox/1.jpg", b"inbox/2.jpg", b"sorted/failed/0.jpg"}
    assert "truncated" not in client.get("/today", headers=HTML).text, "what was counted before is forgotten"


def test_a_failure_that_cannot_be_moved_is_said(client: TestClient, pawsort: Installation) -> None:
    pawsort.file(b"a.jpg", outcome="failed", reason="empty")
    Path(pawsort.settings.sorted, "failed/a.jpg").unlink()
    response = client.post("/today/retry", data={"reason": "empty"}, headers=HTML)
    assert response.status_code == 409 and "a.jpg: is missing" in response.text


def test_an_empty_page_says_what_to_do(visitor: TestClient) -> None:
    text = visitor.get("/today", headers=HTML).text
    assert "No worker is running" in text and "pawsort run" in text


# --- answers that are kept ---


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_kept_the_longer_the_more_it_cost() -> None:
    clock, asked = Clock(), []
    cache = Cache(clock)

    def slow() -> int:
        clock.now += 0.2
        asked.append(1)
        return len(asked)

    assert cache.get("a", slow) == cache.get("a", slow) == 1
    clock.now += 9.9
    assert cache.get("a", slow) == 1, "0.2 s are 2% of 10 s"
    clock.now += 0.2
    assert cache.get("a", slow) == 2
    cache.forget()
    assert cache.get("a", slow) == 3


def test_an_error_is_not_kept() -> None:
    cache = Cache()

    def broken() -> int:
        raise OSError

    with pytest.raises(OSError):
        cache.get("a", broken)
    assert cache.get("a", lambda: 1) == 1


def test_what_is_kept_is_bounded() -> None:
    cache = Cache()
    for number in range(1000):
        cache.get(number, lambda: 0)
    assert len(cache._kept) <= 64
