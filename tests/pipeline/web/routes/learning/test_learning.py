"""Learning on the page Models: answers that teach, progress, and its end."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from pipeline.learning import learn_status, versions
from pipeline.learning.diary import last_learnt
from tests.pipeline.web.conftest import HTML, TestClient
from tests.pipeline.web.routes.learning.conftest import (
    has_ended,
    in_force,
    judge,
    learns,
    plain,
    post,
    text_of,
)
from tests.support.installation import Installation, wait
from tests.support.learnt_records import GO, learnt
from tests.support.model_versions import add_version


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


def test_page_and_nightly_schedule_know_the_same_last_learning(
    client: TestClient, pawsort: Installation
) -> None:
    """Also where the version that it made was deleted since."""
    judge(pawsort, 3)
    began = pawsort.time + timedelta(seconds=1)
    judge(pawsort, 2, first=3)
    known = versions.family(pawsort.settings)
    known.folder.mkdir(parents=True)
    (known.folder / "learning.json").write_text(json.dumps({"learnt_at": began.isoformat()}))
    assert last_learnt(known) == began
    assert "Answers teach</a>: 2 since the last learning." in client.get("/review", headers=HTML).text


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
