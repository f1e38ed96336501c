"""Learning and versions: the page Models, the page of a version, and the API."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.learning import learn_status, versions
from pipeline.learning.learning_process import LearningProcess
from pipeline.worker import heartbeat
from pipeline.worker.heartbeat import Heartbeat
from pipeline.worker.locks import worker_lock
from tests.pipeline.web.conftest import HTML, TestClient, client_of
from tests.support.installation import QUICK, Installation, wait
from tests.support.learnt_records import GO, change, contradiction, learnt, stand_in
from tests.support.model_versions import WORSE, add_version, damage, small_bundle

FORM = {**HTML, "Origin": "http://127.0.0.1:8420"}


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose model is a small bundle."""
    small_bundle(tmp_path / "models" / "pets")
    pawsort = Installation(tmp_path, QUICK + "model: pets\n")
    yield pawsort
    pawsort.close()


@pytest.fixture
def client(pawsort: Installation) -> Iterator[TestClient]:
    with client_of(pawsort) as client:
        yield client


def judge(pawsort: Installation, count: int, first: int = 0) -> list[int]:
    """File photos and confirm or correct each; return their ids."""
    ids = []
    for number in range(first, first + count):
        ids.append(pawsort.file(b"%d.jpg" % number, b"%d" % number))
        pawsort.correct(b"cats/%d.jpg" % number, label="dog" if number % 2 else "cat")
    return ids


def text_of(client: TestClient, path: str = "/models") -> str:
    """The words of a page, with single spaces and without tags."""
    response = client.get(path, headers=HTML)
    assert response.status_code == 200, response.text
    return plain(response.text)


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).replace("&#34;", '"').replace("&#39;", "'").split())


def post(client: TestClient, path: str, **form: object) -> Any:
    return client.post(path, data=form, headers=FORM, follow_redirects=False)


def in_force(pawsort: Installation) -> str:
    return versions.chain(versions.family(pawsort.settings))[0].name


def learns(client: TestClient, pawsort: Installation, *how: str) -> LearningProcess:
    """Let the pages learn by a stand-in."""
    process = LearningProcess(pawsort.settings.state, stand_in(pawsort.config, *how))
    context = client.app.state.context  # type: ignore[attr-defined]
    client.app.state.context = replace(context, learning=process)  # type: ignore[attr-defined]
    return process


def has_ended(process: LearningProcess) -> bool:
    status = process.status()
    ended = status is not None and status.state != "running"
    return ended and not process._is_alive()  # so that nothing is left of it after the test


def beat(pawsort: Installation, **changes: object) -> None:
    now = datetime.now(UTC)
    values = {"pid": os.getpid(), "started_at": now, "at": now, "state": "watching", "health": "ok"}
    found = Heartbeat(**{**values, **changes})  # type: ignore[arg-type]
    found.write(pawsort.settings.state / heartbeat.FILE_NAME)


# --- how many answers, and how many more ---


def test_without_answers_the_page_says_how_many_are_needed(client: TestClient) -> None:
    text = text_of(client)
    assert "Learn from your answers" in text and "at least 20 answers: 20 more" in text
    assert "Learn now" not in text and "Review photos" in text and "Versions" not in text


def test_few_answers_are_said_to_be_few_and_may_teach(client: TestClient, pawsort: Installation) -> None:
    learns(client, pawsort, "quick")
    judge(pawsort, 21)
    text = text_of(client)
    assert "Learn from 21 answers" in text and "29 more would help: it usually pays from 50" in text
    assert "Learn now" in text


def test_only_answers_after_the_last_learning_began_are_new(
    client: TestClient, pawsort: Installation
) -> None:
    judge(pawsort, 3)
    began = pawsort.time + timedelta(seconds=1)
    judge(pawsort, 2, first=3)
    at = began + timedelta(seconds=60)
    add_version(pawsort.settings, 1, learnt=learnt() | {"at": at.isoformat(), "seconds": 60.0})
    text = text_of(client)
    assert "Learn from 5 answers" in text
    assert "2 of them are new since the last learning" in text


