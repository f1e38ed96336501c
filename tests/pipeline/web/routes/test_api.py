from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.classifier.configured_model import load_bundle, policy
from pipeline.corrections.correct_undo_retry import login_name
from pipeline.web.services import database as store
from pipeline.web.views.formatting import percent
from pipeline.worker.heartbeat import FILE_NAME, Heartbeat, InboxBeat
from tests.pipeline.web.conftest import HTML, TestClient, client_of, parts, photo
from tests.support.installation import START, Installation


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Installation]]:
    """A server that stays for all tests here, so that its model wakes once."""
    pawsort = Installation(tmp_path_factory.mktemp("site"))
    with client_of(pawsort) as client:
        yield client, pawsort
    pawsort.close()


def left_over(pawsort: Installation) -> list[str]:
    looking = pawsort.settings.state / "looking"
    return [path.name for path in (*looking.iterdir(), *pawsort.settings.inboxes[0].glob(".*"))]


# --- classify -------------------------------------------------------------------------------------------


def test_photos_are_classified_as_the_command_does_and_nothing_stays(
    site: tuple[TestClient, Installation],
) -> None:
    client, pawsort = site
    answer = client.post("/api/classify", files=parts(photo("cat"), photo("unsure"), photo("truncated")))
    assert answer.status_code == 200
    cat, unsure, cut = answer.json()
    assert list(cat) == [
        "path", "prediction", "confidence", "outcome", "reason", "scores", "shown", "shown_probability",
    ]  # fmt: skip
    assert (cat["shown"], cat["shown_probability"]) == ("cat", cat["confidence"])
    assert (cat["path"], cat["prediction"], cat["outcome"]) == ("a.png", "cat", "cats")
    assert (unsure["outcome"], unsure["reason"]) == ("uncertain", "low_confidence")
    assert (cut["outcome"], cut["reason"], cut["scores"], cut["shown"]) == ("failed", "truncated", None, None)
    assert left_over(pawsort) == []


@pytest.mark.fault(106)
@pytest.mark.parametrize("model", ["../cats_dogs", "/etc", "absent"])
def test_a_model_is_one_of_the_list_and_never_a_path(
    site: tuple[TestClient, Installation], model: str
) -> None:
    answer = site[0].post("/api/classify", params={"model": model}, files=parts(photo()))
    assert answer.status_code == 404
    assert "cats_dogs" in answer.json()["what_to_do"]


@pytest.mark.parametrize("path", ["/api/classify", "/api/inbox", "/try"])
def test_a_request_without_a_photo_is_told_what_to_send(
    site: tuple[TestClient, Installation], path: str
) -> None:
    client, pawsort = site
    assert client.post(path, data={"model": "x"}).status_code == 415
    assert client.post(path, files={"x": (None, b"1")}).status_code in (404, 422)
    assert client.post(path, files=parts(photo(), field="image")).status_code == 422
    assert left_over(pawsort) == []


def test_the_models_are_listed_the_workers_own_first(site: tuple[TestClient, Installation]) -> None:
    first = site[0].get("/api/models").json()[0]
    assert [version["version"] for version in first.pop("versions")] == [0]
    assert first == {"name": "cats_dogs", "labels": ["cat", "dog", "neither"], "is_workers": True}


# --- results and corrections ----------------------------------------------------------------------------


def test_a_row_has_the_number_of_the_word_that_is_shown(site: tuple[TestClient, Installation]) -> None:
    client, pawsort = site
    scores = {"cat": 0.001, "dog": 0.0, "neither": 0.999}
    doubt = {"reason": "neither", "prediction": "cat", "confidence": 0.001, "scores": scores}
    id = pawsort.file(b"pizza.jpg", b"pizza", "uncertain", **doubt)
    for row in (client.get(f"/api/results/{id}").json(), client.get("/api/results").json()["results"][0]):
        assert (row["shown"], row["shown_probability"]) == ("neither", 0.999)
        assert (row["prediction"], row["confidence"]) == ("cat", 0.001)


def test_results_come_a_page_at_a_time_and_can_be_chosen(client: TestClient, pawsort: Installation) -> None:
    ids = [pawsort.file(f"{n}.jpg".encode(), f"{n}".encode()) for n in range(5)]
    first = client.get("/api/results", params={"limit": 3}).json()
    assert [row["id"] for row in first["results"]] == ids[:1:-1]
    rest = client.get("/api/results", params={"limit": 3, "before": first["next"]}).json()
    assert [row["id"] for row in rest["results"]] == ids[1::-1]
    assert rest["next"] is None
    assert client.get("/api/results", params={"name": "3.JPG"}).json()["results"][0]["id"] == ids[3]
    assert (
        client.get("/api/results", params={"since": START.replace(year=2030).isoformat()}).json()["results"]
        == []
    )
    assert client.get("/api/results", params={"limit": 100_000}).status_code == 422


