from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.bundle.bundle import Bundle
from models.calibration import softmax
from models.data.dataset import Photos
from models.errors import DatasetError
from models.evaluation.evaluate import evaluate
from models.evaluation.metrics.figures import measure
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


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


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


def test_test_split_gives_the_figures_in_the_bundle_again(
    trained: Bundle, photos: Path, tmp_path: Path, no_plots: None
):
    folders = [photos / "pets", photos / "neither"]
    result = evaluate(trained, folders, tmp_path / "out", split="test")
    again = result.figures()
    assert again.keys() == trained.figures.keys()
    for name, figure in trained.figures.items():
        assert again[name].value == pytest.approx(figure.value, abs=1e-4), name
        assert again[name].count == figure.count
    stored = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert stored["accuracy"]["value"] == result.accuracy.value and stored["sha256"] == trained.sha256
    rows = rows_of(tmp_path / "out/photos.csv")
    assert len(rows) == result.photos
    true = [float(row[row["label"]]) for row in rows]
    assert true == sorted(true)  # the worst mistakes first
    assert not stored["warnings"]


def test_sorted_folders_can_be_measured_by_their_names(
    plain_bundle: Bundle, photos: Path, tmp_path: Path, by_colour: None
):
    shutil.copytree(photos / "pets/cat", tmp_path / "in/cats")
    shutil.copytree(photos / "pets/dog", tmp_path / "in/dog")
    assert evaluate(plain_bundle, [tmp_path / "in"]).accuracy_with_folder.count == 80


def test_class_that_the_bundle_does_not_know_is_refused(trained: Bundle, tmp_path: Path):
    make_photos(tmp_path, "bird", 2)
    with pytest.raises(DatasetError, match=r"'bird'.*cat, dog, neither"):
        evaluate(trained, [tmp_path])


def test_every_figure_has_an_interval_that_holds_it(plain_bundle: Bundle):
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 300).astype(np.int16)
    values = softmax(3 * np.eye(3)[truth] + rng.normal(0, 1.2, (300, 3))).astype(np.float32)
    result = measure(plain_bundle, photos_of(truth, ["a"] * 300), values, 0.9)
    assert len(result.measured) > 30
    for name, share in result.measured.items():
        assert share.value is not None and share.low <= share.value <= share.high, name
        assert share.high - share.low < 0.5 and share.count <= 300, name
    stored = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert stored["schema_version"] == 1 and stored["figures"]["f1/cat"]["value"] == result.classes["cat"].f1


def test_figures_of_classes_are_those_of_scikit_learn(plain_bundle: Bundle):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(6)
    truth = rng.integers(0, 3, 200).astype(np.int16)
    values = softmax(2 * np.eye(3)[truth] + rng.normal(0, 1.5, (200, 3))).astype(np.float32)
    result = measure(plain_bundle, photos_of(truth, [""] * 200), values, 0.9)
    theirs = metrics.precision_recall_fscore_support(truth, values.argmax(axis=1))
    for index, found in enumerate(result.classes.values()):
        ours = (found.precision.value, found.recall.value, found.f1, found.recall.count)
        assert ours == pytest.approx([float(part[index]) for part in theirs])
    macro = metrics.precision_recall_fscore_support(truth, values.argmax(axis=1), average="macro")
    ours = [result.measured[f"macro_{kind}"].value for kind in ("precision", "recall", "f1")]
    assert ours == pytest.approx([float(part) for part in macro[:3]])
    assert result.log_loss == pytest.approx(
        metrics.log_loss(truth, values / values.sum(axis=1, keepdims=True)), rel=1e-5
    )


def test_probabilities_between_folders_leave_neither_out(plain_bundle: Bundle):
    result = measure(plain_bundle, photos_of(LABELS[:2], ["", ""]), PROBABILITIES[:2], 0.9)
    expected = -(math.log(0.90 / 0.95) + math.log(0.60 / 0.90)) / 2
    assert result.measured["log_loss_between_folders"].value == pytest.approx(expected, rel=1e-6)
    assert result.log_loss_with_folder == pytest.approx(-(math.log(0.90) + math.log(0.60)) / 2, rel=1e-6)


