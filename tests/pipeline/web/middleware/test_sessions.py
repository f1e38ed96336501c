"""A session ends by sign-out or age, on the server too."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pipeline.web.middleware import sessions
from pipeline.web.middleware.sessions import MONTH_SECONDS, MOST_ENDED, Sessions
from tests.pipeline.web.middleware.conftest import TOKEN, Clock


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
def test_a_changed_cookie_is_invalid(tmp_path: Path, clock: Clock, change: object) -> None:
    made = Sessions(TOKEN, tmp_path / "ended.json", clock)
    assert not made.is_valid(change(made.begin()))  # type: ignore[operator]


@pytest.mark.parametrize("cookie", ["", ".", "..", "a.b.c", "\ud800.1.x", "x" * 30_000, "a.nan.", "é.1.é"])
def test_a_malformed_cookie_is_invalid_and_writes_nothing(tmp_path: Path, cookie: str) -> None:
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


def test_no_folder_is_made_for_the_list_whose_disk_may_not_be_mounted(tmp_path: Path, clock: Clock) -> None:
    made = Sessions(TOKEN, tmp_path / "state" / "ended.json", clock)
    cookie = made.begin()
    made.end(cookie)
    assert not made.is_valid(cookie) and not (tmp_path / "state").exists()
