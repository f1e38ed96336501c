"""Review, Browse, Check, file pages and the API on one machine, for the files of all."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, event

from db.ledger import workers
from db.ledger.spot_checks import Sampled, record_draw
from tests.pipeline.requests.conftest import Two, emptied
from tests.pipeline.web.conftest import HTML, TestClient, client_of
from tests.support.installation import Installation
from tests.support.machine import Machine
from tests.support.oracle import read
from tests.support.pictures import encode, scene

UNSURE = {"reason": "low_confidence", "confidence": 0.5}


def unsure(machine: Machine, name: bytes = b"a.jpg", content: bytes | None = None) -> int:
    return machine.file(name, content or machine.name.encode() + name, "uncertain", **UNSURE)


def answered(pages: TestClient, id: int, label: str = "dog", version: int = 0) -> str:
    said = {"label": label, "file": f"{id}:{version}"}
    response = pages.post("/review/answer", data=said, headers={"HX-Request": "true"})
    assert response.status_code == 200
    return response.text


def test_review_settles_the_photos_of_all_machines(two: Two, pages: TestClient) -> None:
    mine, other = unsure(two.ann), unsure(two.bob)
    text = pages.get("/review").text
    assert "<strong>2 left.</strong>" in text and "on ann" in text
    assert "Photos stay on your machines." in text and "but its database and the machines that" in text
    assert "1 photo recorded as dog." in answered(pages, mine)
    text = answered(pages, other)
    assert "1 photo sent to bob." in text
    assert "Waiting for bob:</strong> 1 photo." in text and "record it as dog, asked by" in text
    assert "All reviewed" in text
    assert (two.ann.state(mine)[1], two.bob.state(other)[1]) == ("dogs", "uncertain")
    two.bob.answer_requests()
    assert (two.ann.state(mine)[1], two.bob.state(other)[1]) == ("dogs", "dogs")
    assert read(two.ann.path("dogs/a.jpg")) == b"anna.jpg"
    assert read(two.bob.path("dogs/a.jpg")) == b"boba.jpg"
    assert "Waiting for" not in pages.get("/review").text


def test_an_answer_is_taken_back_by_undo_before_and_after_it_is_carried_out(
    two: Two, pages: TestClient
) -> None:
    id = unsure(two.bob)
    for carried_out in (False, True):
        answered(pages, id, version=0)
        if carried_out:
            two.bob.answer_requests()
            assert two.bob.state(id)[1] == "dogs"
        back = pages.post("/review/undo", headers={"HX-Request": "true"}).text
        assert ("1 photo sent to bob." if carried_out else "1 photo undone.") in back
        two.bob.answer_requests()
        assert two.bob.state(id)[1:3] == ("uncertain", None)
        assert "<strong>1 left.</strong>" in pages.get("/review").text


def test_what_could_not_be_done_is_said_and_the_photo_waits_again(two: Two, pages: TestClient) -> None:
    id = unsure(two.bob)
    answered(pages, id)
    with open(two.bob.path("uncertain/a.jpg"), "ab") as file:
        file.write(b"edited")
    two.bob.answer_requests()
    text = pages.get("/review").text
    assert "Could not be done" in text and "its content has changed since it was filed" in text
    assert "<strong>1 left.</strong>" in text
    history = pages.get(f"/files/{id}").text
    assert "Asked bob to record it as dog: its content has changed" in history


def test_an_owner_that_does_not_answer_is_said_so_and_its_request_stays(two: Two, pages: TestClient) -> None:
    id = unsure(two.bob)
    answered(pages, id)
    workers.stopped(two.ann.everyone, two.bob.id, datetime.now(UTC))
    pages.app.state.context.cache.forget()  # type: ignore[attr-defined]
    assert "bob is stopped since 20" in pages.get("/review").text
    text = pages.get(f"/files/{id}").text
    assert "Waiting for bob" in text and "bob is stopped since" in text
    assert f'action="/files/{id}/correct"' not in text
    two.bob.answer_requests()  # it runs again
    assert two.bob.state(id)[1] == "dogs"


def test_an_owner_that_was_retired_is_said_so_and_asked_nothing(two: Two, pages: TestClient) -> None:
    first, second = unsure(two.bob), unsure(two.bob, b"b.jpg")
    answered(pages, first)
    two.bob.fall_silent()
    workers.retire(two.ann.everyone, two.bob.id, 30)
    pages.app.state.context.cache.forget()  # type: ignore[attr-defined]
    text = pages.get("/review").text
    assert "Waiting for" not in text and "<strong>2 left.</strong>" in text
    assert (
        "Could not be done" in text and "is a photo of bob, which was retired; start its worker again" in text
    )
    text = answered(pages, second)
    assert (
        "is a photo of bob, which was retired; start its worker again" in text and "sent to bob" not in text
    )
    assert "<dt>Machine</dt><dd>bob, which was retired at 20" in pages.get(f"/files/{second}").text
    assert "b.jpg" in pages.get("/browse?worker=bob").text


def test_a_request_is_taken_back_on_the_page_of_its_file(two: Two, pages: TestClient) -> None:
    id = unsure(two.bob)
    seen = {"seen": f"{id}:0", "label": "dog"}
    assert pages.post(f"/files/{id}/correct", data=seen, follow_redirects=False).status_code == 303
    text = pages.get(f"/files/{id}").text
    assert "<dt>Machine</dt><dd>bob" in text
    [asked] = re.findall(r'name="asked" value="([0-9]+)"', text)
    assert pages.post(f"/files/{id}/take-back", data={"asked": asked}).status_code == 200
    two.bob.answer_requests()
    assert two.bob.state(id)[1] == "uncertain"
    again = pages.post(f"/files/{id}/take-back", data={"asked": asked}, headers=HTML)
    assert again.status_code == 409 and "carried out meanwhile" in again.text
    other = unsure(two.bob, b"b.jpg")
    assert pages.post(f"/files/{other}/take-back", data={"asked": asked}).status_code == 404


def test_undo_retry_and_put_back_of_another_machines_file_are_sent(two: Two, pages: TestClient) -> None:
    filed = two.bob.file(b"a.jpg", b"a")
    failed = two.bob.file(b"b.jpg", b"b", "failed", reason="corrupt", prediction=None)
    pages.post(f"/files/{filed}/undo", data={"seen": f"{filed}:0"})
    pages.post("/today/retry", data={"reason": "corrupt"})
    two.bob.answer_requests()
    assert [two.bob.state(id)[0] for id in (filed, failed)] == ["undone", "vanished"]
    [move] = two.bob.ledger.moves(filed)
    pages.post(f"/files/{filed}/retry", data={"seen": f"{filed}:{move.id}"})
    two.bob.answer_requests()
    assert two.bob.state(filed)[0] == "vanished"


def test_browse_shows_all_machines_and_filters_by_one(two: Two, pages: TestClient) -> None:
    mine, other = two.ann.file(b"a.jpg", b"a"), two.bob.file(b"b.jpg", b"b")
    text = pages.get("/browse").text
    assert "on ann" in text and "on bob" in text and 'id="f-worker"' in text
    only = pages.get("/browse?worker=bob").text
    assert f'id="photo-{other}"' in only and f'id="photo-{mine}"' not in only
    assert "No photo matches" in pages.get("/browse?worker=carl").text
    rows = pages.get("/api/results?worker=ann").json()["results"]
    assert [(row["id"], row["worker"]) for row in rows] == [(mine, "ann")]
    assert [row.split(",")[0] for row in pages.get("/api/export?worker=bob").text.split()[1:2]] == [
        str(other)
    ]
    many = {"label": "dog", "file": [f"{mine}:0", f"{other}:0"]}
    said = pages.post(
        "/browse/correct", data=many, headers={"HX-Request": "true", "HX-Target": "results"}
    ).text
    assert "1 photo recorded as dog. 1 photo sent to bob." in said


def test_a_file_elsewhere_is_not_looked_for_here(two: Two, pages: TestClient) -> None:
    other = two.bob.file(b"b.jpg", b"b")
    for address in (f"/files/{other}", f"/browse/view/{other}"):
        text = pages.get(address).text
        assert "is gone" not in text and "bob" in text


def test_check_asks_for_the_photos_of_all_machines(two: Two, pages: TestClient) -> None:
    id = two.bob.file(b"a.jpg", b"a")
    record_draw(two.ann.everyone, [Sampled(id, "cats", 1.0)], datetime.now(UTC))
    assert "on bob" in pages.get("/check").text
    said = {"label": "dog", "file": f"{id}:0"}
    answer = pages.post("/check/answer", data=said, headers={"HX-Request": "true"}).text
    assert "Sent to bob." in answer
    two.bob.answer_requests()
    assert two.bob.state(id)[1:3] == ("dogs", "dog")
    assert "Sent to bob." in pages.post("/check/undo", headers={"HX-Request": "true"}).text
    two.bob.answer_requests()
    assert two.bob.state(id)[1:3] == ("cats", None)


def test_the_api_answers_202_and_the_request_can_be_followed(two: Two, pages: TestClient) -> None:
    id = unsure(two.bob)
    sent = pages.post(f"/api/results/{id}/correction", json={"as": "dog", "by": "cid"})
    assert sent.status_code == 202
    place = sent.headers["location"]
    assert sent.json() == pages.get(place).json()
    assert (sent.json()["worker"], sent.json()["by"], sent.json()["done_at"]) == ("bob", "cid", None)
    assert [each["file_id"] for each in pages.get("/api/requests").json()] == [id]
    assert pages.post(f"/api/results/{id}/correction", json={"as": "cat"}).status_code == 409
    two.bob.answer_requests()
    assert pages.get(place).json()["done_at"] is not None
    assert pages.get("/api/requests").json() == []
    assert pages.delete(place).status_code == 409
    assert pages.get("/api/requests/999").status_code == 404


def test_the_api_takes_a_request_back(two: Two, pages: TestClient) -> None:
    id = unsure(two.bob)
    place = pages.post(f"/api/results/{id}/correction", json={"as": "dog"}).headers["location"]
    taken = pages.delete(f"{place}?by=cid")
    assert taken.json()["problem"] == "taken back by cid"
    many = pages.post("/api/corrections", json={"ids": [id], "as": "dog"}).json()
    [change] = many["changes"]
    assert (many["changed"], change["worker"], change["problem"]) == (1, "bob", None)
    undone = pages.delete(f"/api/results/{id}/correction")
    assert undone.status_code == 200
    two.bob.answer_requests()
    assert two.bob.state(id)[1] == "uncertain"


def test_an_old_version_of_another_machines_file_is_refused(two: Two, pages: TestClient) -> None:
    id = unsure(two.bob)
    tag = pages.get(f"/api/results/{id}").headers["etag"]
    two.bob.correct(b"uncertain/a.jpg", label="cat")
    late = pages.post(f"/api/results/{id}/correction", json={"as": "dog"}, headers={"If-Match": tag})
    assert late.status_code == 412


def test_on_sqlite_nothing_speaks_of_machines(pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    with client_of(pawsort) as pages:
        for address in ("/review", "/review?many=1", "/browse", f"/files/{id}", f"/browse/view/{id}"):
            text = pages.get(address).text
            assert "f-worker" not in text and "machine" not in text.replace("Photos stay on this machine", "")
        assert pages.get("/api/requests").json() == []


def test_on_sqlite_no_page_asks_for_machines_or_requests(pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg", encode(scene(64, 48), "JPEG"), "uncertain", **UNSURE)
    asked: list[str] = []
    with client_of(pawsort) as pages:
        provider = pages.app.state.context.database  # type: ignore[attr-defined]
        for engine in (provider.reader(), provider.writer()):
            event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        for address in ("/review", "/browse", "/check", f"/files/{id}", f"/pictures/{id}/small", "/today"):
            assert pages.get(address).status_code == 200
        answered(pages, id)
        pages.post("/review/undo")
    assert len(asked) > 20
    assert [said for said in asked if "requests" in said or "workers" in said] == []


def test_before_any_worker_has_started_the_files_are_of_this_machine(
    tmp_path: Path, postgres_made: str
) -> None:
    class Upgraded(Machine):
        """An installation on PostgreSQL from before there could be many workers."""

        def __init__(self) -> None:
            Installation.__init__(self, tmp_path, f"database: {emptied(postgres_made)}\n")

        def _open(self) -> Engine:
            return self.everyone

    old = Upgraded()
    old._url = old.settings.database_url
    id = old.file(b"a.jpg", encode(scene(64, 48), "JPEG"), "uncertain", **UNSURE)
    with client_of(old) as pages:
        assert pages.get(f"/pictures/{id}/small").status_code == 200
        assert "1 photo recorded as dog." in answered(pages, id)
    assert old.state(id)[1] == "dogs"
    old.close()


def test_the_status_has_the_folder_of_another_machine_whose_name_is_not_utf_8(
    two: Two, pages: TestClient
) -> None:
    said = {"health": "degraded", "reasons": [os.fsdecode(b"/in/\xff: files cannot be taken")]}
    workers.beat(two.bob.everyone, two.bob.id, said, None)
    seen = {worker["name"]: worker for worker in pages.get("/api/status").json()["workers"]}
    assert seen["bob"]["reasons"] == said["reasons"]
