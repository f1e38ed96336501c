"""Signing in and out by the pages: cookies, sessions, and where the form leads."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from pipeline.web.middleware.sessions import COOKIE
from tests.pipeline.web.conftest import HTML, TestClient, answers_of, client_of, session_of
from tests.pipeline.web.middleware.conftest import TOKEN
from tests.support.installation import Installation

# --- sessions -------------------------------------------------------------------------------------------


def test_a_sign_out_ends_the_session_on_the_server(pawsort: Installation) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        for _ in range(2):
            client.post("/login", data={"token": TOKEN}, follow_redirects=False)
            copied = session_of(client)
        other = session_of(client)
        client.cookies.clear()
        client.post("/login", data={"token": TOKEN}, follow_redirects=False)
        copied = session_of(client)
        assert client.post("/logout", follow_redirects=False).headers["location"] == "/login"
        client.cookies.clear()
        assert _status(client, copied) == 303 and _status(client, other) == 200
    with client_of(pawsort, token=TOKEN) as restarted:
        assert _status(restarted, copied) == 303 and _status(restarted, other) == 200
    with client_of(pawsort, token=TOKEN + "!") as changed:
        assert _status(changed, other) == 303


def _status(client: TestClient, cookie: str) -> int:
    return client.get(
        "/", headers={**HTML, "Cookie": f"{COOKIE}={cookie}"}, follow_redirects=False
    ).status_code


def test_sign_out_deletes_the_recent_answers_of_the_browser_too(pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg", outcome="uncertain", prediction="cat", confidence=0.4)
    with client_of(pawsort, token=TOKEN) as client:
        client.post("/login", data={"token": TOKEN}, follow_redirects=False)
        client.post("/review/answer", data={"label": "dog", "file": f"{id}:0"}, follow_redirects=False)
        assert answers_of(client)
        client.post("/logout", follow_redirects=False)
        assert not answers_of(client)


def test_signing_out_twice_succeeds(pawsort: Installation) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        answer = client.post("/logout", headers=HTML, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_somebody_whose_session_has_ended_is_told_to_sign_in(pawsort: Installation) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        for headers in ({**HTML, "HX-Request": "true"}, {"X-Part": "1"}, HTML):
            refused = client.post("/review/answer", data={"label": "dog"}, headers=headers)
            assert refused.status_code == 401 and "Sign in again" in refused.text
        assert '<a class="button" href="/login">' in refused.text


# --- where it leads -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/browse?outcome=cats&page=2",
        "/browse?name=%C3%A4%26%25",
        "/review?order=alike#x",
        "/browse?name=a%0Ab",
        "/browse?name=//x&u=http://y\\",
    ],
)
def test_the_form_leads_to_the_page_that_was_asked_for_with_its_query(
    pawsort: Installation, path: str
) -> None:
    asked = path.partition("#")[0].replace("\\", "%5C")
    with client_of(pawsort, token=TOKEN) as client:
        asking = client.get(asked, headers=HTML, follow_redirects=False)
        form = client.get(asking.headers["location"], headers=HTML)
        assert form.status_code == 200
        hidden = form.text.split('name="next" value="', 1)[1].partition('"')[0].replace("&amp;", "&")
        answer = client.post("/login", data={"token": TOKEN, "next": hidden}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, asked)


@pytest.mark.parametrize(
    "path", ["//evil.example/a", "/%5cevil.example", "/%2fevil.example", "/\\evil", "/%00"]
)
def test_an_address_outside_these_pages_leads_to_the_start(pawsort: Installation, path: str) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        answer = client.get(
            f"http://127.0.0.1:8420{quote(path, safe='/%')}", headers=HTML, follow_redirects=False
        )
    assert answer.headers["location"] == "/login?next=/"
