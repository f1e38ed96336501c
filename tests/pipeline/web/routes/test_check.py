from __future__ import annotations

import re

from tests.pipeline.web.conftest import HTML, TestClient, client_of
from tests.support.installation import Installation
from tests.support.oracle import conserved

HTMX = {"HX-Request": "true"}


def filed(pawsort: Installation, count: int) -> list[int]:
    names = [b"%d.jpg" % number for number in range(count)]
    return [pawsort.file(name, name) for name in names]


def shown(text: str) -> str:
    """The photo that the page asks about, as ID:VERSION."""
    return "".join(re.findall(r'name="file" value="([^"]+)"', text))


def done(text: str) -> str:
    return re.findall(r'name="done" value="([^"]*)"', text)[0]


def draw(client: TestClient) -> str:
    return client.post("/check/draw", headers=HTMX).text


def answer(client: TestClient, file: str, label: str, url: str = "/check/answer") -> str:
    return client.post(url, data={"file": file, "label": label}, headers=HTMX).text


def test_an_empty_installation_has_nothing_to_check(visitor: TestClient) -> None:
    assert "Nothing to check yet" in visitor.get("/check", headers=HTML).text


def test_looking_draws_nothing_and_a_button_draws_once(client: TestClient, pawsort: Installation) -> None:
    filed(pawsort, 40)
    text = client.get("/check", headers=HTML).text
    assert "Draw photos" in text and not shown(text)
    assert "460 more right answers would prove the promise of 99.5 %" in text
    for _ in range(2):
        text = draw(client)
        assert shown(text)
        assert "30 photos wait for an answer" in text
    assert text.count("/large") == 3, "the next two are fetched ahead"


def test_right_confirms_and_shows_the_next_photo_with_the_figures(
    client: TestClient, pawsort: Installation
) -> None:
    filed(pawsort, 2)
    client.cookies.set("pawsort_name", "Ann%20Lee")
    file = shown(draw(client))
    text = answer(client, file, "cat")
    id = int(file.split(":")[0])
    assert pawsort.state(id) == ("filed", "cats", "cat", f"sorted/cats/{id - 1}.jpg".encode())
    [move] = pawsort.ledger.moves(id)
    assert (move.via, move.by) == ("check", "Ann Lee")
    assert shown(text) not in ("", file)
    assert "<strong>100 % of the filed photos are right</strong>" in text
    assert "2.5 % to 100 %, 1 checked" in text


def test_wrong_asks_for_the_label_and_moves_the_photo(client: TestClient, pawsort: Installation) -> None:
    [id] = filed(pawsort, 1)
    file = shown(draw(client))
    page = client.get("/check?wrong=1", headers=HTML).text
    assert "What is in this photo?" in page
    assert re.findall(r'name="label" value="(\w+)" data-key="(\w)"', page) == [("dog", "d"), ("neither", "n")]
    text = answer(client, file, "dog", "/check/answer?wrong=1")
    assert pawsort.state(id)[1:3] == ("dogs", "dog")
    assert "Draw photos" in text and "<strong>0 % of the filed photos are right</strong>" in text
    conserved(pawsort.settings, [b"0.jpg"])


def test_skipped_photos_are_asked_again_at_the_end(client: TestClient, pawsort: Installation) -> None:
    filed(pawsort, 2)
    first = shown(draw(client))
    [url] = set(re.findall(r'href="(/check\?after=\d+)"', client.get("/check", headers=HTML).text))
    text = client.get(url, headers=HTML).text
    second = shown(text)
    assert second != first
    [url] = set(re.findall(r'href="(/check\?after=\d+)"', text))
    text = client.get(url, headers=HTML).text
    assert shown(text) == first and "You skipped these photos before." in text


def test_an_undo_shows_the_photo_again_and_takes_its_answer_out_of_the_figures(
    client: TestClient, pawsort: Installation
) -> None:
    filed(pawsort, 2)
    file = shown(draw(client))
    text = answer(client, file, "dog")
    text = client.post("/check/undo", data={"done": done(text)}, headers=HTMX).text
    assert shown(text).split(":")[0] == file.split(":")[0]
    assert "how many are really right?" in text
    assert pawsort.state(int(file.split(":")[0]))[1:3] == ("cats", None)
    assert "nothing to undo" in client.post("/check/undo", headers=HTMX).text


def test_a_second_answer_changes_nothing(client: TestClient, pawsort: Installation) -> None:
    [id] = filed(pawsort, 1)
    file = shown(draw(client))
    answer(client, file, "cat")
    assert "was changed meanwhile" in answer(client, file, "dog")
    assert pawsort.state(id)[1:3] == ("cats", "cat")


def test_without_a_script_each_step_leads_back_to_the_page(client: TestClient, pawsort: Installation) -> None:
    filed(pawsort, 2)
    response = client.post("/check/draw", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, "/check")
    file = shown(client.get("/check", headers=HTML).text)
    data = {"file": file, "label": "cat"}
    response = client.post("/check/answer", data=data, follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, "/check")
    page = client.get("/check", headers=HTML).text
    response = client.post("/check/undo", data={"done": done(page)}, follow_redirects=False)
    assert (
        shown(client.get(response.headers["location"], headers=HTML).text).split(":")[0] == file.split(":")[0]
    )


def test_an_unknown_label_is_refused(client: TestClient, pawsort: Installation) -> None:
    filed(pawsort, 1)
    data = {"file": shown(draw(client)), "label": "horse"}
    assert client.post("/check/answer", data=data, headers=HTMX).status_code == 422


def test_two_visitors_draw_once(pawsort: Installation) -> None:
    filed(pawsort, 40)
    with client_of(pawsort) as first, client_of(pawsort) as second:
        assert shown(draw(first)) == shown(draw(second))
        assert "30 photos wait" in second.get("/check", headers=HTML).text
