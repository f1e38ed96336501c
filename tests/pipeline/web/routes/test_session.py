"""Signing in and out: cookies, sessions, wrong tokens, and where it leads."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from starlette.datastructures import Headers

from pipeline.web.middleware import guard, sessions, token_attempts
from pipeline.web.middleware.cookies import cookies
from pipeline.web.middleware.guard import COOKIE
from pipeline.web.middleware.problems import Problem
from pipeline.web.middleware.redirects import own_path
from pipeline.web.middleware.sessions import MONTH_SECONDS, MOST_ENDED, Sessions
from pipeline.web.middleware.token_attempts import (
    COMPARED,
    FREE,
    HOLD_SECONDS,
    LONGEST_SECONDS,
    TOGETHER,
    Attempts,
)
from pipeline.web.services import recent_answers
from tests.pipeline.web.conftest import HTML, TestClient, client_of
from tests.support.installation import Installation

TOKEN = "correct horse battery"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- cookies --------------------------------------------------------------------------------------------

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
        own = b"pawsort=" + client.cookies[COOKIE].encode()
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


# --- sessions -------------------------------------------------------------------------------------------


def test_a_sign_out_ends_the_session_on_the_server(pawsort: Installation) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        for _ in range(2):
            client.post("/login", data={"token": TOKEN}, follow_redirects=False)
            copied = client.cookies[COOKIE]
        other = client.cookies[COOKIE]
        client.cookies.clear()
        client.post("/login", data={"token": TOKEN}, follow_redirects=False)
        copied = client.cookies[COOKIE]
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
        assert recent_answers.COOKIE in client.cookies
        client.post("/logout", follow_redirects=False)
        assert recent_answers.COOKIE not in client.cookies


def test_to_sign_out_twice_is_no_error(pawsort: Installation) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        answer = client.post("/logout", headers=HTML, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_a_session_is_too_old_after_a_month(tmp_path: Path, clock: Clock) -> None:
    made = Sessions(TOKEN, tmp_path / "ended.json", clock)
    cookie = made.begin()
    clock.now += MONTH_SECONDS - 1
    assert made.is_valid(cookie)
    clock.now += 2
    assert not made.is_valid(cookie)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c[:-1],
        lambda c: "x" + c,
        lambda c: c.replace(".", "..", 1),
        lambda c: c.upper(),
    ],
)
def test_a_cookie_that_was_changed_is_none(tmp_path: Path, clock: Clock, change: object) -> None:
    made = Sessions(TOKEN, tmp_path / "ended.json", clock)
    assert not made.is_valid(change(made.begin()))  # type: ignore[operator]


@pytest.mark.parametrize("cookie", ["", ".", "..", "a.b.c", "\ud800.1.x", "x" * 30_000, "a.nan.", "é.1.é"])
def test_what_is_no_cookie_of_a_session_is_none(tmp_path: Path, cookie: str) -> None:
    made = Sessions(TOKEN, tmp_path / "ended.json")
    assert not made.is_valid(cookie)
    made.end(cookie)
    assert list(tmp_path.iterdir()) == [], "who has no session writes nothing"


def test_two_servers_know_of_each_others_ended_sessions(tmp_path: Path, clock: Clock) -> None:
    one, two = (Sessions(TOKEN, tmp_path / "ended.json", clock) for _ in range(2))
    first, second = one.begin(), two.begin()
    one.end(first)
    assert not two.is_valid(first)
    two.end(second)
    assert not one.is_valid(first) and not one.is_valid(second)


def test_the_list_of_ended_sessions_is_bounded(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_ENDED", 5)
    file = tmp_path / "ended.json"
    made = Sessions(TOKEN, file, clock)
    ended = [made.begin() for _ in range(6)]
    for cookie in ended:
        made.end(cookie)
    assert file.stat().st_size < 100 and MOST_ENDED > 5
    clock.now += 1
    new = made.begin()
    assert made.is_valid(new) and Sessions(TOKEN, file, clock).is_valid(new)
    assert not any(map(made.is_valid, ended)) and not any(map(Sessions(TOKEN, file, clock).is_valid, ended))


def test_a_session_that_is_too_old_is_forgotten(tmp_path: Path, clock: Clock) -> None:
    made = Sessions(TOKEN, tmp_path / "ended.json", clock)
    made.end(made.begin())
    clock.now += MONTH_SECONDS + 1
    made.end(made.begin())
    assert (tmp_path / "ended.json").read_text().count(":") == 3


def test_a_list_that_is_damaged_or_cannot_be_written_ends_sessions_as_far_as_it_can(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ended.json").write_text('{"ended": [')
    made = Sessions(TOKEN, tmp_path / "ended.json", clock)
    cookie = made.begin()
    assert made.is_valid(cookie)
    (tmp_path / "file").write_text("")
    nowhere = Sessions(TOKEN, tmp_path / "file" / "ended.json", clock)
    nowhere.end(cookie)
    assert not nowhere.is_valid(cookie)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2


# --- wrong tokens ---------------------------------------------------------------------------------------


def wait(made: Attempts, address: str, shown: str) -> int:
    """How long the address has to wait, 0 if it was let try."""
    try:
        made.is_right(address, shown)
    except Problem as problem:
        assert problem.status_code == 429 and problem.headers
        return int(problem.headers["Retry-After"])
    return 0


@pytest.mark.fault(113)
def test_wrong_tokens_of_an_address_are_slowed_more_and_more(clock: Clock) -> None:
    made, waits = Attempts(TOKEN, clock), []
    for guess in range(40):
        if seconds := wait(made, "192.0.2.66", f"guess {guess}"):
            waits.append(seconds)
    assert waits[:6] == [2, 4, 8, 16, 32, 60] and set(waits[6:]) == {int(LONGEST_SECONDS)}
    clock.now += LONGEST_SECONDS
    assert wait(made, "192.0.2.66", "one more") == 0
    assert wait(made, "192.0.2.66", "and another") == LONGEST_SECONDS


@pytest.mark.fault(113)
def test_the_right_token_is_accepted_while_its_address_waits_and_does_not_end_the_waiting(
    clock: Clock,
) -> None:
    made = Attempts(TOKEN, clock)
    for guess in range(2000):
        clock.now += 0.1  # another client behind the same proxy guesses without a pause
        wait(made, "192.0.2.66", f"guess {guess}")
        assert made.is_right("192.0.2.66", TOKEN)
    assert wait(made, "192.0.2.66", "wrong") == LONGEST_SECONDS, "wrong ones wait on"


@pytest.mark.fault(113)
def test_a_flood_of_guesses_is_not_compared(clock: Clock) -> None:
    made = Attempts(TOKEN, clock)
    waits = [wait(made, "192.0.2.66", f"guess {guess}") for guess in range(COMPARED + 50)]
    assert waits[-50:] == [1] * 50 and LONGEST_SECONDS in waits
    assert wait(made, "192.0.2.66", TOKEN) == 1, "this would be one more guess"
    assert made.is_right("192.0.2.1", TOKEN), "another address"
    clock.now += 1
    assert made.is_right("192.0.2.66", TOKEN)


@pytest.mark.fault(113)
def test_very_many_wrong_tokens_slow_all_addresses_that_were_wrong(clock: Clock) -> None:
    made = Attempts(TOKEN, clock)
    for number in range(TOGETHER + 2):
        assert wait(made, f"192.0.{number // 200}.{number % 200}", f"guess {number}") == 0
    assert wait(made, "192.0.0.0", "another") == int(LONGEST_SECONDS)
    assert made.is_right("198.51.100.1", TOKEN), "who was never wrong is let try"
    clock.now += LONGEST_SECONDS
    assert wait(made, "192.0.0.0", "another") == 0


def test_an_old_token_that_a_program_repeats_is_one_guess(clock: Clock) -> None:
    made = Attempts(TOKEN, clock)
    assert [wait(made, "127.0.0.1", "an old token") for _ in range(500)] == [0] * 500


@pytest.mark.fault(113)
def test_one_network_of_ipv6_is_one_address_and_ipv4_in_it_is_itself(clock: Clock) -> None:
    made = Attempts(TOKEN, clock)
    for guess in range(FREE):
        wait(made, f"2001:db8::{guess}", f"guess {guess}")
        wait(made, "::ffff:192.0.2.66", f"guess {guess}")
    assert wait(made, "2001:db8::ffff", "more") and wait(made, "192.0.2.66", "more")
    assert not wait(made, "2001:db8:0:1::1", "more") and not wait(made, "192.0.2.67", "more")
    assert not wait(made, "-", "more") and not wait(made, "fe80::1%eth0", "more")


def test_only_so_many_addresses_are_remembered(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_attempts, "ADDRESSES", 10)
    made = Attempts(TOKEN, clock)
    for number in range(50):
        wait(made, f"192.0.2.{number}", "guess")
    assert len(made._records) == 10


@pytest.mark.fault(113)
@pytest.mark.parametrize("way", ["form", "header"])
def test_a_person_is_told_to_wait_and_a_session_is_valid(
    pawsort: Installation, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_attempts, "HOLD_SECONDS", 0.0)
    with client_of(pawsort, token=TOKEN) as client:
        client.post("/login", data={"token": TOKEN}, follow_redirects=False)
        cookie = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        client.cookies.clear()
        for guess in range(FREE + 1):
            if way == "form":
                answer = client.post("/login", data={"token": f"guess {guess}"}, headers=HTML)
            else:
                answer = client.get("/api/models", headers={"Authorization": f"Bearer guess {guess}"})
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
        assert client.get("/", headers={**HTML, **cookie}).status_code == 200
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/api/models", headers=right).status_code == 200


@pytest.mark.fault(113)
@pytest.mark.parametrize("way", ["form", "header"])
def test_each_refusal_is_held_back_and_the_right_token_is_not(
    pawsort: Installation, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[float] = []

    async def sleep(seconds: float) -> None:
        held.append(seconds)

    monkeypatch.setattr(guard, "asyncio", SimpleNamespace(sleep=sleep))
    with client_of(pawsort, token=TOKEN) as client:
        for guess in [*range(FREE + 3), TOKEN]:
            if way == "form":
                answer = client.post("/login", data={"token": guess}, follow_redirects=False)
            else:
                answer = client.get("/api/models", headers={"Authorization": f"Bearer {guess}"})
    assert answer.status_code in (200, 303) and held == [HOLD_SECONDS] * 3


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
    "path",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "x",
        "",
        "/a\nb",
        "/\t/evil.example",
        "\\/evil",
        "/%5cevil.example",
        "/%5C%5Cevil",
        "/%2fevil.example",
        "/%2Fevil",
        "/%252fevil",
        "/%255cevil",
        "/%09/evil",
        "/%0d%0aSet-Cookie:x=1",
        "/\x00",
        "/%00",
        "javascript:alert(1)",
        " //evil",
        "/\u202eevil",
        "/a\\b",
        "/" + "x" * 3000,
        "///evil",
        "/.//evil",
        "/a/..//evil",
        "/browse?a=\nb",
        "/browse?a=\x7f",
    ],
)
def test_the_form_leads_to_no_other_place(path: str) -> None:
    assert own_path(path) == "/"


@pytest.mark.parametrize(
    "path", ["//evil.example/a", "/%5cevil.example", "/%2fevil.example", "/\\evil", "/%00"]
)
def test_who_asks_for_another_place_is_led_to_the_start(pawsort: Installation, path: str) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        answer = client.get(
            f"http://127.0.0.1:8420{quote(path, safe='/%')}", headers=HTML, follow_redirects=False
        )
    assert answer.headers["location"] == "/login?next=/"
