from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pytest

from models.bundle.bundle import Bundle, load
from models.errors import DatasetError
from models.learning import whole
from models.learning.learn import LearnOptions
from models.learning.photos import JudgedPhoto
from models.learning.whole import learn_whole


def judged(photos: Path) -> list[JudgedPhoto]:
    folders = {"cat": photos / "pets" / "cat", "dog": photos / "pets" / "dog", "neither": photos / "neither"}
    return [
        JudgedPhoto(bytes(path), label, hashlib.sha256(path.read_bytes()).hexdigest())
        for label, folder in folders.items()
        for path in sorted(folder.rglob("*.png"))
    ]


@pytest.mark.long
@pytest.mark.usefixtures("few_steps")
def test_the_whole_network_is_trained_from_the_one_in_force(
    trained: Bundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(whole, "LEAST", 30)
    short = partial(whole.TrainOptions, changes={"epochs": 2, "batch": 8, "zoom": 1.0, "learning_rate": 1e-3})
    monkeypatch.setattr(whole, "TrainOptions", short)
    out = tmp_path / ".learning-1"
    options = LearnOptions(trained.path, "tiny@1", out, judged(photos), engine="tensorflow")
    result = learn_whole(options)
    bundle = load(out)
    assert bundle.name == "tiny@1" and bundle.sha256 != trained.sha256
    assert bundle.manifest.made.command == "pawsort learn --whole" and not (out / ".work").exists()
    assert result.method == "whole network" and result.comparison.base is None
    assert not result.verdict.better and "a person" in result.verdict.reason
    own = result.comparison.own
    assert own.photos > 20 and (own.challenger.accuracy.value or 0) > 0.8
    assert (out / "learnt.json").exists() and (out / "judged.csv").exists()


def test_too_few_photos_of_a_label_are_an_error_before_any_training(
    trained: Bundle, photos: Path, tmp_path: Path
):
    options = LearnOptions(trained.path, "tiny@1", tmp_path / "out", judged(photos), engine="tensorflow")
    with pytest.raises(DatasetError, match="found of cat 40, dog 40, neither 56; learn without --whole"):
        learn_whole(options)
    assert not (tmp_path / "out").exists()
