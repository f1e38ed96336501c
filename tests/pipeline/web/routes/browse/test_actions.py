"""Many photos at once: in Browse, with and without scripts, and in the API."""

from __future__ import annotations

import re

import pytest

from pipeline.web.routes.browse import page
from tests.pipeline.web.conftest import HTML, TestClient, answers_of
from tests.pipeline.web.routes.browse.conftest import chosen
from tests.support.installation import Installation

PART = {**HTML, "HX-Request": "true", "HX-Target": "results"}


def outcomes(pawsort: Installation) -> list[str]:
    return [outcome for (outcome,) in pawsort.rows("outcome")]


def shown(text: str) -> list[str]:
    return re.findall(r'name="file" value="([^"]+)"', text)


def test_selected_photos_are_corrected_and_the_correction_undone(
    client: TestClient, pawsort: Installation, five: list[int]
) -> None:
    boxes = shown(client.get("/browse?outcome=uncertain", headers=HTML).text)
    assert boxes == chosen(five[::-1])
    done = client.post(
        "/browse/correct?outcome=uncertain", headers=PART, data={"file": boxes[:3], "label": "dog"}
    )
    assert "3 photos recorded as dog." in done.text and len(shown(done.text)) == 2
    assert outcomes(pawsort) == ["uncertain"] * 2 + ["dogs"] * 3
    undo = re.search(r'name="done" value="([^"]+)"', done.text)
    assert undo and answers_of(client) == undo[1]
    back = client.post("/browse/undo?outcome=uncertain", headers=PART, data={"done": undo[1]})
    assert "The last change of 3 photos is undone." in back.text
    assert outcomes(pawsort) == ["uncertain"] * 5


def test_without_scripts_the_form_leads_back_to_the_list(
    client: TestClient, pawsort: Installation, five: list[int]
) -> None:
    data = {"file": chosen(five[:2]), "label": "neither"}
    done = client.post("/browse/correct?name=jpg", headers=HTML, data=data, follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/browse?name=jpg")
    assert "Undo your last correction" in client.get("/browse", headers=HTML).text
    text = client.get("/browse", headers=HTML).text
    assert 'formaction="/browse/zip"' in text and '<button name="label" value="dog"' in text


def test_each_photo_that_cannot_be_corrected_is_named_with_the_reason_and_the_others_are_corrected(
    client: TestClient, pawsort: Installation, five: list[int]
) -> None:
    (pawsort.settings.sorted / "uncertain/1.jpg").unlink()
    pawsort.correct(b"uncertain/2.jpg", label="cat")
    data = {"file": chosen(five), "label": "dog"}
    for headers in (HTML, PART):
        text = client.post("/browse/correct", headers=headers, data=data).text
        listed = re.sub(r"<[^>]+>", "", text[text.index('<ul class="undone">') : text.index("</ul>")])
        assert "1.jpg: is missing" in listed and "2.jpg: was changed meanwhile by ann, to cat" in listed
    assert outcomes(pawsort) == ["dogs", "uncertain", "cats", "dogs", "dogs"]


def test_too_many_none_and_unknown_ones_are_refused(
    client: TestClient, pawsort: Installation, five: list[int]
) -> None:
    many = {"file": chosen(range(1, 102)), "label": "dog"}
    assert client.post("/browse/correct", data=many).json()["error"] == "101 files are too many at once."
    assert "No photo is selected." in client.post("/browse/undo", headers=PART).text
    for path in ("/browse/zip", "/browse/export"):
        assert client.post(path).json()["error"] == "No photo is selected."
        assert client.post(path, data={"file": chosen(range(1, 502))}).status_code == 422
        assert client.post(path, data={"file": ["x"]}).status_code == 422
    wrong = client.post("/browse/correct", data={"file": chosen(five[:1]), "label": "zebra"})
    assert (wrong.status_code, outcomes(pawsort)) == (422, ["uncertain"] * 5)


def test_a_page_of_another_site_can_change_nothing(
    client: TestClient, pawsort: Installation, five: list[int]
) -> None:
    data = {"file": chosen(five), "label": "dog"}
    for path in ("/browse/correct", "/browse/undo", "/browse/zip", "/browse/export"):
        assert client.post(path, headers={"Sec-Fetch-Site": "cross-site"}, data=data).status_code == 403
    assert outcomes(pawsort) == ["uncertain"] * 5


def test_a_long_list_is_as_long_after_an_action_on_it(
    client: TestClient, pawsort: Installation, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "SIZE", 2)
    monkeypatch.setattr(page, "MOST_SHOWN", 4)
    for said, expected in (("", 2), ("4", 4), ("9999", 4), ("x", 2)):
        text = client.post("/browse/undo", headers=PART, data={"shown": said}).text
        assert len(shown(text)) == expected, said


# --- the API


def test_the_api_corrects_and_undoes_many_and_says_of_each_what_became_of_it(
    client: TestClient, pawsort: Installation, five: list[int]
) -> None:
    (pawsort.settings.sorted / "uncertain/1.jpg").unlink()
    ids = [*five[:3], 99, five[0]]
    said = client.post("/api/corrections", json={"ids": ids, "as": "dog", "by": "ann"}).json()
    assert (said["changed"], said["failed"]) == (2, 2)
    assert [(one["id"], one["problem"]) for one in said["changes"]] == [
        (five[0], None),
        (five[1], "is missing; put it back and try again"),
        (five[2], None),
        (99, "no file has this id"),
    ]
    assert outcomes(pawsort) == ["dogs", "uncertain", "dogs", "uncertain", "uncertain"]
    undone = client.post("/api/undo", json={"ids": [five[0]]}).json()
    assert undone["changes"][0]["outcome"] == "uncertain" and undone["failed"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"ids": [], "as": "dog"},
        {"ids": list(range(1, 102)), "as": "dog"},
        {"ids": ["1"], "as": "dog"},
        {"ids": [True], "as": "dog"},
        {"ids": [0], "as": "dog"},
        {"ids": [1]},
        {"ids": [1], "as": "zebra"},
        {"ids": [1], "as": "dog", "x": 1},
    ],
)
def test_the_api_refuses_what_it_cannot_do(client: TestClient, five: list[int], body: object) -> None:
    assert client.post("/api/corrections", json=body).status_code == 422


def test_the_api_needs_the_token(pawsort: Installation, five: list[int]) -> None:
    from tests.pipeline.web.conftest import client_of

    with client_of(pawsort, token="0123456789abcdef") as client:
        for path in ("/api/corrections", "/api/undo", "/api/zip", "/browse/correct", "/browse/zip"):
            assert client.post(path, json={"ids": five}).status_code == 401
        for path in ("/api/export", f"/api/results/{five[0]}/original"):
            assert client.get(path).status_code == 401
