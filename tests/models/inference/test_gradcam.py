from __future__ import annotations

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.errors import ArchitectureError, BundleError
from models.inference import gradcam
from models.inference.gradcam import colours, explainer, open_explainer, overlay
from models.networks import architectures
from models.networks.tf_runtime import keras


@pytest.fixture(
    scope="module", params=sorted(n for n, a in architectures.ARCHITECTURES.items() if not a.fitted)
)
def network(request: pytest.FixtureRequest) -> architectures.Network:
    keras.utils.set_random_seed(1)
    network = architectures.build(request.param, 3)
    kernel = np.random.default_rng(1).normal(size=network.head.kernel.shape)
    network.head.kernel.assign(kernel.astype(np.float32))
    return network


def noise(count: int, size: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def test_each_architecture_has_a_map_for_each_label(network: architectures.Network):
    found = explainer(network, ("a", "b", "c"), 64)
    maps = found.maps(np.repeat(noise(1), 3, axis=0), [0, 1, 2])
    assert maps.ndim == 3 and maps.shape[0] == 3 and maps.shape[1] >= 2 and maps.dtype == np.float32
    assert maps.min() >= 0 and maps.max() <= 1 and len(np.unique(maps.reshape(3, -1), axis=0)) == 3


def test_both_halves_together_are_the_network(network: architectures.Network):
    found = explainer(network, ("a", "b", "c"), 64)
    whole = network.head(network.features(noise(2), training=False)).numpy()
    assert found.scores(found.places(noise(2), training=False)).numpy() == pytest.approx(whole, abs=1e-4)


def small_bright(head: np.ndarray) -> architectures.Network:
    """A network of one convolution that looks for red and for blue, then averages."""
    images = keras.Input((None, None, 3), dtype="uint8")
    values = keras.layers.Rescaling(1 / 255)(images)
    seen = keras.layers.Conv2D(2, 1, name="colour")(values)
    features = keras.Model(images, keras.layers.GlobalAveragePooling2D()(seen))
    layer = keras.layers.Dense(2)
    network = architectures.Network(features, layer, keras.Model(images, layer(features.output)))
    features.get_layer("colour").set_weights(
        [np.array([[[[1, 0], [0, 0], [0, 1]]]], np.float32), np.zeros(2)]
    )
    layer.set_weights([head, np.zeros(2)])
    return network


def red_left_blue_right() -> np.ndarray:
    photo = np.zeros((1, 8, 8, 3), np.uint8)
    photo[:, :, :4, 0] = 255
    photo[:, :, 4:, 2] = 255
    return photo


def test_map_is_1_where_the_label_is_and_0_elsewhere():
    found = explainer(small_bright(np.eye(2, dtype=np.float32)), ("red", "blue"), 8)
    red, blue = found.maps(np.repeat(red_left_blue_right(), 2, axis=0), [0, 1])
    assert (red[:, :4] == 1).all() and (red[:, 4:] == 0).all()
    assert (blue[:, :4] == 0).all() and (blue[:, 4:] == 1).all()


def test_photo_without_support_for_the_label_has_an_empty_map_and_no_nan():
    found = explainer(small_bright(-np.eye(2, dtype=np.float32)), ("red", "blue"), 8)
    assert not found.maps(red_left_blue_right(), [0]).any()


def test_photos_in_several_batches_keep_their_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gradcam, "_BATCH", 2)
    found = explainer(small_bright(np.eye(2, dtype=np.float32)), ("red", "blue"), 8)
    maps = found.maps(np.repeat(red_left_blue_right(), 5, axis=0), [0, 0, 0, 1, 0])
    assert maps[:, 0, 0].tolist() == [1, 1, 1, 0, 1]
    assert found.maps(red_left_blue_right()[:0], []).shape[0] == 0


def test_trained_bundle_can_be_explained(trained: Bundle):
    found = open_explainer(trained)
    maps = found.maps(noise(1, trained.input_size), [trained.labels.index("cat")])
    assert maps.shape == (1, trained.input_size // 16, trained.input_size // 16)


def test_bundle_whose_weights_do_not_fit_is_refused(plain_bundle: Bundle):
    with pytest.raises(BundleError, match=r"tiny.*weights"):
        open_explainer(plain_bundle)


def test_network_without_places_is_refused():
    images = keras.Input((3,))
    features = keras.Model(images, keras.layers.Dense(2)(images))
    head = keras.layers.Dense(2)
    flat = architectures.Network(features, head, keras.Model(images, head(features.output)))
    with pytest.raises(ArchitectureError, match="places"):
        explainer(flat, ("a", "b"), 8)


def test_overlay_covers_regions_of_high_values_alone():
    photo = np.full((30, 50, 3), 90, np.uint8)
    found = overlay(photo, np.array([[0.0, 1.0]], np.float32))
    assert found.shape == photo.shape and found.dtype == np.uint8
    assert (found[:, :10] == 90).all()
    assert (np.abs(found[:, 49].astype(int) - (0.3 * 90 + 0.7 * np.array([252, 255, 164]))) <= 1).all()


def test_colours_are_those_of_inferno():
    matplotlib = pytest.importorskip("matplotlib")
    values = np.linspace(0, 1, 101)
    theirs = matplotlib.colormaps["inferno"](values)[:, :3] * 255
    assert np.abs(colours(values) - theirs).max() < 8
