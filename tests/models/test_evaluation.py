from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.dataset import DatasetError, Photos
from models.evaluation import evaluate, measure
from tests.models.conftest import make_photos

# cat, dog, neither; thresholds of the plain bundle: 0.5 for 0.9, 0.8 for 0.99
PROBABILITIES = np.array([
    [0.90, 0.05, 0.05],  # cat, right, filed
    [0.60, 0.30, 0.10],  # cat, right, below 0.8
    [0.05, 0.85, 0.10],  # cat, wrong, filed
    [0.10, 0.85, 0.05],  # dog, right, filed
    [0.20, 0.10, 0.70],  # dog, called neither
    [0.10, 0.10, 0.80],  # neither, right
    [0.82, 0.10, 0.08],  # neither, filed
], dtype=np.float32)  # fmt: skip
LABELS = np.array([0, 0, 0, 1, 1, 2, 2], dtype=np.int16)


def photos_of(labels: np.ndarray, sources: list[str]) -> Photos:
    paths = [b"%d.jpg" % i for i in range(len(labels))]
    return Photos(("cat", "dog", "neither"), paths, labels, np.zeros(len(labels), np.int8), sources)


def test_figures_by_hand(plain_bundle: Bundle):
    result = measure(plain_bundle, photos_of(LABELS, [""] * 5 + ["sea", "sky"]), PROBABILITIES, 0.99)
    assert (result.accuracy.value, result.accuracy.count) == (pytest.approx(4 / 7), 7)
    assert result.accuracy_with_folder.value == pytest.approx(3 / 5)  # cat or dog, whatever neither says
    assert result.classes["cat"].precision.value == pytest.approx(2 / 3)
    assert result.classes["cat"].recall.value == pytest.approx(2 / 3)
    assert result.classes["cat"].f1 == pytest.approx(2 / 3)
    true = [0.90, 0.60, 0.05, 0.85, 0.10, 0.80, 0.08]
    assert result.log_loss == pytest.approx(-sum(map(math.log, true)) / 7, rel=1e-6)
    assert result.confusion == {
        "cat": {"cat": 2, "dog": 1, "neither": 0},
        "dog": {"cat": 0, "dog": 1, "neither": 1},
        "neither": {"cat": 1, "dog": 0, "neither": 1},
    }
    at = result.at_threshold
    assert at.threshold == 0.8
    assert (at.precision.value, at.precision.count) == (pytest.approx(2 / 3), 3)
    assert at.coverage.value == pytest.approx(3 / 5)
    assert (at.neither_filed.value, at.neither_filed.count) == (0.5, 2)
    # neither's scores: outside 0.80, 0.08; inside 0.05 0.10 0.10 0.05 0.70 -> 5 + 2 pairs of 10
    assert result.neither_auroc == pytest.approx(7 / 10)
    assert (
        result.recall_by_source["neither/sea"].value == 1.0
        and result.recall_by_source["neither/sky"].value == 0.0
    )


def test_intervals_hold_the_figure_and_shrink_with_more_photos(plain_bundle: Bundle):
    few = measure(plain_bundle, photos_of(LABELS, [""] * 7), PROBABILITIES, 0.9).accuracy
    many_photos = photos_of(np.tile(LABELS, 50), [""] * 350)
    many = measure(plain_bundle, many_photos, np.tile(PROBABILITIES, (50, 1)), 0.9).accuracy
    assert few.value is not None and few.low < few.value < few.high
    assert many.high - many.low < few.high - few.low


def test_photos_of_neither_alone_have_no_accuracy_of_animals(plain_bundle: Bundle):
    result = measure(plain_bundle, photos_of(LABELS[5:], ["", ""]), PROBABILITIES[5:], 0.9)
    assert result.accuracy_with_folder.value is None and result.neither_auroc is None
    assert result.log_loss_with_folder is None
    assert "accuracy_with_folder" not in result.figures()


def test_test_split_gives_the_figures_in_the_bundle_again(trained: Bundle, photos: Path, tmp_path: Path):
    folders = [photos / "pets", photos / "neither"]
    result = evaluate(trained, folders, tmp_path / "out", split="test")
    again = result.figures()
    assert again.keys() == trained.figures.keys()
    for name, figure in trained.figures.items():
        assert again[name].value == pytest.approx(figure.value, abs=1e-4), name
        assert again[name].count == figure.count
    stored = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert stored["accuracy"]["value"] == result.accuracy.value and stored["sha256"] == trained.sha256
    with open(tmp_path / "out/photos.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result.photos
    true = [float(row[row["label"]]) for row in rows]
    assert true == sorted(true)  # the worst mistakes first


def test_sorted_folders_can_be_measured_by_their_names(trained: Bundle, photos: Path, tmp_path: Path):
    shutil.copytree(photos / "pets/cat", tmp_path / "cats")
    shutil.copytree(photos / "pets/dog", tmp_path / "dog")
    assert evaluate(trained, [tmp_path]).accuracy_with_folder.count == 80


def test_class_that_the_bundle_does_not_know_is_refused(trained: Bundle, tmp_path: Path):
    make_photos(tmp_path, "bird", 2)
    with pytest.raises(DatasetError, match=r"'bird'.*cat, dog, neither"):
        evaluate(trained, [tmp_path])
