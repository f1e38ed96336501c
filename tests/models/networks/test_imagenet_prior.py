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
from models.training.train import sharpen_opinion

CLASSES = ("cat", "dog", "neither")
TABBY, PUG, DESK = 1, 2, 3  # of the thousand, in these tests


@pytest.fixture
def asked():
    """An opinion on features of four values, each of which stands for one of the thousand."""
    made = imagenet_prior.build(4, 3)
    kernel = np.zeros((4, imagenet_prior.CLASSES), np.float32)
    kernel[range(4), range(4)] = 20
    imagenet_prior.thousand(made).kernel.assign(kernel)
    return made


def shows(*things: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[list(things)]


def test_before_it_is_weighed_an_opinion_says_nothing(asked):
    assert np.ptp(asked(shows(TABBY, DESK)).numpy()) == 0


def test_what_our_photos_show_speaks_for_their_label_and_all_else_for_neither(asked):
    features, labels = shows(TABBY, TABBY, PUG, PUG), np.array([0, 0, 1, 1])
    imagenet_prior.weigh(asked, features, labels, CLASSES)
    said = asked(shows(TABBY, PUG, DESK)).numpy()
    assert said.argmax(axis=1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(np.exp(said).sum(axis=1), 1, atol=1e-4)  # shares of everything there is


def test_photos_of_neither_are_not_asked(asked):
    features, labels = shows(TABBY, PUG, TABBY), np.array([0, 1, 2])
    imagenet_prior.weigh(asked, features, labels, CLASSES)
    assert asked(shows(TABBY)).numpy().argmax() == 0


def test_without_neither_a_strange_thing_speaks_for_no_label(asked):
    imagenet_prior.weigh(asked, shows(TABBY, PUG), np.array([0, 1]), ("cat", "dog", "fox"))
    strange, known = asked(shows(DESK)).numpy()[0], asked(shows(TABBY)).numpy()[0]
    assert strange.max() < -2 < known[0]


@pytest.fixture
def network() -> Network:
    """Stands for MobileNetV2, with its name."""
    keras.utils.set_random_seed(1)
    images = keras.Input((None, None, 3), dtype="uint8")
    stem = keras.layers.Conv2D(4, 3, strides=4, name="first")(keras.layers.Rescaling(1 / 127.5)(images))
    tail = keras.layers.Conv2D(8, 3, activation="relu", name="second")(stem)
    features = keras.Model(images, keras.layers.GlobalAveragePooling2D()(tail))
    head, second = keras.layers.Dense(3, name="head"), imagenet_prior.build(8, 3)
    made = Network(features, head, None, second)
    made = replace(made, model=keras.Model(images, made.logits(features.output), name="mobilenet_v2"))
    made.thousand.kernel.assign(np.random.default_rng(1).normal(size=made.thousand.kernel.shape))
    seen = features(photos(6), training=False).numpy()
    imagenet_prior.weigh(second, seen, np.arange(6) % 3, CLASSES)
    return made


def photos(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def test_a_networks_answer_is_its_heads_and_the_opinion_together(network: Network):
    features = network.features(photos(2), training=False)
    expected = network.head(features).numpy() + network.opinion(features).numpy()
    np.testing.assert_allclose(network.model(photos(2), training=False).numpy(), expected, atol=1e-4)


def test_weights_with_an_opinion_come_back_with_it_and_weights_without_one_without():
    whole = architectures.build("small_cnn", 3, with_opinion=True)
    imagenet_prior.weigh(whole.opinion, np.ones((6, 160), np.float32), np.arange(6) % 3, CLASSES)
    again = architectures.restored("small_cnn", 3, unpack(pack(whole.arrays)))
    assert again.opinion is not None
    expected = whole.model(photos(2), training=False).numpy()
    np.testing.assert_allclose(again.model(photos(2), training=False).numpy(), expected, atol=0.05)
    plain = {name: a for name, a in whole.arrays.items() if not name.startswith(("imagenet/", "shares/"))}
    assert architectures.restored("small_cnn", 3, plain).opinion is None


def test_fine_tuning_leaves_the_thousand_alone(network: Network):
    before, seen = network.arrays, photos(8)
    recipe = Recipe(0.03, dropout=0.0)
    optimizer = optimiser(recipe, 60, network.model.trainable_variables)
    step = traced_step(network, optimizer, [], [], recipe, live=False)
    for _ in range(30):
        step(seen, np.eye(3, dtype=np.float32)[np.arange(8) % 3])
    same = {name for name, array in network.arrays.items() if np.array_equal(before[name], array)}
    assert {"imagenet/kernel", "shares/kernel"} <= same
    assert same.isdisjoint({"first/kernel", "second/kernel", "head/kernel"})


def test_an_opinion_is_as_sharp_as_before_where_tuning_made_features_smaller(network: Network):
    start, seen = network.arrays, photos(8)
    then = network.thousand(network.features(seen, training=False)).numpy()
    network.restore(
        start | {"second/kernel": start["second/kernel"] / 4, "second/bias": start["second/bias"]}
    )
    assert np.abs(network.thousand(network.features(seen, training=False)) - then).sum(axis=1).mean() > 0.2
    sharpen_opinion(network, start, lambda: [seen[:4], seen[4:]])
    now = network.thousand(network.features(seen, training=False)).numpy()
    np.testing.assert_allclose(now, then, atol=1e-4)
    assert np.array_equal(network.arrays["second/kernel"], start["second/kernel"] / 4)
