from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from db.queries import review
from pipeline.corrections import correct_undo_retry
from pipeline.web.routes import review as reviewing
from pipeline.web.routes.review import View, record_of
from pipeline.web.services import correct_files, database, recent_answers
from pipeline.web.services.context import MOST_OWN
from tests.pipeline.web.conftest import HTML, TestClient, answers_of
from tests.support.installation import Installation
from tests.support.oracle import conserved

HTMX = {"HX-Request": "true"}


def doubt(pawsort: Installation, name: bytes, confidence: float = 0.5, **answer: Any) -> int:
    given = {"reason": "low_confidence", "confidence": confidence, "prediction": "cat", **answer}
    return pawsort.file(name, name, "uncertain", **given)


def shown(text: str) -> list[str]:
    """The files that a page would settle, as ID:VERSION."""
    return re.findall(r'name="file" value="([^"]+)"', text)


def done(text: str) -> str:
    return re.findall(r'name="done" value="([^"]*)"', text)[0]


def answer(
    client: TestClient, files: list[str], label: str = "cat", url: str = "/review", **more: Any
) -> Any:
    path = url.replace("/review", "/review/answer", 1)
    return client.post(path, data={"file": files, "label": label, **more}, headers=HTMX)


def contents(*names: bytes) -> list[bytes]:
    return list(names)


def test_the_least_sure_is_asked_first_with_a_key_for_each_class(
    client: TestClient, pawsort: Installation
) -> None:
    doubt(pawsort, b"b.jpg", 0.8)
    id = doubt(pawsort, b"a.jpg", 0.4)
    text = client.get("/review", headers=HTML).text
    assert shown(text) == [f"{id}:0"]
    assert "2 left" in text
    for label, key in [("cat", "c"), ("dog", "d"), ("neither", "n")]:
        assert f'value="{label}" data-key="{key}"' in text
    assert f"/pictures/{id}/large" in text
    assert text.count("/large") == 2, "the next one is fetched ahead"


def test_a_correction_moves_the_file_records_its_author_and_shows_the_next(
    client: TestClient, pawsort: Installation
) -> None:
    first, second = doubt(pawsort, b"a.jpg", 0.4), doubt(pawsort, b"b.jpg", 0.5)
    client.cookies.set("pawsort_name", "Ann%20Lee")
    text = answer(client, [f"{first}:0"], "dog").text
    assert shown(text) == [f"{second}:0"]
    assert pawsort.state(first) == ("filed", "dogs", "dog", b"sorted/dogs/a.jpg")
    [move] = pawsort.ledger.moves(first)
    assert (move.kind, move.by, move.new_corrected_to) == ("correct", "Ann Lee", "dog")
    assert "1 left" in text
    assert "right for 0 %" in text
    conserved(pawsort.settings, contents(b"a.jpg", b"b.jpg"))


def test_without_a_script_an_answer_leads_back_to_the_queue(
    client: TestClient, pawsort: Installation
) -> None:
    id = doubt(pawsort, b"a.jpg")
    data = {"file": f"{id}:0", "label": "cat"}
    response = client.post("/review/answer?order=alike", data=data, follow_redirects=False)
    assert response.status_code == 303
    assert response.headers["location"] == "/review?order=alike"
    page = client.get(response.headers["location"], headers=HTML).text
    assert "Nothing to review" in page and "Undo the last correction" in page


def test_photos_of_two_classes_are_a_group_of_their_own(client: TestClient, pawsort: Installation) -> None:
    doubt(pawsort, b"a.jpg", reason="both")
    doubt(pawsort, b"b.jpg")
    text = client.get("/review", headers=HTML).text
    assert "two classes (closest: cat)" in text and "cat?" in text
    assert "two classes?" in client.get("/review?reason=both&prediction=cat&many=1", headers=HTML).text


