from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.bundle.weights import pack
from models.bundle.write_bundle import compose, write
from models.calibration import softmax
from models.data.dataset import Photos
from models.errors import DatasetError, PackageMissing
from models.evaluation import compare as comparing
from models.evaluation.compare import compare
from models.evaluation.metrics import comparison
from models.evaluation.metrics.comparison import contrast, mcnemar, verdict
from models.evaluation.metrics.figures import measure
from models.evaluation.metrics.predictions import Predictions
from tests.models.conftest import make_photos, manifest
from tests.models.evaluation.report.test_html_page import Page


def bundle_of(folder: Path, **changes: Any) -> Bundle:
    packed = pack({"head/kernel": np.ones((4, 3))})
    return write(compose(folder, manifest(**changes), packed), packed)


@pytest.fixture
def blind(tmp_path: Path) -> Bundle:
    """Has another input size and order of labels, and predicts blue for green."""
    return bundle_of(tmp_path / "blind", name="blind", labels=["neither", "dog", "cat"], input_size=64)


def in_folders(root: Path) -> list[Path]:
    for name, count in (("cat", 12), ("dog", 12), ("neither", 10)):
        make_photos(root / "in", name, count, seed=1)
    return [root / "in"]


def test_labels_in_another_order_and_photos_of_another_size_are_compared_by_name(
    plain_bundle: Bundle, blind: Bundle, tmp_path: Path, by_colour: None
):
    found = compare(plain_bundle, blind, in_folders(tmp_path), target_precision=0.99)
    assert (found.both_right, found.only_a_right, found.only_b_right, found.both_wrong) == (24, 10, 0, 0)
    assert found.p_value == pytest.approx(2 / 2**10) and "tiny is better" in found.verdict
    recall = found.differences["recall/neither"]
    assert (recall.a.value, recall.b.value, recall.value, recall.sure) == (1, 0, 1, True)
    same = found.differences["accuracy_with_folder"]
    assert (same.value, same.low, same.high, same.sure) == (0, 0, 0, False)