def test_one_result_has_the_columns_of_the_view(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a\n<b>.jpg")
    row = client.get(f"/api/results/{id}").json()
    assert (row["name"], row["outcome"], row["scores"]) == ("a\n<b>.jpg", "cats", {"cat": 0.9})
    assert datetime.fromisoformat(row["filed_at"]).tzinfo is not None
    assert client.get("/api/results/77").status_code == 404


def test_a_correction_moves_the_photo_and_can_be_taken_back(
    client: TestClient, pawsort: Installation
) -> None:
    pawsort.time -= timedelta(days=1)  # the server goes by the real clock
    id = pawsort.file(b"back\\slash \xff.jpg")
    done = client.post(f"/api/results/{id}/correction", json={"as": "dog", "by": "ann"})
    assert done.json()["outcome"] == "dogs"
    assert pawsort.state(id)[:3] == ("filed", "dogs", "dog")
    assert [move.by for move in pawsort.ledger.moves(id)] == ["ann"]
    assert client.delete(f"/api/results/{id}/correction").json()["outcome"] == "cats"
    assert pawsort.state(id)[1:3] == ("cats", None)
    assert pawsort.ledger.moves(id)[-1].by == login_name()


def test_a_relative_inbox_begins_at_the_folder_of_the_settings(
    client: TestClient, pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.file(b"a.jpg")
    monkeypatch.chdir("/")
    for inbox, count in (("inbox", 1), ("./inbox/", 1), (str(pawsort.inbox), 1), ("scans", 0)):
        assert len(client.get("/api/results", params={"inbox": inbox}).json()["results"]) == count, inbox


def test_a_correction_of_an_old_version_changes_nothing(client: TestClient, pawsort: Installation) -> None:
    pawsort.time -= timedelta(days=1)
    url = f"/api/results/{pawsort.file(b'a.jpg')}"
    seen = {"If-Match": client.get(url).headers["etag"]}
    first = client.post(f"{url}/correction", json={"as": "dog", "by": "ann"}, headers=seen)
    assert first.status_code == 200
    late = [
        client.post(f"{url}/correction", json={"as": "cat", "by": "ben"}, headers=seen),
        client.delete(f"{url}/correction", headers=seen),
    ]
    assert [answer.status_code for answer in late] == [412, 412]
    assert "a.jpg: was changed meanwhile by ann, to dog" in late[0].json()["error"]
    assert client.get(url).json()["corrected_to"] == "dog"
    assert client.delete(f"{url}/correction?by=ben", headers={"If-Match": "mine"}).status_code == 400
    anew = {"If-Match": first.headers["etag"]}
    assert client.delete(f"{url}/correction?by=ben", headers=anew).status_code == 200
    assert client.get(url).headers["etag"] not in (seen["If-Match"], anew["If-Match"])


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ('"0"', 412), ('"5"', 412), ('W/{etag}', 412), ('"0-000000000000000000"', 412), ('""', 412),
        ("mine", 400), ('"', 400), ("", 400), ('"a" "b"', 400), ("*, {etag}", 400), ('w/"0"', 400),
        ("0", 400),
        ("*", 200), (" * ", 200), ("{etag}", 200), ('"a", {etag}', 200), ('W/"a",,{etag}', 200),
    ],
)  # fmt: skip
def test_if_match_is_compared_always_even_for_a_file_that_was_never_moved(
    client: TestClient, pawsort: Installation, value: str, status: int
) -> None:
    pawsort.time -= timedelta(days=1)
    url = f"/api/results/{pawsort.file(b'a.jpg')}"
    headers = {"If-Match": value.format(etag=client.get(url).headers["etag"])}
    answer = client.post(f"{url}/correction", json={"as": "dog"}, headers=headers)
    assert answer.status_code == status
    assert client.get(url).json()["corrected_to"] == ("dog" if status == 200 else None)


def test_each_line_of_if_match_counts(client: TestClient, pawsort: Installation) -> None:
    pawsort.time -= timedelta(days=1)
    url = f"/api/results/{pawsort.file(b'a.jpg')}"
    lines = [("If-Match", client.get(url).headers["etag"]), ("If-Match", '"other"')]
    assert client.delete(f"{url}/correction", headers=lines).status_code == 200


