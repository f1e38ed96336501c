"""Build networks by name: uint8 photos of any size in, one logit for each label out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import ArchitectureError
from models.networks import (
    backbones,
    efficientnet_lite,
    hog_features,
    imagenet_prior,
    imagenet_weights,
    recipes,
)
from models.networks.recipes import Recipe
from models.networks.tf_runtime import keras, tf
from models.types import Pixels, PredictFn, Probabilities

IMAGENET_PRIOR = "imagenet/kernel"
"""The array of a bundle's weights whose presence means that the network has an ImageNet prior."""


Scaling = tuple[float, float]
"""Factor and offset that normalise pixels of 0 to 255."""

_LITE_SCALING = (1 / 128, -127 / 128)


@dataclass(frozen=True, slots=True)
class Architecture:
    """How a network is built, and its default recipe."""

    input_size: int  # pixels; the side of its square input by default
    backbone: Callable[[Any, int], Any]  # normalised images (n, h, w, 3), labels -> features (n, f)
    recipe: Recipe
    pretrained: bool = False  # whether ImageNet weights exist for it
    fitted: bool = False  # by scikit-learn in one step, for photos of one size
    last_blocks_after: str | None = None  # the layer before the blocks that can be trained alone
    scaling: Scaling = (1 / 127.5, -1.0)
    mirrored: bool = False  # whether logits are the mean of those of the photo and its mirror image


@dataclass(frozen=True, slots=True)
class Network:
    """A network in parts that can be trained separately."""

    features: Any  # keras.Model: uint8 (n, h, w, 3) -> float32 (n, f)
    head: Any  # keras.layers.Dense: (n, f) -> logits (n, k)
    model: Any  # keras.Model: photos -> logits of all parts together
    imagenet_prior: Any = None  # keras.Model: (n, f) -> log shares (n, k), which are added to the logits
    outputs: Any = None  # keras.Model: photos -> logits as of `model`, and what the head gets

    def logits(self, features: Any) -> Any:
        """Return logits (n, k) for features (n, f): the head's, plus the ImageNet prior if there is one."""
        logits = self.head(features)
        return logits if self.imagenet_prior is None else logits + self.imagenet_prior(features)

    @property
    def imagenet_head(self) -> Any:
        """The layer that gives ImageNet's probabilities (n, 1000) for features; None without a prior."""
        return None if self.imagenet_prior is None else imagenet_prior.imagenet_head(self.imagenet_prior)

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Every variable, trained or not, by its path (`layer/variable`)."""
        return {variable.path: variable.numpy() for variable in self.model.variables}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set every variable. Raises ArchitectureError unless names and shapes are exactly the network's."""
        expected = {variable.path: tuple(variable.shape) for variable in self.model.variables}
        if wrong := _mismatch(expected, {name: array.shape for name, array in arrays.items()}):
            raise ArchitectureError(wrong)
        for variable in self.model.variables:
            variable.assign(arrays[variable.path].astype(np.float32))


def build(name: str, labels: int, *, with_prior: bool = False) -> Network:
    """Build a network with random weights, for photos of any size unless it is `fitted`.

    With a prior, log shares derived from ImageNet's classes are added to the head's logits. Raises
    ArchitectureError.
    """
    architecture = known(name)
    side = architecture.input_size if architecture.fitted else None
    images = keras.Input((side, side, 3), dtype="uint8", name="images")
    factor, offset = architecture.scaling
    normalised = keras.layers.Rescaling(factor, offset=offset, name="normalise")(images)
    features = keras.Model(images, architecture.backbone(normalised, labels), name="features")
    head = keras.layers.Dense(labels, name="head", kernel_initializer="zeros")
    seen = features.output
    if architecture.mirrored:  # the head is linear: the mean of features gives the mean of logits
        seen = keras.layers.Average(name="both")([seen, features(keras.ops.flip(images, axis=2))])
    prior = imagenet_prior.build(seen.shape[-1], labels) if with_prior else None
    parts = Network(features, head, None, prior)
    logits = parts.logits(seen)
    model = keras.Model(images, logits, name=name)
    return replace(parts, model=model, outputs=keras.Model(images, [logits, seen], name="outputs"))


