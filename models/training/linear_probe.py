"""Fit only the last layer, to features of the frozen layers below (linear probing).

Fine-tuning that starts from here distorts those features less (Kumar et al. 2022). Half of the features are
of augmented photos, so that small and dark animals count from the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.batches import augmented, batches
from models.data.dataset import Photos
from models.inference.outputs import of_float32
from models.networks import imagenet_prior
from models.networks.architectures import Network
from models.networks.tf_runtime import keras, tf
from models.progress import ProgressCallback, StageProgress
from models.types import Float32, Pixels

_PHOTOS = 80_000  # at most, since their features stay in memory: 205 MB at 1,280 values in float16
_STEPS, _BATCH = 1500, 512
_BATCH_OF_PHOTOS = 32


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Features to fit a last layer to; row i of each field belongs to one photo, as it is or augmented."""

    features: npt.NDArray[np.float16]  # (n, f)
    labels: npt.NDArray[np.int16]  # (n,)
    sources: Sequence[str]  # of the photos of `neither`; "" for the others and where there is none
    plain: int  # the first rows, of photos as they are
    dropout: float = 0.0  # share of the features that each step drops


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A fitted last layer."""

    kernel: Float32  # (f, k)
    bias: Float32  # (k,)

    def logits(self, features: npt.NDArray[np.floating]) -> Float32:
        """Return logits (..., k) for features (..., f)."""
        result: Float32 = (features.astype(np.float32) @ self.kernel + self.bias).astype(np.float32)
        return result


def collect_features(
    network: Network, photos: Photos, size: int, dropout: float, seed: int, progress: ProgressCallback
) -> FeatureSet:
    """Compute the features of training photos, each once as it is and once augmented."""
    sample = _sample(photos, seed)
    features_fn = of_float32(network, size).features
    count = StageProgress("head", progress)
    features: list[npt.NDArray[np.float16]] = []
    done = 0
    for images in batches(sample.paths, size):
        features.append(features_fn(images).astype(np.float16))
        done += len(images)
        count(done, 2 * len(sample))
    labels = [sample.labels]
    for images, shown in augmented(sample, size, _width(sample), seed=seed, epoch=0):
        features.append(features_fn(images).astype(np.float16))
        labels.append(shown)
        done += len(images)
        count(done, 2 * len(sample))
    return feature_set(sample, np.concatenate(features), np.concatenate(labels), dropout, seed)


def feature_set(
    sample: Photos,
    features: npt.NDArray[np.float16],
    labels: npt.NDArray[np.int16],
    dropout: float,
    seed: int,
) -> FeatureSet:
    """Give each row its photo's source: all photos in order, then those of `augmented`, in whole batches."""
    drawn = np.random.default_rng([seed, 0]).permutation(len(sample))
    rows = np.concatenate([np.arange(len(sample)), drawn])[: len(features)]
    return FeatureSet(features, labels, [sample.sources[i] for i in rows], len(sample), dropout)


def _sample(photos: Photos, seed: int) -> Photos:
    chosen = np.random.default_rng(seed).permutation(len(photos))[: _PHOTOS // 2]
    return photos.where(np.isin(np.arange(len(photos)), chosen))


def _width(sample: Photos) -> int:
    return min(_BATCH_OF_PHOTOS, len(sample))


def make_features_fn(network: Network) -> Callable[[Pixels], Float32]:
    """Trace the features, float32 (n, f), of uint8 photos (n, h, w, 3)."""
    function = tf.function(
        lambda images: network.features(images, training=False), autograph=False, reduce_retracing=True
    )
    return lambda images: function(images).numpy()


def mean_feature(network: Network, photos: Iterable[Pixels]) -> float:
    """Return the mean of all features over batches of uint8 photos."""
    features_fn = make_features_fn(network)
    return float(np.concatenate([features_fn(images) for images in photos]).mean())


def fit(
    features: FeatureSet, outputs: int, seed: int, rows: npt.NDArray[np.bool_] | None = None
) -> LinearHead:
    """Fit a last layer with `outputs` outputs to the chosen rows, all by default."""
    used = np.arange(len(features.labels)) if rows is None else np.flatnonzero(rows)
    head = keras.layers.Dense(outputs, kernel_initializer="zeros")
    head.build((None, features.features.shape[1]))
    optimizer = keras.optimizers.AdamW(0.003, weight_decay=0.05)
    optimizer.build(head.trainable_variables)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step(inputs: Any, truth: Any, chance: Any) -> None:
        with tf.GradientTape() as tape:
            given = head(tf.nn.experimental.stateless_dropout(inputs, features.dropout, chance))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(truth, given))
        optimizer.apply_gradients(zip(tape.gradient(loss, head.variables), head.variables, strict=True))

    rng = np.random.default_rng(seed)
    for number in range(_STEPS):
        drawn = used[rng.integers(0, len(used), _BATCH)]
        inputs = tf.constant(features.features[drawn], tf.float32)
        step(inputs, tf.constant(features.labels[drawn], tf.int32), tf.constant([seed, number], tf.int32))
    return LinearHead(head.kernel.numpy(), head.bias.numpy())


def fit_head(
    network: Network, photos: Photos, size: int, dropout: float, seed: int, progress: ProgressCallback
) -> FeatureSet:
    """Fit the network's last layer and its ImageNet prior; return the features that they were fitted to."""
    features = collect_features(network, photos, size, dropout, seed, progress)
    if network.imagenet_prior is not None:
        plain = slice(features.plain)
        imagenet_prior.fit(
            network.imagenet_prior, features.features[plain], features.labels[plain], photos.classes
        )
    set_head(network, fit(features, network.head.units, seed))
    return features


def set_head(network: Network, head: LinearHead) -> None:
    """Set the network's last layer."""
    network.head.kernel.assign(head.kernel)
    network.head.bias.assign(head.bias)