def test_the_etag_of_a_row_changes_with_what_it_says(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    url = f"/api/results/{id}"
    before = client.get(url).headers["etag"]
    with pawsort.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE files SET reason = 'low_confidence'")
    assert client.get(url).headers["etag"] != before
    assert client.get(url).headers["cache-control"] == "private, no-cache"


def test_what_cannot_be_corrected_says_why(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    assert client.post(f"/api/results/{id}/correction", json={"as": "hamster"}).status_code == 422
    assert client.post(f"/api/results/{id}/correction", json={"as": "dog", "x": 1}).status_code == 422
    assert client.post("/api/results/99/correction", json={"as": "dog"}).status_code == 404
    with open(os.path.join(pawsort.raw_sorted, b"cats/a.jpg"), "ab") as file:
        file.write(b"changed")
    changed = client.post(f"/api/results/{id}/correction", json={"as": "dog"})
    assert (changed.status_code, "content" in changed.json()["error"]) == (409, True)
    assert client.delete(f"/api/results/{id}/correction").status_code == 409


# --- inbox ----------------------------------------------------------------------------------------------


def test_a_delivery_is_in_the_inbox_when_it_is_answered(site: tuple[TestClient, Installation]) -> None:
    client, pawsort = site
    answer = client.post("/api/inbox", files=parts(b"one", b"two", name="../../x.jpg"))
    assert answer.status_code == 201
    inbox = pawsort.settings.inboxes[0]
    assert [(inbox / each["name"]).read_bytes() for each in answer.json()] == [b"one", b"two"]
    assert left_over(pawsort) == []


def test_the_same_key_brings_the_same_answer(site: tuple[TestClient, Installation]) -> None:
    client, pawsort = site
    headers = {"Idempotency-Key": "k1"}
    first = client.post("/api/inbox", files=parts(b"three", b"three"), headers=headers)
    again = client.post("/api/inbox", files=parts(b"three", b"three"), headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert [each["name"] for each in first.json()] == [each["name"] for each in again.json()]
    assert len({each["name"] for each in first.json()}) == 2
    assert left_over(pawsort) == []


@pytest.mark.fault(106)
def test_an_inbox_is_one_of_the_settings(site: tuple[TestClient, Installation]) -> None:
    client, pawsort = site
    for inbox in ("/etc", "../inbox", "inbox"):
        assert client.post("/api/inbox", params={"inbox": inbox}, files=parts(b"x")).status_code == 404
    own = str(pawsort.settings.inboxes[0])
    assert client.post("/api/inbox", params={"inbox": own}, files=parts(b"x")).status_code == 201


def test_an_inbox_that_is_not_mounted_takes_nothing(pawsort: Installation) -> None:
    pawsort.settings.inboxes[0].rmdir()
    with client_of(pawsort) as client:
        assert client.post("/api/inbox", files=parts(b"x")).status_code == 503
    assert not pawsort.settings.inboxes[0].exists()


# --- status and trouble ---------------------------------------------------------------------------------


def beat(pawsort: Installation) -> None:
    inbox = InboxBeat('/in\n"b\\ox', "native", "ok", None, 3)
    now = datetime.now(UTC)
    Heartbeat(
        1,
        now,
        now,
        "watching",
        "ok",
        (),
        (inbox,),
        "stub",
        "pets@2",
        2.5,
        7,
        disk_free_bytes=10**12,
        model_version=2,
        model_sha256="a" * 64,
        model_problem="model pets@3 is not used: damaged",
    ).write(pawsort.settings.state / FILE_NAME)


def test_status_is_what_the_command_says(client: TestClient, pawsort: Installation) -> None:
    pawsort.file(b"a.jpg")
    beat(pawsort)
    status = client.get("/api/status").json()
    assert (status["worker"], status["counts"]["cats"], status["heartbeat"]["waiting"]) == ("died", 1, 7)


def test_metrics_are_in_the_format_of_prometheus(client: TestClient, pawsort: Installation) -> None:
    pawsort.file(b"a.jpg")
    beat(pawsort)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'pawsort_files{outcome="cats"} 1' in lines
    assert "pawsort_worker_up 0" in lines
    assert "pawsort_filed_files_per_second 2.5" in lines
    assert "pawsort_disk_free_bytes 1000000000000" in lines
    assert f'pawsort_model_info{{model="pets@2",sha256="{"a" * 64}"}} 1' in lines
    assert {"pawsort_model_version 2", "pawsort_model_refused 1"} <= set(lines)
    assert r'pawsort_inbox_up{inbox="/in\n\"b\\ox"} 1' in lines
    names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    totals = {name for name in names if name.endswith("_total")}
    assert {f"# TYPE {name} gauge" for name in names - totals} <= set(lines)
    assert {f"# TYPE {name} counter" for name in totals} <= set(lines)


def test_a_locked_database_is_said_soon(
    client: TestClient, pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(store.LOCK_WAIT_SECONDS, "read", 0.05)
    monkeypatch.setitem(store.LOCK_WAIT_SECONDS, "write", 0.05)
    id = pawsort.file(b"a.jpg")
    pawsort.close()
    database = sqlite3.connect(pawsort.settings.state / "pawsort.db", isolation_level=None)
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("BEGIN EXCLUSIVE")
    try:
        for answer in (
            client.get("/api/results"),
            client.get("/api/status"),
            client.post(f"/api/results/{id}/correction", json={"as": "dog"}),
        ):
            assert answer.status_code == 503
            assert "locked" in answer.json()["error"]
            assert answer.headers["retry-after"]
    finally:
        database.close()
    assert client.get("/api/results").status_code == 200


def test_where_no_worker_has_been_there_is_nothing_and_no_trouble(visitor: TestClient) -> None:
    assert visitor.get("/api/results").json() == {"results": [], "next": None}
    assert visitor.get("/api/results/1").status_code == 404
    assert visitor.get("/api/status").json()["worker"] == "stopped"
    assert visitor.get("/metrics").status_code == 200


def test_a_database_that_was_put_back_is_opened_again(client: TestClient, pawsort: Installation) -> None:
    pawsort.file(b"a.jpg")
    assert len(client.get("/api/results").json()["results"]) == 1
    pawsort.close()
    path = pawsort.settings.state / "pawsort.db"
    with sqlite3.connect(path) as old, sqlite3.connect(path.with_suffix(".new")) as new:
        old.backup(new)
        new.execute("DELETE FROM files")
    old.close(), new.close()
    for leftover in pawsort.settings.state.glob("pawsort.db-*"):
        leftover.unlink()
    path.with_suffix(".new").rename(path)
    assert client.get("/api/results").json()["results"] == []


def test_the_schema_describes_each_route_of_the_api(visitor: TestClient) -> None:
    schema = visitor.get("/api/openapi.json").json()
    routes = {(path, method) for path, methods in schema["paths"].items() for method in methods}
    assert routes >= {
        ("/api/classify", "post"), ("/api/results", "get"), ("/api/results/{id}", "get"),
        ("/api/results/{id}/correction", "post"), ("/api/results/{id}/correction", "delete"),
        ("/api/inbox", "post"), ("/api/status", "get"), ("/api/models", "get"), ("/metrics", "get"),
        ("/healthz", "get"),
    }  # fmt: skip
    for path, methods in schema["paths"].items():
        assert all(route.get("description") for route in methods.values()), path
    body = schema["paths"]["/api/classify"]["post"]["requestBody"]["content"]
    assert list(body) == ["multipart/form-data"]
    json.dumps(schema)


# --- the page Try ---------------------------------------------------------------------------------------


@pytest.mark.fault(110)
def test_the_page_answers_a_photo_without_a_script_too(site: tuple[TestClient, Installation]) -> None:
    page = site[0].post("/try", files=parts(photo("dog"), name="<b>&.png"), headers=HTML).text
    assert "<!doctype html>" in page and "&lt;b&gt;&amp;.png" in page and "<b>&" not in page
    assert "move it to dogs/" in page


def test_the_script_gets_a_card_with_bars_and_a_picture(site: tuple[TestClient, Installation]) -> None:
    client, pawsort = site
    card = client.post("/try", files=parts(photo("unsure")), headers={"X-Part": "1"}).text
    assert "<html" not in card and card.count('class="bar"') == 3
    needed = percent(policy(pawsort.settings, load_bundle(pawsort.settings)).threshold)
    assert f"for review: the confidence is 50 %, and {needed} is required" in card
    [picture] = [part.split('"')[0] for part in card.split('src="')[1:]]
    assert client.get(picture).headers["content-type"] == "image/jpeg"
    assert client.get("/try/pictures/guessed").status_code == 404
    assert left_over(pawsort) == []


def test_what_cannot_be_read_says_why(site: tuple[TestClient, Installation]) -> None:
    card = site[0].post("/try", files=parts(photo("truncated")), headers={"X-Part": "1"}).text
    assert "because a part of the file is missing" in card and 'class="bar"' not in card


def test_where_it_looked_is_shown(site: tuple[TestClient, Installation]) -> None:
    client, pawsort = site
    form = {"label": (None, b"dog"), "file": ("a.png", photo())}
    part = client.post("/try/heat", files=form).text
    picture = part.split('src="')[1].split('"')[0]
    assert client.get(picture).content == b"heat of dog"
    assert client.post("/try/heat", files={**form, "label": (None, b"hamster")}).status_code == 404
    assert left_over(pawsort) == []


def test_a_model_can_be_woken_before_it_is_asked(site: tuple[TestClient, Installation]) -> None:
    assert site[0].post("/try/wake").json()["awake"] in (True, False)
    assert site[0].post("/try/wake", params={"model": "absent"}).status_code == 404
