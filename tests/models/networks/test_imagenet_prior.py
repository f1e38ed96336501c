from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.bundle.weights import pack, unpack
from models.networks import architectures, imagenet_prior
from models.networks.architectures import Network
from models.networks.recipes import Recipe
from models.networks.tf_runtime import keras
from models.training.fine_tuning import optimiser, traced_step
from models.training.train import rescale_prior

CLASSES = ("cat", "dog", "neither")
TABBY, PUG, DESK = 1, 2, 3  # ImageNet classes, in these tests


@pytest.fixture
def prior():
    """A prior on features of four values, each of which is one ImageNet class."""
    made = imagenet_prior.build(4, 3)
    kernel = np.zeros((4, imagenet_prior.CLASSES), np.float32)
    kernel[range(4), range(4)] = 20
    imagenet_prior.imagenet_head(made).kernel.assign(kernel)
    return made


def shows(*things: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[list(things)]


def test_a_prior_that_is_not_fitted_gives_every_label_the_same_share(prior):
    assert np.ptp(prior(shows(TABBY, DESK)).numpy()) == 0


def test_classes_seen_in_training_count_for_their_label_and_all_others_for_neither(prior):
    features, labels = shows(TABBY, TABBY, PUG, PUG), np.array([0, 0, 1, 1])
    imagenet_prior.fit(prior, features, labels, CLASSES)
    shares = prior(shows(TABBY, PUG, DESK)).numpy()
    assert shares.argmax(axis=1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(np.exp(shares).sum(axis=1), 1, atol=1e-4)


def test_photos_of_neither_are_left_out_of_the_fit(prior):
    features, labels = shows(TABBY, PUG, TABBY), np.array([0, 1, 2])
    imagenet_prior.fit(prior, features, labels, CLASSES)
    assert prior(shows(TABBY)).numpy().argmax() == 0


def test_without_neither_an_unknown_class_counts_for_no_label(prior):
    imagenet_prior.fit(prior, shows(TABBY, PUG), np.array([0, 1]), ("cat", "dog", "fox"))
    unknown, known = prior(shows(DESK)).numpy()[0], prior(shows(TABBY)).numpy()[0]
    assert unknown.max() < -2 < known[0]


@pytest.fixture
def network() -> Network:
    """Stands for MobileNetV2, with its name."""
    keras.utils.set_random_seed(1)
    images = keras.Input((None, None, 3), dtype="uint8")
    stem = keras.layers.Conv2D(4, 3, strides=4, name="first")(keras.layers.Rescaling(1 / 127.5)(images))
    tail = keras.layers.Conv2D(8, 3, activation="relu", name="second")(stem)
    features = keras.Model(images, keras.layers.GlobalAveragePooling2D()(tail))
    head, prior = keras.layers.Dense(3, name="head"), imagenet_prior.build(8, 3)
    made = Network(features, head, None, prior)
    made = replace(made, model=keras.Model(images, made.logits(features.output), name="mobilenet_v2"))
    made.imagenet_head.kernel.assign(np.random.default_rng(1).normal(size=made.imagenet_head.kernel.shape))
    seen = features(photos(6), training=False).numpy()
    imagenet_prior.fit(prior, seen, np.arange(6) % 3, CLASSES)
    return made


def photos(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def test_logits_are_the_sum_of_head_and_prior(network: Network):
    features = network.features(photos(2), training=False)
    expected = network.head(features).numpy() + network.imagenet_prior(features).numpy()
    np.testing.assert_allclose(network.model(photos(2), training=False).numpy(), expected, atol=1e-4)


def test_restored_networks_have_a_prior_if_the_weights_have_one():
    whole = architectures.build("small_cnn", 3, with_prior=True)
    imagenet_prior.fit(whole.imagenet_prior, np.ones((6, 160), np.float32), np.arange(6) % 3, CLASSES)
    again = architectures.restored("small_cnn", 3, unpack(pack(whole.arrays)))
    assert again.imagenet_prior is not None
    expected = whole.model(photos(2), training=False).numpy()
    np.testing.assert_allclose(again.model(photos(2), training=False).numpy(), expected, atol=0.05)
    plain = {name: a for name, a in whole.arrays.items() if not name.startswith(("imagenet/", "shares/"))}
    assert architectures.restored("small_cnn", 3, plain).imagenet_prior is None


def test_fine_tuning_does_not_change_the_prior(network: Network):
    before, seen = network.arrays, photos(8)
    recipe = Recipe(0.03, dropout=0.0)
    optimizer = optimiser(recipe, 60, network.model.trainable_variables)
    step = traced_step(network, optimizer, [], [], recipe, live=False)
    for _ in range(30):
        step(seen, np.eye(3, dtype=np.float32)[np.arange(8) % 3])
    same = {name for name, array in network.arrays.items() if np.array_equal(before[name], array)}
    assert {"imagenet/kernel", "shares/kernel"} <= same
    assert same.isdisjoint({"first/kernel", "second/kernel", "head/kernel"})


def test_a_rescaled_prior_is_as_confident_as_before_where_tuning_made_features_smaller(network: Network):
    start, seen = network.arrays, photos(8)
    then = network.imagenet_head(network.features(seen, training=False)).numpy()
    network.restore(
        start | {"second/kernel": start["second/kernel"] / 4, "second/bias": start["second/bias"]}
    )
    assert (
        np.abs(network.imagenet_head(network.features(seen, training=False)) - then).sum(axis=1).mean() > 0.2
    )
    rescale_prior(network, start, lambda: [seen[:4], seen[4:]])
    now = network.imagenet_head(network.features(seen, training=False)).numpy()
    np.testing.assert_allclose(now, then, atol=1e-4)
    assert np.array_equal(network.arrays["second/kernel"], start["second/kernel"] / 4)
