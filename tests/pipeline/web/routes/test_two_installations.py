"""Browsers send cookies to every port of a host: two installations there must not share theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.web.middleware.sessions import COOKIE
from pipeline.web.services import recent_answers
from tests.pipeline.web.conftest import HTML, TestClient, client_of
from tests.pipeline.web.middleware.conftest import TOKEN
from tests.support.installation import Installation


@pytest.fixture
def other(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "other")


def _share(first: TestClient, second: TestClient) -> None:
    """Give two clients the cookies of one browser."""
    second._cookies = first._cookies


def _sign_in(client: TestClient, token: str) -> None:
    client.post("/login", data={"token": token}, follow_redirects=False)


def _is_signed_in(client: TestClient) -> bool:
    return client.get("/today", headers=HTML, follow_redirects=False).status_code == 200


def _answer(client: TestClient, pawsort: Installation) -> str:
    id = pawsort.file(b"a.jpg", outcome="uncertain", prediction="cat", confidence=0.4)
    client.post("/review/answer", data={"label": "dog", "file": f"{id}:0"}, follow_redirects=False)
    return f"{id}:1"


def test_signing_in_to_one_installation_does_not_sign_out_of_another(
    pawsort: Installation, other: Installation
) -> None:
    with client_of(pawsort, token=TOKEN) as first, client_of(other, token=TOKEN + "!") as second:
        _share(first, second)
        _sign_in(first, TOKEN)
        _sign_in(second, TOKEN + "!")
        assert _is_signed_in(first) and _is_signed_in(second)
        first.post("/logout", follow_redirects=False)
        assert not _is_signed_in(first) and _is_signed_in(second)


def test_an_answer_given_to_one_installation_is_not_undone_in_another(
    pawsort: Installation, other: Installation
) -> None:
    with client_of(pawsort) as first, client_of(other) as second:
        _answer(second, other)
        _share(first, second)
        assert _answer(first, pawsort)
        assert "Undo the last" in first.get("/review", headers=HTML).text
        assert "Undo the last" not in second.get("/review", headers=HTML).text
        second.post("/review/undo", headers=HTML)
        assert other.state(1)[1] == "dogs", "an answer of another person with the same numbers"


def test_cookies_of_an_earlier_version_still_hold(pawsort: Installation) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        _sign_in(client, TOKEN)
        _answer(client, pawsort)
        sent = dict(client.cookies)
        client.cookies.clear()
        [session] = [value for value in sent.values() if value.count(".") == 3]
        client.cookies.set(COOKIE, session)
        client.cookies.set(recent_answers.COOKIE, "1:1")
        assert "Undo the last" in client.get("/review", headers=HTML).text
        client.post("/review/undo", headers=HTML)
        assert "Undo the last" not in client.get("/review", headers=HTML).text
        left = client.post("/logout", follow_redirects=False).headers.get_list("set-cookie")
        assert {"pawsort", "pawsort_answers"} < {cookie.partition("=")[0] for cookie in left}
        assert not _is_signed_in(client), "it has ended, whatever its name"
