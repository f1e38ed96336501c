from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.data.batches import batches
from models.data.dataset import scan
from models.errors import ArchitectureError, BundleError
from models.inference.engines import open_engine
from models.inference.gradcam import open_explainer
from models.networks import architectures
from models.training import sklearn_baselines
from tests.models.conftest import options

FITTED = ("svm", "random_forest")
HAS_SKLEARN = importlib.util.find_spec("sklearn") is not None
needs_sklearn = pytest.mark.skipif(not HAS_SKLEARN, reason="scikit-learn is not installed")


def fitted(name: str, photos: Path, out: Path) -> Bundle:
    from models.training.train import train

    return train(options(photos, out, architecture=name, input_size=None, epochs=None, batch=None))


@needs_sklearn
@pytest.mark.parametrize("name", FITTED)
def test_a_baseline_is_an_ordinary_bundle(name: str, photos: Path, tmp_path: Path):
    bundle = fitted(name, photos, tmp_path)
    assert bundle.architecture == name and bundle.labels == ("cat", "dog", "neither")
    assert bundle.figures["accuracy_with_folder"].value > 0.9
    found = scan([photos / "pets", photos / "neither"], 1).split("test")
    images = np.concatenate(list(batches(found.paths, bundle.input_size)))
    answers = open_engine(bundle, "auto").predict(images)
    assert (answers.argmax(axis=1) == found.labels).mean() > 0.8
    assert sorted(path.suffix for path in bundle.path.iterdir() if "weights" in path.name) == [".npz"]
    if name == "random_forest":
        with pytest.raises(BundleError, match="no gradient"):  # so `evaluate --out` draws no heatmaps
            open_explainer(bundle)
    else:
        assert len(open_explainer(bundle).maps(images[:2], [0, 1])) == 2


@needs_sklearn
def test_forest_as_arrays_answers_as_the_forest_of_scikit_learn():
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(1)
    features = rng.normal(size=(300, 2052)).astype(np.float32)
    labels = (features[:, :3].argmax(axis=1) + (features[:, 3] > 1)).astype(np.int16)
    network = architectures.build("random_forest", 4)
    sklearn_baselines._fit_forest(network, features, labels, seed=3)
    theirs = RandomForestClassifier(100, max_depth=10, min_samples_leaf=2, random_state=3).fit(
        features, labels
    )
    fresh = rng.normal(size=(50, 2052)).astype(np.float32)
    ours = np.exp(network.features.get_layer("forest")(fresh).numpy()) - 1e-3
    np.testing.assert_allclose(ours, theirs.predict_proba(fresh), atol=1e-5)


@needs_sklearn
def test_svm_of_two_classes_gives_each_half_of_its_height():
    network = architectures.build("svm", 2)
    sklearn_baselines._assign_planes(network, np.full((1, 1024), 2.0), np.array([1.0]), np.array([0, 1]))
    logits = network.head(np.full((1, 1024), 0.5)).numpy()[0]
    assert logits[1] - logits[0] == pytest.approx(1024 + 1) and logits[1] == -logits[0]


def test_hand_made_features_see_directions_and_colours():
    layer = architectures.build("svm", 2).features.get_layer("hand_made")
    upright, lying = np.zeros((2, 64, 64, 3), np.float32)
    upright[:, ::8], lying[::8] = 1, 1
    seen = layer(np.stack([upright, lying, lying * 0.5])).numpy()
    gradients = seen[:, : 49 * 36].reshape(3, 49, 4, 9).mean(axis=(1, 2))
    assert gradients[0].argmax() != gradients[1].argmax()
    np.testing.assert_allclose(gradients[1], gradients[2], atol=0.05)  # contrast does not matter
    assert seen.shape == (3, layer.compute_output_shape((3, 64, 64, 3))[1])


def test_without_scikit_learn_the_error_names_the_extra(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ArchitectureError, match=r"pawsort\[train\]"):
        fitted("svm", photos, tmp_path)


@pytest.mark.parametrize(
    ("change", "says"), [({"init": "imagenet"}, "expected init none"), ({"input_size": 96}, "64 pixels")]
)
def test_baselines_refuse_options_that_do_not_apply(tmp_path: Path, change: dict[str, object], says: str):
    from models.training.train import train

    with pytest.raises(ArchitectureError, match=says):
        train(options(tmp_path, tmp_path, **({"architecture": "svm", "input_size": None} | change)))