def restored(name: str, labels: int, arrays: Mapping[str, npt.NDArray[Any]]) -> Network:
    """Build a network with the weights of a bundle. Raises ArchitectureError where they do not fit."""
    network = build(name, labels, with_prior=IMAGENET_PRIOR in arrays)
    network.restore(arrays)
    return network


def freeze(model: Any, size: int, temperature: float) -> Any:
    """Return `softmax(model / temperature)` as a frozen concrete function for uint8 (n, size, size, 3)."""
    return _frozen(lambda images: tf.nn.softmax(model(images, training=False) / temperature), size)


def predict_fn(network: Network, size: int, temperature: float) -> PredictFn:
    """Return the probabilities of a network, by TensorFlow in float32."""
    function = freeze(network.model, size, temperature)

    def predict(images: Pixels) -> Probabilities:
        probabilities: Probabilities = function(tf.constant(images))[0].numpy()
        return probabilities

    return predict


def freeze_outputs(network: Network, size: int) -> Any:
    """Return logits (n, k) and the head's input (n, f) as a frozen concrete function for uint8 photos."""
    return _frozen(lambda images: tuple(network.outputs(images, training=False)), size)


def freeze_layers(layers: Any, size: int) -> Any:
    """Return a keras.Model of one output as a frozen concrete function for uint8 photos."""
    return _frozen(lambda images: layers(images, training=False), size)


def _frozen(function: Callable[[Any], Any], size: int) -> Any:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = tf.TensorSpec([None, size, size, 3], tf.uint8, name="images")
    traced = tf.function(function, input_signature=[signature], autograph=False)
    return convert_variables_to_constants_v2(traced.get_concrete_function())


