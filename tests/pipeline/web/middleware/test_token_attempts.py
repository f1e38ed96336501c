"""Wrong tokens are slowed, and the right one never is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline.web.middleware import guard, token_attempts
from pipeline.web.middleware.problems import Problem
from pipeline.web.middleware.sessions import COOKIE
from pipeline.web.middleware.token_attempts import (
    COMPARED,
    FREE,
    HOLD_SECONDS,
    LONGEST_SECONDS,
    TOGETHER,
    Attempts,
)
from tests.pipeline.web.conftest import HTML, client_of, session_of
from tests.pipeline.web.middleware.conftest import TOKEN, Clock
from tests.support.installation import Installation


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
def test_very_many_wrong_tokens_slow_all_addresses(clock: Clock) -> None:
    made = Attempts(TOKEN, clock)
    for number in range(TOGETHER + 1):
        assert wait(made, f"192.0.{number // 200}.{number % 200}", f"guess {number}") == 0
    assert wait(made, "192.0.0.0", "another") == int(LONGEST_SECONDS)
    for number in range(3):
        assert wait(made, f"203.0.113.{number}", "one more") == 1, "an address may be invented"
    assert made.is_right("198.51.100.1", TOKEN), "the right token is accepted"
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
        cookie = {"Cookie": f"{COOKIE}={session_of(client)}"}
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
