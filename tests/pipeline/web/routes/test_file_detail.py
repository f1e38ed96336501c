from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from db.ledger import by_hand
from db.ledger.by_hand import HandMove
from db.queries import overview
from pipeline.web.views.timeline import timeline
from tests.pipeline.web.conftest import HTML, TestClient
from tests.support.installation import Installation
from tests.support.noted_rows import note_some, noted
from tests.support.oracle import conserved


def seen(client: TestClient, id: int) -> str:
    return re.findall(r'name="seen" value="([^"]+)"', client.get(f"/files/{id}", headers=HTML).text)[0]


@pytest.fixture(autouse=True)
def yesterday(pawsort: Installation) -> None:
    """The clock of the house is ahead of the real one, by which the pages go."""
    pawsort.time -= timedelta(days=400)


def test_a_page_has_the_picture_the_answer_and_the_history(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a/b.jpg")
    text = client.get(f"/files/{id}", headers=HTML).text
    assert f'src="/pictures/{id}/large"' in text
    assert "90 %" in text and "sorted/cats/a/b.jpg" in text
    assert "Moved to cats" in text


def test_a_correction_and_its_undo_are_made_here_and_told(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    data = {"seen": seen(client, id), "label": "dog"}
    response = client.post(f"/files/{id}/correct", data=data, follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, f"/files/{id}")
    assert pawsort.state(id)[1] == "dogs"
    text = client.get(f"/files/{id}", headers=HTML).text
    assert "Corrected to dog, from cats to dogs" in text and "Undo the last correction" in text
    client.post(f"/files/{id}/undo", data={"seen": seen(client, id)})
    assert pawsort.state(id)[1:3] == ("cats", None)
    assert "Undid the correction to dog, from dogs to cats" in client.get(f"/files/{id}", headers=HTML).text
    conserved(pawsort.settings, [b"cat"])


def test_what_people_did_by_hand_is_told(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    path = pawsort.ledger.entries([id])[0].path or b""
    aside, dogs = path + b"2", path.replace(b"/cats/", b"/dogs/")
    for move in (
        HandMove(id, "move", "filed", path, aside, "ann"),
        HandMove(id, "edit", "filed", aside, aside, "ann", sha256="e" * 64),
        HandMove(id, "move", "filed", aside, dogs, "ann", keeps=False, outcome="dogs", label="dog"),
        HandMove(id, "remove", "filed", dogs, dogs, "folder"),
    ):
        assert by_hand.record(pawsort.engine, [move], pawsort.now()) == {id}
    text = client.get(f"/files/{id}", headers=HTML).text
    for said in ("Moved by hand to", "a.jpg2", "Edited: its content is new", "Deleted by hand", ">deleted<"):
        assert said in text
    assert "ann:" in text and "folder:" not in text
    assert "Corrected to dog by its folder, from cats to dogs" in text
    assert client.get("/api/results?outcome=removed").json()["results"][0]["id"] == id
    back = HandMove(id, "return", "removed", dogs, dogs, "ann", outcome="dogs")
    by_hand.record(pawsort.engine, [back], pawsort.now())
    assert "Came back, as" in client.get(f"/files/{id}", headers=HTML).text


def test_a_stale_page_changes_nothing_and_names_the_first_person(
    client: TestClient, pawsort: Installation
) -> None:
    id = pawsort.file(b"a.jpg")
    pawsort.correct(b"cats/a.jpg", label="cat")
    for action in ("correct", "undo"):
        response = client.post(
            f"/files/{id}/{action}", data={"seen": f"{id}:0", "label": "dog"}, headers=HTML
        )
        assert response.status_code == 409
        assert "was changed meanwhile by ann" in response.text
    assert pawsort.state(id)[1] == "cats"


@pytest.mark.parametrize("action", ["correct", "undo", "retry"])
def test_the_file_of_the_address_and_that_of_the_form_must_be_one(
    client: TestClient, pawsort: Installation, action: str
) -> None:
    id, other = pawsort.file(b"a.jpg"), pawsort.file(b"b.jpg")
    before = pawsort.tree()
    for named in (f"{other}:0", f"{id}:0,{other}:0", "", f"{id}", "-1:0", f"{id}:{10**400}"):
        form = {"seen": named, "label": "dog"}
        assert client.post(f"/files/{id}/{action}", data=form).status_code == 422
    assert (pawsort.tree(), pawsort.state(id)[2], pawsort.state(other)[2]) == (before, None, None)


def test_a_page_that_shows_a_change_that_never_was_changes_nothing(
    client: TestClient, pawsort: Installation
) -> None:
    id = pawsort.file(b"a.jpg")
    response = client.post(f"/files/{id}/correct", data={"seen": f"{id}:7", "label": "dog"}, headers=HTML)
    assert response.status_code == 409 and "has changed since" in response.text


def test_a_filing_is_undone_and_sent_in_again(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    client.post(f"/files/{id}/undo", data={"seen": seen(client, id)})
    text = client.get(f"/files/{id}", headers=HTML).text
    assert pawsort.state(id)[0] == "undone"
    assert "put back" in text and "Send in again" in text
    client.post(f"/files/{id}/retry", data={"seen": seen(client, id)})
    assert pawsort.state(id)[0] == "vanished"
    assert "sent in again" in client.get(f"/files/{id}", headers=HTML).text
    assert pawsort.tree() == {b"inbox/a.jpg": b"cat"}


def test_a_file_that_came_in_again_counts_no_more(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    copy = pawsort.file(b"b.jpg", duplicate_of=id)
    pawsort.ledger.end(pawsort.ledger.entries([id]), pawsort.now())
    assert "it arrived again" in client.get(f"/files/{id}", headers=HTML).text
    assert f"Same content as file {id}. stub predicted cat" in client.get(f"/files/{copy}", headers=HTML).text


def test_a_failure_says_why_and_is_tried_again(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(
        b"a.jpg", outcome="failed", reason="truncated", detail="ends <early>", prediction=None, scores=None
    )
    text = client.get(f"/files/{id}", headers=HTML).text
    assert "part of the file is missing" in text and "ends &lt;early&gt;" in text
    assert f"/pictures/{id}" not in text
    client.post(f"/files/{id}/retry", data={"seen": seen(client, id)})
    assert pawsort.tree() == {b"inbox/a.jpg": b"cat"}


def test_a_file_that_is_gone_from_its_folder_is_said(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    Path(pawsort.settings.sorted, "cats/a.jpg").unlink()
    response = client.post(f"/files/{id}/correct", data={"seen": f"{id}:0", "label": "dog"}, headers=HTML)
    assert response.status_code == 409 and "is missing; put it back" in response.text


@pytest.mark.parametrize("path", ["/files/99", "/files/-1", "/files/x", "/files/99999999999999999999"])
def test_an_address_without_a_file_has_no_page(client: TestClient, pawsort: Installation, path: str) -> None:
    response = client.get(path, headers=HTML)
    assert response.status_code in (404, 422)


def test_the_same_content_elsewhere_is_linked(client: TestClient, pawsort: Installation) -> None:
    first, copy = pawsort.file(b"a.jpg"), pawsort.file(b"b.jpg")
    assert f'href="/files/{copy}"' in client.get(f"/files/{first}", headers=HTML).text


@pytest.mark.fault(110)
def test_a_hostile_name_is_escaped_everywhere(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"<script>alert(1)<\xff\xe2\x80\xae.jpg")
    text = client.get(f"/files/{id}", headers=HTML).text
    assert "<script>alert" not in text and "\u202e" not in text
    assert "\\xff\\u202e.jpg" in text


def test_a_timeline_tells_of_moves_under_way_and_of_none(pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    pawsort.ledger.begin_move(id, "correct", b"/x", "dogs", "dog", "ann", pawsort.now())
    history = overview.history(pawsort.engine, id)
    assert history is not None
    lines = [(event.by, event.what) for event in timeline(history)]
    assert lines[0] == (None, f"Seen in {pawsort.settings.inboxes[0]}")
    assert lines[2] == (None, "stub predicted cat with 90 % confidence.")
    assert lines[-1] == ("ann", "Corrected to dog, from cats to dogs (in progress)")


def test_a_photo_that_was_put_in_by_hand_was_not_classified(
    client: TestClient, pawsort: Installation
) -> None:
    answer = {"prediction": None, "confidence": None, "reason": "imported", "scores": None}
    id = pawsort.file(b"a.jpg", b"cat", "uncertain", **answer)
    text = client.get(f"/files/{id}", headers=HTML).text
    assert "<h2>Not classified</h2>" in text and "It was put in by hand" in text
    assert "has not reached" not in text
    assert "Found in uncertain. It was put in" in text
    assert "spool" not in text and "could not be read" not in text.lower()


def test_a_deleted_photo_has_a_page_without_a_picture(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    path = pawsort.ledger.entries([id])[0].path or b""
    by_hand.record(pawsort.engine, [HandMove(id, "remove", "filed", path, path, "folder")], pawsort.now())
    text = client.get(f"/files/{id}", headers=HTML).text
    assert "/pictures/" not in text and "no preview: deleted" in text


def test_a_noted_photo_has_a_page_that_offers_no_change(client: TestClient, pawsort: Installation) -> None:
    note_some(pawsort.engine, noted(duplicate_of=None))
    response = client.get("/files/1", headers=HTML)
    assert response.status_code == 200
    assert "A backfill classified this photo where it lies" in response.text
    assert "Found by a backfill in /archive" in response.text
    assert "/files/1/correct" not in response.text and "/files/1/undo" not in response.text
    assert "cats, not filed" in client.get("/browse", headers=HTML).text