def test_review_says_what_becomes_of_an_answer(client: TestClient, pawsort: Installation) -> None:
    assert "Answers teach" not in text_of(client, "/review")
    judge(pawsort, 2)
    client.app.state.context.cache.forget()  # type: ignore[attr-defined]
    response = client.get("/review", headers=HTML)
    assert '<a href="/models#learning">Answers teach</a>: 2 so far.' in response.text
    add_version(pawsort.settings, 1, learnt=learnt() | {"at": (pawsort.time + timedelta(days=1)).isoformat()})
    client.app.state.context.cache.forget()  # type: ignore[attr-defined]
    response = client.get("/review", headers=HTML)
    assert '<a href="/models#learning">Answers teach</a>: 0 since the last learning.' in response.text


# --- learning ---


def test_learning_runs_in_a_process_of_its_own_and_its_version_is_listed(
    client: TestClient, pawsort: Installation
) -> None:
    judge(pawsort, 21)
    process = learns(client, pawsort, "quick")
    answer = post(client, "/models/learn")
    assert (answer.status_code, answer.headers["location"]) == (303, "/models#learning")
    wait(lambda: has_ended(process), "the learning")
    status = process.status()
    assert status is not None and (status.state, status.version) == ("done", 1), status
    text = text_of(client)
    assert "compare pets@1 with the version in force" in text
    assert re.search(r"Learnt \S+ \S+ UTC from 412 answers", text)
    assert "0 of them are new since the last learning" in text
    assert in_force(pawsort) == "pets", "only a person promotes it"


def test_its_progress_is_shown_with_the_time_left_and_the_page_asks_again(
    client: TestClient, pawsort: Installation
) -> None:
    judge(pawsort, 21)
    with learn_status.learning(pawsort.settings), learn_status.reporting(pawsort.settings.state) as report:
        assert "Starting…" in text_of(client)
        report._written = 0.0
        report(learn_status.Progress("photos", 120, 400, 130.0))
        page = client.get("/models", headers=HTML)
        part = client.get("/models/learn/now", headers={**HTML, "HX-Request": "true"})
        for response in (page, part):
            assert "Looking at the photos: 120 of 400 , about 2 minutes left" in plain(response.text)
            assert 'hx-get="/models/learn/now?was_busy=learning" hx-trigger="every 3s"' in response.text
            assert "Learn now" not in response.text
        assert 'hx-swap-oob="innerHTML"></div>' in part.text, "a screen reader is left in peace"
    ended = client.get("/models/learn/now?was_busy=learning", headers={**HTML, "HX-Request": "true"})
    assert "hx-get" not in ended.text and "Learning is done." in ended.text
    whole = client.get("/models/learn/now", headers=HTML, follow_redirects=False)
    assert whole.headers["location"] == "/models#learning", "after signing in again"


def test_two_learnings_at_a_time_are_refused(client: TestClient, pawsort: Installation) -> None:
    judge(pawsort, 21)
    learns(client, pawsort, "quick")
    with learn_status.learning(pawsort.settings):
        answer = post(client, "/models/learn")
        told = client.post("/api/models/learn")
    assert answer.status_code == 409 and "something is being learnt already" in answer.text
    assert told.status_code == 409 and told.json()["error"] == "something is being learnt already."
    assert not (pawsort.settings.state / "learn.log").exists(), "no process was started"


def test_a_second_click_while_the_process_still_starts_is_refused(
    client: TestClient, pawsort: Installation
) -> None:
    judge(pawsort, 21)
    process = learns(client, pawsort, "held")
    assert client.post("/api/models/learn").status_code == 202
    assert client.post("/api/models/learn").status_code == 409
    state = client.get("/api/models/learn").json()
    assert state["state"] == "running"
    wait(lambda: (found := process.status()) and found.stage == "photos", "the first progress")
    assert "Looking at the photos" in text_of(client)
    (pawsort.settings.state / GO).touch()
    wait(lambda: has_ended(process), "the learning")