def test_everything_is_written_and_the_page_is_whole(
    plain_bundle: Bundle, blind: Bundle, tmp_path: Path, by_colour: None, no_plots: None
):
    found = compare(plain_bundle, blind, in_folders(tmp_path), tmp_path / "out")
    out = tmp_path / "out"
    stored = json.loads((out / "comparison.json").read_text())
    assert (
        stored["only_a_right"] == 10 and stored["a"]["bundle"] == "tiny" and stored["b"]["bundle"] == "blind"
    )
    assert stored["differences"]["accuracy"]["value"] == pytest.approx(10 / 34)
    with open(out / "flips.csv", newline="") as file:
        flips = list(csv.DictReader(file))
    assert len(flips) == 10 and {(f["label"], f["right"], f["a"], f["b"]) for f in flips} == {
        ("neither", "a", "neither", "dog")
    }
    with open(out / "differences.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(found.differences)
    assert (out / "index.html").exists() and (out / "against/index.html").exists()
    text = (out / "comparison.html").read_text()
    page = Page(text)
    assert not page.all("script") and found.verdict in "".join(page.words)
    assert text.count("only tiny is right") == 10


def test_bundle_without_neither_is_right_on_what_it_leaves_unfiled(
    plain_bundle: Bundle, tmp_path: Path, by_colour: None
):
    two = bundle_of(
        tmp_path / "two",
        name="two",
        labels=["dog", "cat"],
        self_test=manifest()["self_test"] | {"probabilities": [[0.5, 0.5]]},
    )
    found = compare(plain_bundle, two, in_folders(tmp_path), target_precision=0.99)
    # green is neither red nor blue: it answers 50% for both, and files none
    assert (found.both_right, found.only_a_right, found.only_b_right) == (34, 0, 0)
    assert "recall/neither" not in found.differences and "no difference is seen here" in found.verdict


def test_bundles_without_a_common_label_are_refused_before_anything_is_read(
    plain_bundle: Bundle, tmp_path: Path
):
    other = bundle_of(tmp_path / "other", labels=["hare", "rabbit", "neither"], folders={"hare": "hares"})
    with pytest.raises(DatasetError, match=r"label in common.*tiny knows cat, dog.*other knows hare, rabbit"):
        compare(plain_bundle, other, [tmp_path / "nowhere"])


def test_photos_of_a_label_that_only_one_has_are_left_out_and_counted(
    plain_bundle: Bundle, tmp_path: Path, by_colour: None
):
    pets = bundle_of(
        tmp_path / "pets",
        name="pets",
        labels=["rabbit", "dog", "cat", "neither"],
        folders={"cat": "cats", "rabbit": "rabbits"},
        self_test=manifest()["self_test"] | {"probabilities": [[0.25, 0.25, 0.25, 0.25]]},
    )
    folders = in_folders(tmp_path)
    make_photos(tmp_path / "in", "rabbits", 9, seed=2)
    found = compare(pets, plain_bundle, folders, target_precision=0.99)
    assert found.photos == 34 and found.both_right == 34
    assert found.b.warnings == ["9 photos of rabbits were left out: only pets knows them."]
    assert "recall/rabbit" not in found.differences and found.differences["recall/cat"].a.value == 1


def test_missing_scipy_is_reported_before_any_photo_is_read(
    plain_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(PackageMissing, match=r"scipy.*pawsort\[train\]"):
        compare(plain_bundle, plain_bundle, [tmp_path / "nowhere"])


def test_training_with_another_seed_causes_a_warning(
    plain_bundle: Bundle, blind: Bundle, tmp_path: Path, by_colour: None
):
    made = manifest()["made"] | {"seed": 2, "data": {"cat": {"train": 12}}}
    leaky = bundle_of(tmp_path / "leaky", name="leaky", made=made)
    folders = in_folders(tmp_path)
    [warning] = compare(plain_bundle, leaky, folders).b.warnings
    assert "leaky was made from these photos of cat" in warning and "in its favour" in warning
    assert compare(plain_bundle, blind, folders).b.warnings == []


@pytest.mark.parametrize(("a", "b"), [(0, 0), (5, 0), (1, 9), (30, 30), (120, 90)])
def test_mcnemar_is_the_binomial_sum(a: int, b: int):
    tail = sum(math.comb(a + b, k) for k in range(min(a, b) + 1)) / 2 ** (a + b)
    assert mcnemar(a, b) == pytest.approx(min(1.0, 2 * tail)) == mcnemar(b, a)


def test_the_verdict_agrees_with_the_test():
    assert "do not show" in verdict(("x", "y"), 12, 8, mcnemar(12, 8))
    assert verdict(("x", "y"), 5, 40, mcnemar(5, 40)).endswith("y is better.")
    assert "less than 0.01%" in verdict(("x", "y"), 100, 5, mcnemar(100, 5))
    assert comparison.names("m", "m") == ("m (A)", "m (B)") and comparison.names("m", "n") == ("m", "n")


def answers_of(bundle: Bundle, noise: float, seed: int = 1) -> tuple[Predictions, Any]:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 400).astype(np.int16)
    shared = rng.normal(0, 1.5, (400, 3))
    own = np.random.default_rng(seed).normal(0, noise, (400, 3))
    values = softmax(2.5 * np.eye(3)[truth] + shared + own).astype(np.float32)
    photos = Photos(bundle.labels, [b""] * 400, truth, np.zeros(400, np.int8), [""] * 400)
    return Predictions.of(bundle, truth, values), measure(bundle, photos, values, 0.9)


def test_paired_intervals_are_narrower_than_those_of_each(plain_bundle: Bundle):
    (a, of_a), (b, of_b) = answers_of(plain_bundle, 0.1, 2), answers_of(plain_bundle, 0.1, 3)
    found = contrast(a, b, of_a, of_b).differences["log_loss"]
    alone = of_a.measured["log_loss"]
    assert found.high - found.low < (alone.high - alone.low) / 3
    assert found.low <= found.value <= found.high


def test_a_bundle_against_itself_differs_in_nothing(plain_bundle: Bundle):
    a, of_a = answers_of(plain_bundle, 0.1)
    found = contrast(a, a, of_a, of_a)
    assert found.flips == [] and found.p_value == 1
    assert all((d.low, d.value, d.high) == (0, 0, 0) for d in found.differences.values())


def test_lower_is_better_where_it_is():
    names = ("log_loss", "ece_with_folder", "aurc", "neither_fpr_at_95_tpr", "neither_filed_at_threshold")
    assert all(comparing._lower_is_better(name) for name in names)
    assert not any(
        comparing._lower_is_better(n) for n in ("accuracy", "auroc/cat", "neither_auroc", "recall/dog")
    )
