"""The last layer alone: fit it to features that the rest of the network already has (a linear probe).

Starting the fine-tuning from here keeps it from distorting those features (Kumar et al. 2022). Half of what
it sees is augmented, so that small and dark animals count from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.batches import augmented, batches
from models.data.dataset import Photos
from models.networks import imagenet_prior
from models.networks.architectures import Network
from models.networks.tf_runtime import keras, tf
from models.progress import ProgressCallback, StageProgress

_PHOTOS = 20_000  # at most, since their features stay in memory: 50 MB at 1,280 values in float16
_STEPS, _BATCH = 1500, 512
_BATCH_OF_PHOTOS = 32

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Probe:
    """What a last layer is fitted to: row i of each belongs to one photo, as it is or augmented."""

    features: npt.NDArray[np.float16]  # (n, f)
    labels: npt.NDArray[np.int16]  # (n,)
    sources: Sequence[str]  # of the photos of `neither`; "" for the others and where there is none
    plain: int  # rows, from the first, of photos as they are
    dropout: float = 0.0  # share of the features that a step of the fitting does without


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A fitted last layer."""

    kernel: Floats  # (f, k)
    bias: Floats  # (k,)

    def logits(self, features: npt.NDArray[np.floating]) -> Floats:
        """Return logits (..., k) for features (..., f)."""
        result: Floats = (features.astype(np.float32) @ self.kernel + self.bias).astype(np.float32)
        return result


def gather(
    network: Network, photos: Photos, size: int, dropout: float, seed: int, report: ProgressCallback
) -> Probe:
    """Compute the features of training photos, each once as it is and once augmented."""
    sample = _sample(photos, seed)
    observe = observer(network)
    clock = StageProgress("head", report)
    features: list[npt.NDArray[np.float16]] = []
    done = 0
    for images in batches(sample.paths, size):
        features.append(observe(images).astype(np.float16))
        done += len(images)
        clock(done, 2 * len(sample))
    labels = [sample.labels]
    for images, shown in augmented(sample, size, _width(sample), seed=seed, epoch=0):
        features.append(observe(images).astype(np.float16))
        labels.append(shown)
        done += len(images)
        clock(done, 2 * len(sample))
    return probe_of(sample, np.concatenate(features), np.concatenate(labels), dropout, seed)


def probe_of(
    sample: Photos,
    features: npt.NDArray[np.float16],
    labels: npt.NDArray[np.int16],
    dropout: float,
    seed: int,
) -> Probe:
    """Name the photo behind each row: all in order, then those that `augmented` drew, in whole batches."""
    drawn = np.random.default_rng([seed, 0]).permutation(len(sample))
    rows = np.concatenate([np.arange(len(sample)), drawn])[: len(features)]
    return Probe(features, labels, [sample.sources[i] for i in rows], len(sample), dropout)


def _sample(photos: Photos, seed: int) -> Photos:
    chosen = np.random.default_rng(seed).permutation(len(photos))[: _PHOTOS // 2]
    return photos.where(np.isin(np.arange(len(photos)), chosen))


def _width(sample: Photos) -> int:
    return min(_BATCH_OF_PHOTOS, len(sample))


def observer(network: Network) -> Any:
    """Return what computes float32 features (n, f) of uint8 photos (n, h, w, 3)."""
    function = tf.function(
        lambda images: network.features(images, training=False), autograph=False, reduce_retracing=True
    )
    return lambda images: function(images).numpy()


def mean_feature(network: Network, photos: Iterable[npt.NDArray[np.uint8]]) -> float:
    """Return how large features are on average, over all of them, for batches of uint8 photos."""
    observe = observer(network)
    return float(np.concatenate([observe(images) for images in photos]).mean())


def fit(probe: Probe, outputs: int, seed: int, rows: npt.NDArray[np.bool_] | None = None) -> LinearHead:
    """Fit a last layer of so many outputs to the rows of a probe, all by default."""
    used = np.arange(len(probe.labels)) if rows is None else np.flatnonzero(rows)
    head = keras.layers.Dense(outputs, kernel_initializer="zeros")
    head.build((None, probe.features.shape[1]))
    optimizer = keras.optimizers.AdamW(0.003, weight_decay=0.05)
    optimizer.build(head.trainable_variables)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step(inputs: Any, truth: Any, chance: Any) -> None:
        with tf.GradientTape() as tape:
            given = head(tf.nn.experimental.stateless_dropout(inputs, probe.dropout, chance))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(truth, given))
        optimizer.apply_gradients(zip(tape.gradient(loss, head.variables), head.variables, strict=True))

    rng = np.random.default_rng(seed)
    for number in range(_STEPS):
        drawn = used[rng.integers(0, len(used), _BATCH)]
        features = tf.constant(probe.features[drawn], tf.float32)
        step(features, tf.constant(probe.labels[drawn], tf.int32), tf.constant([seed, number], tf.int32))
    return LinearHead(head.kernel.numpy(), head.bias.numpy())


def fit_head(
    network: Network, photos: Photos, size: int, dropout: float, seed: int, report: ProgressCallback
) -> Probe:
    """Fit the network's last layer, and weigh its second opinion; return what it was fitted to."""
    probe = gather(network, photos, size, dropout, seed, report)
    if network.opinion is not None:
        plain = slice(probe.plain)
        imagenet_prior.weigh(network.opinion, probe.features[plain], probe.labels[plain], photos.classes)
    place(network, fit(probe, network.head.units, seed))
    return probe


def place(network: Network, line: LinearHead) -> None:
    """Make a fitted layer the network's last one."""
    network.head.kernel.assign(line.kernel)
    network.head.bias.assign(line.bias)