def test_photos_without_an_answer_of_the_model_are_asked_like_the_others(
    client: TestClient, pawsort: Installation
) -> None:
    unclassified = {"prediction": None, "confidence": None, "reason": "imported", "scores": None}
    own = [doubt(pawsort, b"%d.jpg" % n, **unclassified) for n in range(3)]
    sure = doubt(pawsort, b"sure.jpg", 0.7)
    moved = doubt(pawsort, b"moved.jpg", 0.99, reason=None)
    text = client.get("/review", headers=HTML).text
    assert "not classified (imported)" in text and "moved here by hand (cat)" in text
    assert "It was put in by hand" in text and "cat?" in text
    asked = []
    for _ in range(5):
        asked += shown(text)
        text = client.get(f"/review?after={asked[-1].split(':')[0]}", headers=HTML).text
    assert asked == [f"{id}:0" for id in [*own, sure, moved]]
    assert "A person moved it here." in client.get(f"/review?after={sure}", headers=HTML).text
    many = client.get("/review?many=1", headers=HTML).text
    assert len(shown(many)) == 5 and "–" not in many
    alike = client.get(f"/review?order=alike&reason=imported&after={own[0]}", headers=HTML).text
    assert shown(alike) == [f"{own[1]}:0"]


def test_a_folder_that_people_made_is_an_answer_with_a_key(client: TestClient, pawsort: Installation) -> None:
    pawsort.file(b"other.jpg", b"rabbit", "rabbits")
    id = doubt(pawsort, b"a.jpg")
    assert 'value="rabbits" data-key="r"' in client.get("/review", headers=HTML).text
    assert answer(client, [f"{id}:0"], "rabbits").status_code == 200
    assert pawsort.state(id)[1:3] == ("rabbits", "rabbits")
    refused = answer(client, [f"{doubt(pawsort, b'b.jpg')}:0"], "mice")
    assert refused.status_code == 422 and "Choose one of: cat, dog, rabbits, neither." in refused.text


def test_only_the_largest_folders_of_people_have_a_key(client: TestClient, pawsort: Installation) -> None:
    doubt(pawsort, b"a.jpg")
    for number in range(MOST_OWN + 1):
        for copy in range(2 if number else 1):
            pawsort.file(b"%d-%d.jpg" % (number, copy), b"%d-%d" % (number, copy), f"own{number}")
    offered = re.findall(r'name="label" value="([^"]+)"', client.get("/review", headers=HTML).text)
    assert offered == ["cat", "dog", *(f"own{number}" for number in range(1, MOST_OWN + 1)), "neither"]


def test_neither_leaves_the_queue_and_stays_where_it_is(client: TestClient, pawsort: Installation) -> None:
    id = doubt(pawsort, b"a.jpg", reason="neither")
    assert shown(answer(client, [f"{id}:0"], "neither").text) == []
    assert pawsort.state(id) == ("filed", "uncertain", "neither", b"sorted/uncertain/a.jpg")


def test_a_second_click_and_a_second_person_change_nothing(client: TestClient, pawsort: Installation) -> None:
    id = doubt(pawsort, b"a.jpg")
    answer(client, [f"{id}:0"], "dog")
    text = answer(client, [f"{id}:0"], "cat").text
    assert "was changed meanwhile" in text and ", to dog" in text
    assert pawsort.state(id)[1] == "dogs"
    assert len(pawsort.ledger.moves(id)) == 1


def test_an_undo_takes_the_last_answers_back_one_after_the_other(
    client: TestClient, pawsort: Installation
) -> None:
    ids = [doubt(pawsort, b"%d.jpg" % n, 0.4 + n / 10) for n in range(3)]
    text = client.get("/review", headers=HTML).text
    for _ in range(2):
        text = answer(client, shown(text), "dog").text
    for id in (ids[1], ids[0]):
        text = client.post("/review/undo", data={"done": done(text)}, headers=HTMX).text
        assert pawsort.state(id)[:3] == ("filed", "uncertain", None)
        assert shown(text) == [f"{id}:{pawsort.ledger.moves(id)[-1].id}"], (
            "what was taken back is asked again"
        )
    assert "Undo" not in text
    again = client.post("/review/undo", data={"done": ""}, headers=HTMX)
    assert again.status_code == 200
    conserved(pawsort.settings, contents(*(b"%d.jpg" % n for n in range(3))))