def test_groups_of_photos_are_counted_apart(plain_bundle: Bundle):
    places = {"size": ["small", "large", "small", "small", "", "small", "large"]}
    result = measure(plain_bundle, photos_of(LABELS, ["web"] * 7), PROBABILITIES, 0.99, places)
    small = result.measured["accuracy_by_size/small"]
    assert (small.value, small.count) == (3 / 4, 4) and "accuracy_by_size/" not in result.measured
    assert result.measured["accuracy_by_size/large"].value == 0.5
    assert result.measured["filed_by_source/cat/web"].value == pytest.approx(2 / 3)


def test_photo_of_no_label_is_answered_rightly_by_leaving_it(plain_bundle: Bundle):
    labels = np.array([-1, -1], dtype=np.int16)
    result = measure(plain_bundle, photos_of(labels, ["sea", "sky"]), PROBABILITIES[5:], 0.99)
    assert result.measured["accuracy_by_source/neither/sea"].value == 1
    assert result.measured["accuracy_by_source/neither/sky"].value == 0  # it is filed as a cat
    assert result.accuracy.value is None and result.at_threshold.neither_filed.value == 0.5


def test_coverage_falls_with_the_target_precision(plain_bundle: Bundle):
    result = measure(plain_bundle, photos_of(LABELS, [""] * 7), PROBABILITIES, 0.99)
    assert [at.target_precision for at in result.at_targets] == [0.9, 0.99, 0.999]
    assert [at.coverage.value for at in result.at_targets] == pytest.approx([4 / 5, 3 / 5, 0])


def test_photos_that_trained_the_bundle_cause_a_warning(
    trained: Bundle, photos: Path, tmp_path: Path, by_colour: None
):
    folders = [photos / "pets", photos / "neither"]
    [warning] = evaluate(trained, folders).warnings
    assert "trained on" in warning and "--split test" in warning and "cat, dog, neither" in warning
    [warning] = evaluate(trained, folders, split="calibration").warnings
    assert "chose its thresholds" in warning
    make_photos(tmp_path, "cat", 30, seed=9)
    assert evaluate(trained, [tmp_path]).warnings == []


def test_tables_have_a_row_for_each_thing_they_count(
    plain_bundle: Bundle, photos: Path, tmp_path: Path, by_colour: None, no_plots: None
):
    result = evaluate(plain_bundle, [photos / "pets", photos / "neither"], tmp_path)
    tables = {path.name: rows_of(path) for path in tmp_path.glob("*.csv")}
    figures = {f"{row['figure']}/{row['of']}".rstrip("/") for row in tables["figures.csv"]}
    assert figures == set(result.measured)
    assert {row["curve"] for row in tables["curves.csv"]} >= {"pr", "roc", "reliability", "risk_coverage"}
    assert result.measured["accuracy_by_size/1 to 128 px"].count == len(tables["photos.csv"])
    assert [row["true"] for row in tables["confusion.csv"]] == ["cat", "dog", "neither"]


def test_suspects_can_be_given_to_exclude(
    plain_bundle: Bundle, tmp_path: Path, by_colour: None, no_plots: None
):
    make_photos(tmp_path / "in", "cat", 20, seed=1)
    make_photos(tmp_path / "in", "dog", 20, seed=1)
    wrong = tmp_path / "in/dog/=1+1.png"
    Image.new("RGB", (24, 24), (255, 0, 0)).save(wrong)
    evaluate(plain_bundle, [tmp_path / "in"], tmp_path / "out")
    [row] = rows_of(tmp_path / "out/suspects.csv")
    assert (row["path"], row["label"], row["suggestion"]) == (str(wrong), "dog", "cat")
    cleaned = evaluate(plain_bundle, [tmp_path / "in"], exclude=tmp_path / "out/suspects.csv")
    assert cleaned.photos == 40 and cleaned.set_aside == 1
