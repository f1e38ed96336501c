from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.data.dataset import Photos
from models.inference.box_crops import CropInference
from models.inference.outputs import NetworkOutputs
from models.networks.tf_runtime import tf
from models.training import linear_probe, source_cross_validation
from models.training.linear_probe import FeatureSet, LinearHead, feature_set, fit

CLASSES = ("cat", "dog", "neither")
ONES = NetworkOutputs("float32", 4, lambda images: (np.ones((len(images), 3)), np.ones((len(images), 1))))  # type: ignore[arg-type]
NO_CROPS = CropInference(None, 4, 2, (0, 1))


def features_of(sources: list[str]) -> FeatureSet:
    """Return separable features of cats and dogs, and a column for each source of neither."""
    names = sorted(set(sources))
    rows = [(0, "", np.array([1.0, 0.0])), (1, "", np.array([0.0, 1.0]))] * 20
    rows += [(2, source, np.zeros(2)) for source in sources]
    features = np.zeros((len(rows), 2 + len(names)), np.float16)
    for place, (_, source, values) in enumerate(rows):
        features[place, :2] = values
        if source:
            features[place, 2 + names.index(source)] = 1
    return FeatureSet(features, np.array([r[0] for r in rows], np.int16), [r[1] for r in rows], len(rows))


@pytest.fixture
def third_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few features are fitted well enough by then."""
    monkeypatch.setattr(linear_probe, "_STEPS", 500)


@pytest.mark.usefixtures("third_of_the_steps")
def test_each_head_is_fitted_to_every_source_but_its_own():
    heads = source_cross_validation.heads_by_source(features_of(["sea", "street", "desk"] * 20), CLASSES, 1)
    assert heads.keys() == {"sea", "street", "desk"}
    for place, name in enumerate(sorted(heads)):
        photo = np.zeros((1, 5), np.float32)
        photo[0, 2 + place] = 1
        own = heads[name].logits(photo)[0]
        others = [heads[other].logits(photo)[0] for other in heads if other != name]
        assert all(head[2] - head[:2].max() > own[2] - own[:2].max() + 1 for head in others)


@pytest.mark.usefixtures("third_of_the_steps")
def test_dropout_keeps_single_weights_small():
    seen = features_of(["sea", "street", "desk"] * 20)
    plain, dropped, again = (fit(replace(seen, dropout=share), 3, 1) for share in (0.0, 0.5, 0.5))
    assert np.abs(dropped.kernel).max() < np.abs(plain.kernel).max() - 0.1
    np.testing.assert_array_equal(dropped.kernel, again.kernel)


@pytest.mark.parametrize(
    ("sources", "classes"),
    [(["sea", "street"], CLASSES), ([""], CLASSES), (["sea", "street", "desk"], ("cat", "dog", "fox"))],
)
def test_too_few_sources_or_no_neither_have_no_heads(sources: list[str], classes: tuple[str, ...]):
    assert source_cross_validation.heads_by_source(features_of(sources * 3), classes, 1) == {}


def test_photos_of_neither_are_predicted_by_the_head_without_their_source(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        source_cross_validation,
        "batches",
        lambda paths, size: iter([np.zeros((len(paths), 4, 4, 3), np.uint8)]),
    )
    heads = {
        name: LinearHead(np.zeros((1, 3), np.float32), np.array(bias, np.float32))
        for name, bias in {"sea": [9, 0, 0], "street": [0, 9, 0]}.items()
    }
    photos = Photos(
        CLASSES, [b"a", b"b", b"c", b"d"], np.array([0, 2, 2, 2], np.int16), np.zeros(4, np.int8),
        ["", "street", "sea", "new"],
    )  # fmt: skip
    network: Any = SimpleNamespace(imagenet_prior=None)
    predictions = source_cross_validation.unseen_source_predictions
    rows, seen = predictions(network, ONES, photos, heads, 1.0, NO_CROPS)
    assert rows.tolist() == [1, 2]
    assert seen.argmax(axis=1).tolist() == [1, 0]
    network.imagenet_prior = lambda features: tf.constant([[0.0, 0.0, 20.0]])
    _, seen = predictions(network, ONES, photos, heads, 1.0, NO_CROPS)
    assert seen.argmax(axis=1).tolist() == [2, 2]


def test_without_heads_no_photo_counts_as_unseen():
    photos = Photos(CLASSES, [b"a"], np.array([2], np.int16), np.zeros(1, np.int8), ["sea"])
    rows, seen = source_cross_validation.unseen_source_predictions(
        SimpleNamespace(), ONES, photos, {}, 1.0, NO_CROPS
    )  # type: ignore[arg-type]
    assert len(rows) == 0 and seen.shape == (0, 3)


def test_rows_of_features_are_the_photos_in_order_and_then_as_drawn(photos, tmp_path):
    from models.data.batches import augmented
    from models.data.dataset import scan

    sample = scan([photos / "pets", photos / "neither"], 1)
    drawn = np.concatenate([labels for _, labels in augmented(sample, 16, 4, seed=1, epoch=0)])
    labels = np.concatenate([sample.labels, drawn])
    found = feature_set(sample, np.zeros((len(labels), 3), np.float16), labels, 0.0, 1)
    assert found.plain == len(sample)
    neither = [bool(source) for source in found.sources]
    np.testing.assert_array_equal(neither, labels == sample.classes.index("neither"))
    assert list(found.sources[: len(sample)]) == list(sample.sources)
