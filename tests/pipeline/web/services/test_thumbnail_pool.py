from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.classifier import supervised_child
from pipeline.settings.sections import LimitSettings
from pipeline.web.services import thumbnail_pool
from pipeline.web.services.thumbnail_pool import BusyError, ThumbnailPool
from tests.support.child_mains import dying_thumbnail_child

TIMEOUT = 60


@pytest.fixture
def pool() -> Iterator[ThumbnailPool]:
    made = ThumbnailPool(LimitSettings(decode_seconds=0.5), dying_thumbnail_child)
    yield made
    made.close()


def test_a_photo_that_kills_the_child_harms_no_later_one(pool: ThumbnailPool, tmp_path: Path) -> None:
    assert pool.request(tmp_path, b"poison", 80).result(TIMEOUT).problem == "the decoder crashed"
    assert pool.request(tmp_path, b"good", 80).result(TIMEOUT).jpeg == b"jpeg"


def test_a_photo_that_hangs_is_given_up_and_harms_no_later_one(pool: ThumbnailPool, tmp_path: Path) -> None:
    hang = pool.request(tmp_path, b"hang", 80)
    assert hang.result(TIMEOUT).problem == "the decoder did not finish in time"
    assert pool.request(tmp_path, b"good", 80).result(TIMEOUT).jpeg == b"jpeg"


def test_the_child_ends_when_it_is_idle(
    pool: ThumbnailPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnail_pool, "IDLE_SECONDS", 0.0)
    assert pool.request(tmp_path, b"good", 80).result(TIMEOUT).jpeg == b"jpeg"
    assert pool._thread
    pool._thread.thread.join(TIMEOUT)
    assert not pool._thread.thread.is_alive()
    assert pool.request(tmp_path, b"good", 80).result(TIMEOUT).jpeg == b"jpeg"


def test_a_child_that_cannot_be_started_leaves_no_request_without_an_answer(
    pool: ThumbnailPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    with monkeypatch.context() as without:
        without.setattr(supervised_child, "ChildProcess", refuse)
        for _ in range(2):
            assert "failed" in pool.request(tmp_path, b"good", 80).result(TIMEOUT).problem
    assert pool.request(tmp_path, b"good", 80).result(TIMEOUT).jpeg == b"jpeg"
    assert "the thumbnail process failed" in caplog.text


def test_too_many_requests_are_refused(
    pool: ThumbnailPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnail_pool._ThumbnailThread, "_run", lambda self: None)
    with pytest.raises(BusyError):
        for _ in range(thumbnail_pool.MOST_WAITING + 1):
            pool.request(tmp_path, b"good", 80)


def test_closing_answers_what_waits(pool: ThumbnailPool, tmp_path: Path) -> None:
    hang, waiting = (pool.request(tmp_path, b"hang", 80) for _ in range(2))
    pool.close()
    assert hang.result(TIMEOUT).jpeg is None
    assert waiting.result(TIMEOUT).problem in ("the server stops", "the decoder did not finish in time")
