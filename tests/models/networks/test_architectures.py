from __future__ import annotations

import numpy as np
import pytest

from models.bundle.weights import pack
from models.networks import architectures


def noise(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def network() -> architectures.Network:
    built = architectures.build("cifar_cnn", 3)
    built.head.kernel.assign(np.random.default_rng(1).normal(size=built.head.kernel.shape))
    return built


def test_mirrored_network_answers_alike_to_a_photo_and_its_mirror_image(network: architectures.Network):
    photos = noise(4, 32)
    logits = network.model(photos, training=False).numpy()
    np.testing.assert_allclose(network.model(photos[:, :, ::-1], training=False), logits, atol=1e-4)
    alone = network.head(network.features(photos, training=False)).numpy()
    mirrored = network.head(network.features(photos[:, :, ::-1], training=False)).numpy()
    np.testing.assert_allclose((alone + mirrored) / 2, logits, atol=1e-4)


def test_whitening_makes_patches_uncorrelated_and_is_never_trained(network: architectures.Network):
    smooth = np.repeat(np.repeat(noise(64, 16), 2, axis=1), 2, axis=2)  # neighbours are alike, as in photos
    architectures.whiten(network, [smooth[:32], smooth[32:]])
    layer = network.features.get_layer("whitening")
    assert not layer.trainable_variables
    answers = layer(smooth / 127.5 - 1.0).numpy()[..., :12].reshape(-1, 12)
    covariance = np.cov(answers, rowvar=False)
    np.testing.assert_allclose(np.diag(covariance), 1, atol=0.05)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.02


def test_networks_from_scratch_stay_small():
    for name, labels, most in (("cifar_cnn", 10, 5_000_000), ("small_cnn", 3, 2_000_000)):
        assert len(pack(architectures.build(name, labels).arrays)) < most
