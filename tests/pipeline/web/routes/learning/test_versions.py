"""Versions on the pages and in the API: compared, promoted, rolled back, and what the worker does."""

from __future__ import annotations

import contextlib
import json
import re

import pytest

from pipeline.learning import versions
from pipeline.learning.in_use import note
from pipeline.worker.locks import worker_lock
from tests.pipeline.web.conftest import HTML, TestClient, client_of
from tests.pipeline.web.routes.learning.conftest import (
    beat,
    in_force,
    judge,
    learns,
    plain,
    post,
    text_of,
)
from tests.support.installation import Installation
from tests.support.learnt_records import change, contradiction, learnt
from tests.support.model_versions import WORSE, add_version, damage

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


def test_the_page_says_how_many_photos_a_share_does_not_count(
    client: TestClient, pawsort: Installation
) -> None:
    content = learnt(new_labels=["horse"])
    content["comparison"] |= {"base_neither": 330, "base_neither_left_out": 40}
    add_version(pawsort.settings, 1, learnt=content)
    text = text_of(client, "/models/versions/1")
    limit = "filed share of photos of neither, without 40 of 330 that seem to show horse"
    assert text.count(limit) == 1, "of the photos of the base alone"


@pytest.mark.parametrize("is_running", [True, False])
def test_a_version_that_the_worker_refused_is_not_said_to_be_used(
    client: TestClient, pawsort: Installation, is_running: bool
) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    versions.promote(pawsort.settings, 1, "ann")
    problem = "model pets@1 is not used: the self-test failed"
    note(versions.family(pawsort.settings), 0, problem)
    beat(pawsort, model="pets", model_problem=problem)
    with worker_lock(pawsort.settings) if is_running else contextlib.nullcontext():
        text = text_of(client)
    assert text.count(problem) == (2 if is_running else 1)
    assert "answers with pets@1" not in text
    page = text_of(client, "/models/versions/1")
    assert problem in page and "This version is used" not in page
    assert client.get("/models").text.count('class="pill good">in force<') == 1
