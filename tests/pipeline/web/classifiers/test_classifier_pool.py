from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config import LimitSettings, Settings
from pipeline.errors import ModelError
from pipeline.web.classifiers import classifier_pool as kennels
from pipeline.web.classifiers import heatmap_classifier
from pipeline.web.classifiers.classifier_pool import ClassifierPool, FullError
from pipeline.web.classifiers.heatmap_classifier import ClosingError, Question
from tests.support.child_mains import trial_child

PATIENCE = 60


@pytest.fixture
def kennel(tmp_path: Path) -> Iterator[ClassifierPool]:
    limits = LimitSettings(decode_seconds=0.5, attempts=1)
    made = ClassifierPool(Settings(base=tmp_path, limits=limits, engine="tensorflow"), trial_child)
    yield made
    made.close()


def photo(folder: Path, content: str) -> bytes:
    path = folder / f"{content.strip('<>')}.jpg"
    path.write_text(content)
    return str(path).encode()


def test_photos_are_answered_in_order_and_poison_harms_only_itself(
    kennel: ClassifierPool, tmp_path: Path
) -> None:
    contents = ["<cat>", "<crash>", "<dog>", "<hang>", "<truncated>"]
    futures = kennel.classify(tmp_path / "a", [photo(tmp_path, content) for content in contents])
    found = [future.result(PATIENCE) for future in futures]
    assert [finding.reason for finding in found] == [None, "decoder_crashed", None, "timeout", "truncated"]
    assert found[2].scores and found[2].scores["dog"] > 0.9


def test_a_heat_map_is_drawn_by_the_same_child(kennel: ClassifierPool, tmp_path: Path) -> None:
    path = photo(tmp_path, "<cat>")
    kennel.wake(tmp_path / "a")
    seen = kennel.look(tmp_path / "a", Question(path, "dog", 100)).result(PATIENCE)
    assert seen.jpeg == b"heat of dog"
    crash = kennel.look(tmp_path / "a", Question(photo(tmp_path, "<crash>"), "dog", 100))
    assert crash.result(PATIENCE).problem == "the decoder crashed"
    assert kennel.classify(tmp_path / "a", [path])[0].result(PATIENCE).scores


def test_a_model_that_is_refused_says_so_to_everybody_who_asked(
    kennel: ClassifierPool, tmp_path: Path
) -> None:
    path = photo(tmp_path, "<cat>")
    for future in kennel.classify(tmp_path / "refused", [path, path]):
        with pytest.raises(ModelError, match="truncated"):
            future.result(PATIENCE)


def test_two_models_are_awake_at_most(kennel: ClassifierPool, tmp_path: Path) -> None:
    path = photo(tmp_path, "<cat>")
    for name in "abc":
        kennel.classify(tmp_path / name, [path])[0].result(PATIENCE)
    assert [kennel.is_awake(tmp_path / name) for name in "bc"] == [True, True]
    assert not kennel.is_awake(tmp_path / "a")
    assert len(kennel._keepers) == kennels.AWAKE


def test_a_model_sleeps_when_nobody_asks_and_wakes_again(
    kennel: ClassifierPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kennels, "IDLE_SECONDS", 0.0)
    path = photo(tmp_path, "<cat>")
    kennel.classify(tmp_path / "a", [path])[0].result(PATIENCE)
    kennel._keepers[tmp_path / "a"].thread.join(PATIENCE)
    assert not kennel.is_awake(tmp_path / "a")
    assert kennel.classify(tmp_path / "a", [path])[0].result(PATIENCE).scores


def test_too_many_questions_are_refused(kennel: ClassifierPool, tmp_path: Path) -> None:
    with pytest.raises(FullError):
        kennel.classify(tmp_path / "a", [b"/x"] * (kennels.WAITING + 1))


def test_closing_ends_what_waits(
    kennel: ClassifierPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heatmap_classifier, "_TICK", 0.05)
    futures = kennel.classify(tmp_path / "a", [photo(tmp_path, "<hang>")] * 2)
    kennel.close()
    for future in futures:
        with pytest.raises(ClosingError):
            future.result(PATIENCE)