def test_answers_can_be_taken_back_after_review_was_left(client: TestClient, pawsort: Installation) -> None:
    first, second = doubt(pawsort, b"a.jpg", 0.4), doubt(pawsort, b"b.jpg", 0.5)
    answer(client, [f"{first}:0"], "dog")
    client.post(f"/files/{second}/correct", data={"seen": f"{second}:0", "label": "dog"})
    page = client.get("/browse", headers=HTML).text
    form = {"done": done(page), "back": "/browse"}
    response = client.post("/review/undo", data=form, follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, "/browse")
    assert pawsort.state(second)[1:3] == ("uncertain", None), "an answer on a file's own page counts, too"
    assert pawsort.state(first)[1] == "dogs"
    assert 'id="undo"' in client.get("/review", headers=HTML).text
    client.post("/review/undo", headers=HTMX)
    assert pawsort.state(first)[1] == "uncertain"
    assert "Undo your last" not in client.get("/browse", headers=HTML).text
    conserved(pawsort.settings, contents(b"a.jpg", b"b.jpg"))


def test_an_undo_leads_to_no_other_site(client: TestClient, pawsort: Installation) -> None:
    answer(client, [f"{doubt(pawsort, b'a.jpg')}:0"], "dog")
    form = {"back": "//evil.example"}
    assert client.post("/review/undo", data=form, follow_redirects=False).headers["location"] == "/"


def test_the_undo_of_an_old_page_takes_back_what_it_showed(client: TestClient, pawsort: Installation) -> None:
    ids = [doubt(pawsort, b"%d.jpg" % n) for n in range(2)]
    old = answer(client, [f"{ids[0]}:0"], "dog").text
    answer(client, [f"{ids[1]}:0"], "dog")
    text = client.post("/review/undo", data={"done": done(old)}, headers=HTMX).text
    assert [pawsort.state(id)[1] for id in ids] == ["uncertain", "dogs"]
    client.post("/review/undo", data={"done": done(text)}, headers=HTMX)
    assert [pawsort.state(id)[1] for id in ids] == ["uncertain", "uncertain"]


def test_an_answer_that_was_changed_elsewhere_is_not_offered(
    client: TestClient, pawsort: Installation
) -> None:
    answer(client, [f"{doubt(pawsort, b'a.jpg')}:0"], "dog")
    pawsort.correct(b"dogs/a.jpg", label="cat")
    assert "Undo the last" not in client.get("/review", headers=HTML).text


@pytest.mark.parametrize("cookie", ["x", "1:0.2", "-.-", "1:99999999999999999999", "9:0", "1:0-%00"])
def test_an_invalid_cookie_is_ignored(client: TestClient, pawsort: Installation, cookie: str) -> None:
    doubt(pawsort, b"a.jpg")
    client.cookies.set(recent_answers.COOKIE, cookie)
    assert client.get("/browse", headers=HTML).status_code == 200
    assert client.post("/review/undo", headers=HTMX).status_code == 200


@pytest.mark.fault(107)
@pytest.mark.parametrize(
    ("foreign", "undoes"),
    [
        ("-".join(["1:0"] * 15_000), 0),  # a query for each
        (f'"{chr(92) * 60_000}"', 0),  # Python's parser of cookies needs minutes for it
        (f'x; {recent_answers.COOKIE}="', 0),
        ("{own}", 1),
        ("x; j={{}}; a[b]=1; novalue; {name}={own}", 1),
    ],
)
def test_cookies_of_other_programs_cost_no_time_and_hide_no_answer(
    client: TestClient, pawsort: Installation, monkeypatch: pytest.MonkeyPatch, foreign: str, undoes: int
) -> None:
    answer(client, [f"{doubt(pawsort, b'a.jpg')}:0"], "dog")
    own = answers_of(client)
    client.cookies.clear()
    calls = []
    current = correct_files.current
    monkeypatch.setattr(correct_files, "current", lambda *given: calls.append(1) or current(*given))
    if undoes:
        foreign = foreign.format(own=own, name=recent_answers.COOKIE)
    sent = {"cookie": f"{recent_answers.COOKIE}={foreign}", **HTML}
    assert ("Undo the last" in client.get("/review", headers=sent).text) is bool(undoes)
    assert len(calls) <= recent_answers.MOST


def test_no_page_reads_cookies_by_the_strict_parser() -> None:
    code = {path: path.read_text() for path in Path(recent_answers.__file__).parents[1].rglob("*.py")}
    assert [
        path.name for path, text in code.items() if ".cookies.get(" in text or "request.cookies" in text
    ] == []


