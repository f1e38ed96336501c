from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.classifier import supervised_child
from pipeline.classifier.messages import Explain
from pipeline.classifier.supervised_child import ClosingError
from pipeline.errors import ModelError
from pipeline.settings.config import Settings
from pipeline.settings.sections import LimitSettings
from pipeline.web.served_models import classifier_pool
from pipeline.web.served_models.child_thread import FullError
from pipeline.web.served_models.classifier_pool import ClassifierPool
from tests.support.child_mains import page_classifier_child

TIMEOUT = 60


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ClassifierPool]:
    limits = LimitSettings(decode_seconds=0.5, attempts=1)
    made = ClassifierPool(Settings(base=tmp_path, limits=limits, engine="tensorflow"), page_classifier_child)
    yield made
    made.close()


def photo(folder: Path, content: str) -> bytes:
    path = folder / f"{content.strip('<>')}.jpg"
    path.write_text(content)
    return str(path).encode()


def test_photos_are_answered_in_order_and_poison_harms_only_itself(
    pool: ClassifierPool, tmp_path: Path
) -> None:
    contents = ["<cat>", "<crash>", "<dog>", "<hang>", "<truncated>"]
    futures = pool.classify(tmp_path / "a", [photo(tmp_path, content) for content in contents])
    found = [future.result(TIMEOUT) for future in futures]
    assert [finding.reason for finding in found] == [None, "decoder_crashed", None, "timeout", "truncated"]
    assert found[2].scores and found[2].scores["dog"] > 0.9


def test_a_heat_map_is_drawn_by_the_same_child(pool: ClassifierPool, tmp_path: Path) -> None:
    path = photo(tmp_path, "<cat>")
    pool.preload(tmp_path / "a")
    seen = pool.explain(tmp_path / "a", Explain(path, "dog", 100)).result(TIMEOUT)
    assert seen.jpeg == b"heat of dog"
    crash = pool.explain(tmp_path / "a", Explain(photo(tmp_path, "<crash>"), "dog", 100))
    assert crash.result(TIMEOUT).problem == "the decoder crashed"
    assert pool.classify(tmp_path / "a", [path])[0].result(TIMEOUT).scores


def test_a_refused_model_is_the_error_of_each_request(pool: ClassifierPool, tmp_path: Path) -> None:
    path = photo(tmp_path, "<cat>")
    for future in pool.classify(tmp_path / "refused", [path, path]):
        with pytest.raises(ModelError, match="truncated"):
            future.result(TIMEOUT)


def test_at_most_two_models_are_loaded(pool: ClassifierPool, tmp_path: Path) -> None:
    path = photo(tmp_path, "<cat>")
    for name in "abc":
        pool.classify(tmp_path / name, [path])[0].result(TIMEOUT)
    assert [pool.is_ready(tmp_path / name) for name in "bc"] == [True, True]
    assert not pool.is_ready(tmp_path / "a")
    assert len(pool._classifiers) == classifier_pool.MOST_CLASSIFIERS


def test_an_idle_model_ends_and_is_loaded_again(
    pool: ClassifierPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_pool, "IDLE_SECONDS", 0.0)
    path = photo(tmp_path, "<cat>")
    pool.classify(tmp_path / "a", [path])[0].result(TIMEOUT)
    pool._classifiers[tmp_path / "a"].thread.join(TIMEOUT)
    assert not pool.is_ready(tmp_path / "a")
    assert pool.classify(tmp_path / "a", [path])[0].result(TIMEOUT).scores


def test_too_many_requests_are_refused(pool: ClassifierPool, tmp_path: Path) -> None:
    with pytest.raises(FullError):
        pool.classify(tmp_path / "a", [b"/x"] * (classifier_pool.MOST_WAITING + 1))


def test_closing_ends_what_waits(
    pool: ClassifierPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised_child, "_TICK", 0.05)
    futures = pool.classify(tmp_path / "a", [photo(tmp_path, "<hang>")] * 2)
    pool.close()
    for future in futures:
        with pytest.raises(ClosingError):
            future.result(TIMEOUT)


def test_a_process_that_cannot_be_started_is_the_error_of_each_request(
    pool: ClassifierPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    path = photo(tmp_path, "<cat>")
    with monkeypatch.context() as without:
        without.setattr(supervised_child, "ChildProcess", refuse)
        for future in pool.classify(tmp_path / "a", [path, path]):
            with pytest.raises(ModelError, match="no more processes"):
                future.result(TIMEOUT)
    assert pool.classify(tmp_path / "a", [path])[0].result(TIMEOUT).scores
    assert "the classifier failed" in caplog.text
