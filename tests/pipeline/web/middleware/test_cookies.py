"""Cookies are read beside those of other programs."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from pipeline.web.middleware.cookies import cookies
from tests.pipeline.web.conftest import TestClient, client_of, session_of
from tests.pipeline.web.middleware.conftest import TOKEN
from tests.support.installation import Installation

FOREIGN = [
    b'j={"x":1}',
    b"a[b]=1",
    b"novalue",
    b"=",
    b";;; ;",
    b"a=b=c",
    b"long=" + b"x" * 30_000,
    b"\xe4\xff=\xc3\xa4",
    b'q="unclosed',
    b"t=a b\tc",
    b"pawsort=stale",
    b'pawsort="',
    b"Pawsort=1",
    b"$Version=1",
    b"x=%00\x01",
]


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("first", [True, False])
def test_a_cookie_of_another_program_does_not_lock_out_a_visitor(
    pawsort: Installation, foreign: bytes, first: bool
) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        client.post("/login", data={"token": TOKEN}, follow_redirects=False)
        own = b"pawsort=" + session_of(client).encode()
        client.cookies.clear()
        both = b"; ".join([foreign, own] if first else [own, foreign])
        answer = client.get("/", headers={b"Cookie": both, b"Accept": b"text/html"}, follow_redirects=False)
        assert answer.status_code == 200


@pytest.mark.parametrize("foreign", FOREIGN)
def test_the_name_is_read_beside_cookies_of_another_program(visitor: TestClient, foreign: bytes) -> None:
    sent = foreign + b"; pawsort_name=ann"
    page = visitor.get("/review", headers={b"Cookie": sent, b"Accept": b"text/html"})
    assert page.status_code == 200 and "<strong>ann</strong>" in page.text


def test_cookies_of_one_name_are_found_in_order_and_not_without_end() -> None:
    raw = [(b"cookie", b'a=1; b="2";a=3'), (b"cookie", b" a = 4 ;" + b"c=0;" * 1000)]
    headers = Headers(raw=raw)
    assert cookies(headers, "a") == ["1", "3", "4"] and cookies(headers, "b") == ["2"]
    assert len(cookies(headers, "c")) == 10 and cookies(headers, "d") == []