def test_the_cookie_has_the_last_answers_and_fits_into_a_browser() -> None:
    many = [[f"{number}{n:02}:{number}{n:02}" for n in range(24)] for number in range(100_000, 100_030)]
    text = recent_answers.to_text(many)
    assert (
        len(text) < 4_000
        and recent_answers.from_text(text) == many[-len(recent_answers.from_text(text)) :] != []
    )
    ones = [[f"{number}:{number}"] for number in range(30)]
    assert recent_answers.from_text(recent_answers.to_text(ones)) == ones[-recent_answers.MOST :]


def test_an_undo_after_a_change_by_another_person_is_refused(
    client: TestClient, pawsort: Installation
) -> None:
    id = doubt(pawsort, b"a.jpg")
    text = answer(client, [f"{id}:0"], "dog").text
    pawsort.correct(b"dogs/a.jpg", label="cat")
    text = client.post("/review/undo", data={"done": done(text)}, headers=HTMX).text
    assert "was changed meanwhile by ann, to cat" in text
    assert pawsort.state(id)[1] == "cats"


def test_what_is_skipped_comes_again_at_the_end(client: TestClient, pawsort: Installation) -> None:
    ids = [doubt(pawsort, b"%d.jpg" % n, 0.4 + n / 10) for n in range(3)]
    second = client.get(f"/review?after={ids[0]}", headers=HTML).text
    assert shown(second) == [f"{ids[1]}:0"]
    third = answer(client, shown(second), url=f"/review?after={ids[0]}").text
    assert shown(third) == [f"{ids[2]}:0"], "an answer goes on behind what was skipped"
    wrapped = client.get(f"/review?after={ids[2]}", headers=HTML).text
    assert shown(wrapped) == [f"{ids[0]}:0"]
    assert "You skipped these photos before" in wrapped


def test_many_are_settled_at_once_and_taken_back_at_once(client: TestClient, pawsort: Installation) -> None:
    ids = [doubt(pawsort, b"%d.jpg" % n) for n in range(4)]
    text = client.get("/review?many=1", headers=HTML).text
    assert shown(text) == [f"{id}:0" for id in ids]
    text = answer(client, shown(text)[:3], "dog", "/review?many=1").text
    assert [pawsort.state(id)[1] for id in ids] == ["dogs", "dogs", "dogs", "uncertain"]
    client.post("/review/undo?many=1", data={"done": done(text)}, headers=HTMX)
    assert {pawsort.state(id)[1] for id in ids} == {"uncertain"}


def test_one_that_cannot_be_moved_is_named_and_the_others_are_settled(
    client: TestClient, pawsort: Installation
) -> None:
    ids = [doubt(pawsort, b"%d.jpg" % n) for n in range(2)]
    (pawsort.settings.sorted / "uncertain/0.jpg").unlink()
    text = answer(client, [f"{id}:0" for id in ids], "dog", "/review?many=1").text
    assert "0.jpg: is missing" in text
    assert [pawsort.state(id)[1] for id in ids] == ["uncertain", "dogs"]


def test_a_group_is_settled_by_itself(client: TestClient, pawsort: Installation) -> None:
    doubt(pawsort, b"cat.jpg")
    id = doubt(pawsort, b"zebra.jpg", 0.1, reason="neither", prediction="dog")
    text = client.get("/review?reason=neither&prediction=dog", headers=HTML).text
    assert shown(text) == [f"{id}:0"]
    empty = client.get("/review?reason=neither&prediction=cat", headers=HTML).text
    assert "No photos left in this group" in empty


@pytest.mark.parametrize(
    "data",
    [
        {"file": "1", "label": "cat"},
        {"file": "1:0;DROP", "label": "cat"},
        {"file": "99999999999999999999:0", "label": "cat"},
        {"file": "1:0", "label": "rabbit"},
        {"file": [f"{n}:0" for n in range(101)], "label": "cat"},
        {"file": "1:0"},
    ],
)
def test_invalid_answers_are_refused_with_an_explanation(
    client: TestClient, pawsort: Installation, data: dict[str, Any]
) -> None:
    id = doubt(pawsort, b"a.jpg")
    response = client.post("/review/answer", data=data, headers=HTMX)
    assert response.status_code == 422
    assert response.json()["what_to_do"]
    assert pawsort.ledger.moves(id) == []


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=99999999999999999999"])
def test_invalid_parameters_cause_no_server_error(
    client: TestClient, pawsort: Installation, query: str
) -> None:
    assert client.get(f"/review?{query}", headers=HTML).status_code in (200, 422)