@pytest.mark.parametrize(
    ("how", "state", "words"),
    [
        ("fail", "failed", "The last learning failed: 12 judged photos can be used; expected at least 20"),
        ("broken", "failed", "The last learning failed: the model carries no features of its photos"),
        ("silent", "stopped", "The last learning was stopped: it ended without saying why"),
    ],
)
def test_a_learning_that_ended_badly_says_why(
    client: TestClient, pawsort: Installation, how: str, state: str, words: str
) -> None:
    judge(pawsort, 21)
    process = learns(client, pawsort, how)
    assert post(client, "/models/learn").status_code == 303
    wait(lambda: has_ended(process), "the end")
    text = text_of(client)
    assert words in text and "Learn now" in text
    assert client.get("/api/models/learn").json()["state"] == state


def test_a_learning_that_a_signal_stopped_says_so(pawsort: Installation) -> None:
    with pytest.raises(KeyboardInterrupt), learn_status.reporting(pawsort.settings.state):
        raise KeyboardInterrupt
    status = learn_status.read(pawsort.settings.state)
    assert status and (status.state, status.reason) == ("stopped", "it was stopped by a signal")


@pytest.mark.parametrize("content", ["", "[", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1}'])
def test_a_state_that_cannot_be_read_is_none(client: TestClient, pawsort: Installation, content: str) -> None:
    (pawsort.settings.state / "learn_progress.json").write_text(content)
    assert "Learn from" in text_of(client)
    assert client.get("/api/models/learn").json() is None


def test_pages_without_settings_file_cannot_start_it(client: TestClient, pawsort: Installation) -> None:
    judge(pawsort, 21)
    text = text_of(client)
    assert "Learn now" not in text and "pawsort learn starts it" in text
    answer = post(client, "/models/learn")
    assert answer.status_code == 409 and "run `pawsort learn` instead" in answer.text
    assert client.post("/api/models/learn").status_code == 409


# --- versions, and one against another ---


def test_a_version_stands_beside_the_one_it_was_compared_with(
    client: TestClient, pawsort: Installation
) -> None:
    first, second, third = judge(pawsort, 3)
    flips = [
        change(first, "cats", "uncertain"),
        change(second, "cats", "dogs"),
        change(third, "cats", "dogs"),
    ]
    doubted = [contradiction(third, "dog", "cat")]
    add_version(
        pawsort.settings,
        1,
        learnt=learnt(contradictions=doubted, new_labels=["rabbit"], changed=[*flips, change(999, "x", "y")]),
    )
    response = client.get("/models/versions/1", headers=HTML)
    text = plain(response.text)
    assert "Of 212 photos of your own, pets@1 answers 18 better and 3 worse than pets." in text
    assert "Chance alone would give that in fewer than 1 of 1,000 comparisons." in text
    assert "Of 1,500 photos of the base, pets@1 answers 2 better and 3 worse than pets." in text
    assert "That can be chance" in text
    assert "accuracy 90 % 87 % to 93 % 97.1 % 94.1 % to 100 %" in text
    for words in (
        "precision of filed photos",
        "filed share of photos of a class",
        "filed share of photos of neither",
    ):
        assert text.count(words) == 2, "on the base's photos and on one's own"
    assert "It is right about 15 more of 212 judged photos" in text
    assert (
        "More photos of dog would help most" in text
        and "Right answers by the number of photos" in response.text
    )
    assert "Of the 4,100 photos filed last, 4 would be filed elsewhere" in text
    assert "cats → dogs 2" in text and "cats → uncertain 1" in text
    for id in (first, second, third):
        assert f'<a class="photo" href="/files/{id}"' in response.text
        assert f'src="/pictures/{id}/small"' in response.text
    assert "90 % before" in text, "its confidence"
    assert "New classes: rabbit." in text
    assert "dog, predicted as cat" in text and "contradict 1 of 300 answers" in text
    assert "cat 100 20 80" in text, "from what it was learnt"


def test_the_list_says_which_is_in_force_since_when_and_by_whom(
    client: TestClient, pawsort: Installation
) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    add_version(pawsort.settings, 2, learnt=learnt("pets@2") | {"verdict": {"better": False, "reason": "no"}})
    versions.promote(pawsort.settings, 1, "ann", "because")
    text = text_of(client)
    assert "pets@1 in force Learnt" in text
    assert re.search(r"In force since \S+ \S+ UTC , by ann", text)
    assert "ann: pets@1, because" in text
    assert "pets@2 not shown to be better" in text
    assert "Roll back to pets" in text
    worse = text_of(client, "/models/versions/2")
    assert "It is not shown to be better" in worse
    assert "It was compared with pets; now pets@1 is in force." in worse


@pytest.mark.parametrize("path", ["/models/versions/9", "/models/versions/-1", "/models/versions/one"])
def test_a_version_that_is_not_there_has_no_page(client: TestClient, path: str) -> None:
    assert client.get(path, headers=HTML).status_code in (404, 422)


def test_a_version_whose_record_cannot_be_read_still_has_a_page(
    client: TestClient, pawsort: Installation
) -> None:
    add_version(pawsort.settings, 1, learnt={"photos": 3, "seconds": "x", "at": "never", "verdict": []})
    assert "How it compares cannot be shown" in text_of(client, "/models/versions/1")
    (pawsort.settings.state / "models" / "pets" / "1" / "learnt.json").write_text("[")
    client.app.state.context.cache.forget()  # type: ignore[attr-defined]
    assert "How it compares cannot be shown" in text_of(client, "/models/versions/1")
    assert "pets@1" in text_of(client)


# --- promote and roll back ---


def test_a_person_promotes_and_rolls_back(client: TestClient, pawsort: Installation) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    assert 'name="seen" value="0"' in client.get("/models/versions/1", headers=HTML).text
    client.cookies.set("pawsort_name", "Ann%20Lee")
    answer = post(client, "/models/versions/1/promote", seen=0)
    assert (answer.status_code, answer.headers["location"]) == (303, "/models#learning")
    assert in_force(pawsort) == "pets@1"
    answer = post(client, "/models/rollback", seen=1)
    assert (answer.status_code, answer.headers["location"]) == (303, "/models#learning")
    assert in_force(pawsort) == "pets"
    record = json.loads((pawsort.settings.state / "models" / "pets" / "in_force.json").read_bytes())
    assert [(step["by"], step["why"]) for step in record["history"]] == [
        ("Ann Lee", "promoted on the page Models"),
        ("Ann Lee", "rolled back on the page Models"),
    ]


def test_a_click_on_a_page_that_is_out_of_date_is_refused(client: TestClient, pawsort: Installation) -> None:
    for number in (1, 2):
        add_version(pawsort.settings, number, learnt=learnt(f"pets@{number}"))
    versions.promote(pawsort.settings, 1, "ben")
    for path in ("/models/versions/2/promote", "/models/rollback"):
        answer = post(client, path, seen=0)
        assert answer.status_code == 409
        assert re.search(
            r"version 1 was put in force by ben at .* since you looked; nothing was changed", answer.text
        )
        assert in_force(pawsort) == "pets@1"
    told = client.post("/api/models/versions/2/promote?in_force=0")
    assert told.status_code == 409 and "version 1 was put in force by ben" in told.json()["error"]
    assert client.post("/api/models/rollback?in_force=2").status_code == 409
    assert in_force(pawsort) == "pets@1"


def test_a_version_that_cannot_be_used_is_not_promoted(client: TestClient, pawsort: Installation) -> None:
    damage(add_version(pawsort.settings, 1, learnt=learnt()))
    answer = post(client, "/models/versions/1/promote", seen=0)
    assert answer.status_code == 409 and "This was not done" in answer.text
    assert in_force(pawsort) == "pets"
    assert client.post("/api/models/versions/1/promote").status_code == 409
    add_version(pawsort.settings, 2, base_sha256="1" * 64, learnt=learnt("pets@2"))
    client.app.state.context.cache.forget()  # type: ignore[attr-defined]
    text = text_of(client, "/models/versions/2")
    assert "It cannot be used" in text and "learn again" in text and "Promote" not in text


def test_nothing_to_roll_back_to_is_said(client: TestClient) -> None:
    answer = post(client, "/models/rollback", seen=0)
    assert answer.status_code == 409 and "nothing to roll back" in answer.text
    assert client.post("/api/models/rollback").status_code == 409


@pytest.mark.parametrize("form", [{}, {"seen": "x"}, {"seen": "-1"}, {"seen": "9" * 30}])
def test_a_form_without_the_version_in_force_is_refused(
    client: TestClient, pawsort: Installation, form: dict[str, str]
) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    assert post(client, "/models/versions/1/promote", **form).status_code == 422
    assert post(client, "/models/rollback", **form).status_code == 422
    assert in_force(pawsort) == "pets"


@pytest.mark.parametrize("path", ["/models/learn", "/models/versions/1/promote", "/models/rollback"])
def test_a_page_of_another_site_changes_nothing(client: TestClient, pawsort: Installation, path: str) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    process = learns(client, pawsort, "quick")
    foreign = {**HTML, "Origin": "http://evil.example"}
    assert client.post(path, data={"seen": "0"}, headers=foreign).status_code == 403
    assert client.post(f"/api{path}", headers=foreign).status_code == 403
    assert in_force(pawsort) == "pets" and process.status() is None


@pytest.mark.parametrize("path", ["/models/learn", "/models/versions/1/promote", "/models/rollback"])
def test_without_the_token_nothing_is_changed(pawsort: Installation, path: str) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    with client_of(pawsort, token="0123456789abcdef") as client:
        assert post(client, path, seen=0).status_code == 401
        assert client.post(f"/api{path}").status_code == 401
    assert in_force(pawsort) == "pets"


# --- the worker ---


@pytest.mark.parametrize(
    ("changes", "words", "asks_again"),
    [
        ({"model": "pets@1"}, "The worker answers with pets@1.", False),
        ({"model": "pets"}, "The worker is changing to pets@1; until then pets answers.", True),
        (
            {"model": "pets", "model_problem": "model pets@1 is not used: damaged"},
            "The worker stays with pets: model pets@1 is not used: damaged",
            True,
        ),
        ({}, "No worker is running. It answers with pets@1 once it is started.", False),
    ],
)
def test_the_page_says_when_the_worker_has_changed_over(
    client: TestClient, pawsort: Installation, changes: dict[str, str], words: str, asks_again: bool
) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    versions.promote(pawsort.settings, 1, "ann")
    with worker_lock(pawsort.settings):
        beat(pawsort, **changes)
        response = client.get("/models", headers=HTML)
    assert words in plain(response.text)
    assert ("was_busy=change" in response.text) is asks_again


def test_without_a_worker_it_is_said_who_will_answer(client: TestClient, pawsort: Installation) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    assert "No worker is running. It answers with pets once it is started." in text_of(client)


# --- the API ---


def test_the_api_lists_versions_promotes_and_rolls_back(client: TestClient, pawsort: Installation) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    rows = {row["name"]: row for row in client.get("/api/models").json()}
    assert [row["version"] for row in rows["pets"]["versions"]] == [0, 1]
    assert rows["cats_dogs"]["versions"] == []
    one = rows["pets"]["versions"][1]
    assert (one["name"], one["photos"], one["is_better"], one["is_in_force"]) == ("pets@1", 412, True, False)
    done = client.post("/api/models/versions/1/promote?in_force=0&by=ann")
    assert (done.status_code, done.json()) == (200, {"version": 1, "name": "pets@1"})
    rows = {row["name"]: row for row in client.get("/api/models").json()}
    [one] = [row for row in rows["pets"]["versions"] if row["is_in_force"]]
    assert (one["version"], one["by"]) == (1, "ann")
    done = client.post("/api/models/rollback?in_force=1&by=ben")
    assert (done.status_code, done.json()) == (200, {"version": 0, "name": "pets"})
    assert client.post("/api/models/versions/7/promote").status_code == 404


def test_a_model_that_cannot_be_read_is_said(client: TestClient, pawsort: Installation) -> None:
    (pawsort.settings.base / "models" / "pets" / "bundle.yaml").write_text("[")
    assert "bundle.yaml" in text_of(client)
    assert client.get("/models/versions/0", headers=HTML).status_code == 503
    assert client.get("/api/models").status_code == 200


def test_the_verdict_of_worse_is_not_primary(client: TestClient, pawsort: Installation) -> None:
    add_version(pawsort.settings, 1, learnt=learnt() | {"verdict": WORSE})
    assert 'id="promote">' in client.get("/models/versions/1", headers=HTML).text