def known(name: str) -> Architecture:
    """Return the architecture of that name. Raises ArchitectureError."""
    if name not in ARCHITECTURES:
        raise ArchitectureError(f"no architecture {name!r}; there are {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[name]


def initialise_from_imagenet(network: Network, weights: str | Path, *, head: bool = False) -> None:
    """Give a backbone its ImageNet weights, and with `head` the last layer, of 1,000 labels, too.

    "imagenet" takes what is installed or downloads it, a path reads a file: see `imagenet_weights.read`.
    Raises ArchitectureError where the file does not fit or there is none.
    """
    donated = imagenet_weights.read(network.model.name, weights)
    for variable in network.features.variables:
        variable.assign(imagenet_weights.fitted(donated, variable.path, tuple(variable.shape)))
    for layer in ([network.head] if head else []) + (
        [network.imagenet_head] if network.imagenet_prior else []
    ):
        for variable in layer.variables:
            name = f"{imagenet_weights.HEAD}/{variable.path.rpartition('/')[2]}"
            variable.assign(imagenet_weights.fitted(donated, name, tuple(variable.shape)))


def whiten(network: Network, batches: Iterable[npt.NDArray[np.uint8]]) -> None:
    """Set the whitening layer, where there is one, from batches of uint8 photos, a few hundred together.

    Its filters are the principal directions of 2 x 2 patches, each scaled to unit variance, and their
    negatives, so that later layers need not learn that neighbouring pixels are alike.
    """
    found = [layer for layer in network.features.layers if layer.name == backbones.WHITENING]
    for layer in found:
        side, outputs = layer.kernel.shape[0], layer.kernel.shape[-1] // 2
        photos = np.concatenate(list(batches)) / 127.5 - 1.0
        windows = np.lib.stride_tricks.sliding_window_view(photos, (side, side), (1, 2))
        patches = np.moveaxis(windows, 3, -1).reshape(-1, side * side * 3)
        values, vectors = np.linalg.eigh(np.cov(patches, rowvar=False))
        scaled = vectors[:, ::-1] / np.sqrt(values[::-1] + 1e-3 * values.mean())
        filters = scaled[:, :outputs].reshape(side, side, 3, outputs)
        layer.kernel.assign(np.concatenate([filters, -filters], axis=-1))


def statistics_are_folded(network: Network) -> bool:
    """Return whether each batch normalisation has mean 0, variance 1: they are folded into the convolutions.

    Some tools write 1 less epsilon, so that the layer does nothing at all.
    """
    layers = _normalisations(network)
    return bool(layers) and all(
        not layer.moving_mean.numpy().any()
        and np.allclose(layer.moving_variance.numpy(), 1.0, atol=2 * layer.epsilon)
        for layer in layers
    )


def restore_statistics(network: Network, batches: Iterable[npt.NDArray[np.uint8]]) -> None:
    """Set each batch normalisation to the mean and variance of its input, without changing the outputs.

    `batches` are uint8 photos (n, h, w, 3), a few hundred together. With folded statistics, the convolutions
    hold the scales of the channels, and Adam's equal steps destroy them within an epoch; afterwards gamma and
    beta hold them, as in the network before it was folded.
    """
    layers = _normalisations(network)
    inputs = keras.Model(network.features.input, [layer.input for layer in layers])
    moments_fn = tf.function(
        lambda images: [_moments(values) for values in inputs(images, training=False)], autograph=False
    )
    sums = [(0.0, 0.0)] * len(layers)
    count = 0
    for batch in batches:
        sums = [
            (total + m.numpy(), squares + s.numpy())
            for (total, squares), (m, s) in zip(sums, moments_fn(batch), strict=True)
        ]
        count += 1
    for layer, (total, squares) in zip(layers, sums, strict=True):
        mean = total / count
        _reparametrise(layer, mean, np.maximum(squares / count - np.square(mean), 0.0))


def _moments(values: Any) -> tuple[Any, Any]:
    axes = [0, 1, 2]
    return tf.reduce_mean(values, axes), tf.reduce_mean(tf.square(values), axes)


def _reparametrise(layer: Any, mean: Any, variance: Any) -> None:
    scale = layer.gamma.numpy() / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
    shift = layer.beta.numpy() - scale * layer.moving_mean.numpy()
    layer.gamma.assign(scale * np.sqrt(variance + layer.epsilon))
    layer.beta.assign(shift + scale * mean)
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)


def _normalisations(network: Network) -> list[Any]:
    return [layer for layer in network.features.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _mismatch(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> str | None:
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            shapes = f"expected shape {expected.get(name)}, found {found.get(name)}"
            return f"the weights are not those of this architecture: array {name!r}: {shapes}"
    return None


def _lite(size: int, width: float, depth: float) -> Architecture:
    return Architecture(
        size, efficientnet_lite.backbone(width, depth), recipes.LAST_BLOCKS, pretrained=True,
        last_blocks_after=efficientnet_lite.last_of_half_size(depth), scaling=_LITE_SCALING,
    )  # fmt: skip


ARCHITECTURES: Mapping[str, Architecture] = {
    "mobilenet_v2": Architecture(
        224, backbones.mobilenet_v2, recipes.FINE_TUNING, pretrained=True, last_blocks_after="block_12_add"
    ),
    "efficientnet_lite0": _lite(224, width=1.0, depth=1.0),
    "efficientnet_lite1": _lite(240, width=1.0, depth=1.1),
    "efficientnet_lite2": _lite(260, width=1.1, depth=1.2),
    "small_cnn": Architecture(112, backbones.small_cnn, recipes.SMALL_CNN),
    "cifar_cnn": Architecture(32, backbones.cifar_cnn, recipes.CIFAR_CNN, mirrored=True),
    "svm": Architecture(hog_features.SIZE, hog_features.svm, recipes.FITTED, fitted=True),
    "random_forest": Architecture(hog_features.SIZE, hog_features.random_forest, recipes.FITTED, fitted=True),
}