def test_an_answer_of_no_file_changes_nothing(client: TestClient, pawsort: Installation) -> None:
    id = doubt(pawsort, b"a.jpg")
    assert shown(answer(client, []).text) == [f"{id}:0"]


@pytest.mark.fault(110)
def test_names_are_escaped(client: TestClient, pawsort: Installation) -> None:
    doubt(pawsort, b'"><img src=x onerror=alert(1)>\xe2\x80\xae\xff.jpg')
    for url in ("/review", "/review?many=1"):
        text = client.get(url, headers=HTML).text
        assert "<img src=x" not in text
        assert "\u202e" not in text and "\\u202e" in text


def test_a_locked_database_is_said_and_nothing_is_lost(
    client: TestClient, pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = doubt(pawsort, b"a.jpg")
    monkeypatch.setitem(database.LOCK_WAIT_SECONDS, "write", 0.05)
    other = sqlite3.connect(pawsort.settings.state / "pawsort.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    response = answer(client, [f"{id}:0"])
    other.rollback()
    other.close()
    assert response.status_code == 503
    assert "locked" in response.json()["error"]
    assert pawsort.state(id)[1] == "uncertain"
    assert answer(client, [f"{id}:0"]).status_code == 200
    assert pawsort.state(id)[1] == "cats"


def test_another_command_at_work_is_waited_for_and_then_said(
    client: TestClient, pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = doubt(pawsort, b"a.jpg")
    monkeypatch.setattr(correct_undo_retry, "LOCK_SECONDS", 0.01)
    with correct_undo_retry.moves_lock(pawsort.settings):
        assert answer(client, [f"{id}:0"]).status_code == 409
    assert pawsort.state(id)[1] == "uncertain"


def test_an_empty_page_says_what_to_do(visitor: TestClient) -> None:
    text = visitor.get("/review", headers=HTML).text
    assert "Nothing to review yet" in text and "pawsort run" in text


def test_a_name_is_kept_and_a_hostile_one_is_tamed(client: TestClient, pawsort: Installation) -> None:
    doubt(pawsort, b"a.jpg")
    client.post("/name", data={"name": "  Ann\n<b>\u202e " + "x" * 99, "next": "//evil.example"})
    text = client.get("/review", headers=HTML).text
    assert "Recorded as <strong>Ann &lt;b&gt;" in text
    assert "\u202e" not in text


def test_views_survive_their_own_address() -> None:
    view = View("alike", review.Group("neither", "dög & co"), True, 7)
    assert view.url() == "/review?order=alike&reason=neither&prediction=d%C3%B6g+%26+co&many=1&after=7"
    assert View().url() == "/review"


LABELS = {None: ["cat", "dog", "neither"]}


def test_the_record_counts_only_low_confidence_photos() -> None:
    def part(verdict: str, label: str, said: str, count: int) -> review.Settled:
        return review.Settled("m", "s", verdict, label, said, count)

    found = [
        part("cats", "cat", "dog", 50),
        part("uncertain", "cat", "cat", 3),
        part("uncertain", "neither", "dog", 1),
    ]
    record = record_of(found, LABELS)
    assert (record.right, record.total) == (3, 4)
    assert record_of([], LABELS).share is None


def test_a_folder_that_the_model_does_not_know_confirms_its_neither() -> None:
    def part(sha256: str, label: str) -> review.Settled:
        return review.Settled("m", sha256, "uncertain", label, "rabbits", 1)

    def rights(sha256: str, **labels: list[str]) -> list[int]:
        known = {**LABELS, **labels}
        return [record_of([part(sha256, label)], known).right for label in ("neither", "cat", "rabbits")]

    assert rights("s") == [1, 0, 0]
    assert rights("s", s=["cat", "dog", "neither", "rabbits"]) == [0, 0, 1]
    assert rights("unknown", s=["cat", "dog", "neither", "rabbits"]) == [1, 0, 0]
    assert reviewing.MANY <= 100
