"""The networks that we know, by name: from uint8 photos of any size to one logit for each label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import ArchitectureError as ArchitectureError
from models.runtime import keras, tf


@dataclass(frozen=True, slots=True)
class Architecture:
    """How a network is built, and what suits its training."""

    input_size: int  # pixels; the side of the square that it sees by default
    backbone: Callable[[Any], Any]  # normalised images (n, h, w, 3) -> features (n, f)
    pretrained: bool  # whether ImageNet weights exist for it
    learning_rate: float  # AdamW's peak when the whole network trains


@dataclass(frozen=True, slots=True)
class Network:
    """A network in two parts that can be trained apart."""

    features: Any  # keras.Model: uint8 (n, h, w, 3) -> float32 (n, f)
    head: Any  # keras.layers.Dense: (n, f) -> logits (n, k)
    model: Any  # keras.Model: both, one after the other

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Every variable, trained or not, by its path (`layer/variable`)."""
        return {variable.path: variable.numpy() for variable in self.model.variables}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set every variable. Raises ArchitectureError unless names and shapes are exactly ours."""
        expected = {variable.path: tuple(variable.shape) for variable in self.model.variables}
        if wrong := _mismatch(expected, {name: array.shape for name, array in arrays.items()}):
            raise ArchitectureError(wrong)
        for variable in self.model.variables:
            variable.assign(arrays[variable.path].astype(np.float32))


def build(name: str, labels: int) -> Network:
    """Build a network with random weights, for photos of any size. Raises ArchitectureError."""
    architecture = known(name)
    images = keras.Input((None, None, 3), dtype="uint8", name="images")
    normalised = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="normalise")(images)
    features = keras.Model(images, architecture.backbone(normalised), name="features")
    head = keras.layers.Dense(labels, name="head", kernel_initializer="zeros")
    return Network(features, head, keras.Model(images, head(features.output), name=name))


def known(name: str) -> Architecture:
    """Return the architecture of that name. Raises ArchitectureError."""
    if name not in ARCHITECTURES:
        raise ArchitectureError(f"no architecture {name!r}; there are {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[name]


def initialise_from_imagenet(network: Network, weights: str | Path) -> None:
    """Give MobileNetV2's backbone its ImageNet weights.

    "imagenet" downloads them, a path reads a .weights.h5 file. Raises ArchitectureError where it does not
    fit.
    """
    try:
        donor = keras.applications.MobileNetV2(weights=str(weights))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchitectureError(f"{weights}: not ImageNet weights of MobileNetV2: {error}") from error
    theirs = {variable.path: variable for variable in donor.variables}
    for variable in network.features.variables:
        variable.assign(theirs[variable.path])


def statistics_are_folded(network: Network) -> bool:
    """Say whether each batch normalisation has mean 0, variance 1: they are folded into the convolutions."""
    layers = _normalisations(network)
    return bool(layers) and all(
        not layer.moving_mean.numpy().any() and np.allclose(layer.moving_variance.numpy(), 1.0)
        for layer in layers
    )


def restore_statistics(network: Network, batches: Iterable[npt.NDArray[np.uint8]]) -> None:
    """Give each batch normalisation the mean and variance that its input really has, and keep the function.

    `batches` are uint8 photos (n, h, w, 3), a few hundred together. Folded statistics leave the scales of the
    channels to the convolutions, where Adam's equal steps destroy them within an epoch; afterwards gamma and
    beta carry them, as in the network before it was folded.
    """
    layers = _normalisations(network)
    inputs = keras.Model(network.features.input, [layer.input for layer in layers])
    observe = tf.function(
        lambda images: [_moments(values) for values in inputs(images, training=False)], autograph=False
    )
    sums = [(0.0, 0.0)] * len(layers)
    count = 0
    for batch in batches:
        sums = [
            (total + m.numpy(), squares + s.numpy())
            for (total, squares), (m, s) in zip(sums, observe(batch), strict=True)
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


def _mobilenet_v2(images: Any) -> Any:
    """MobileNetV2 of width 1.0 (Sandler et al. 2018)."""
    return keras.applications.MobileNetV2(
        input_tensor=images, include_top=False, weights=None, pooling="avg"
    ).output


def _small_cnn(images: Any) -> Any:
    values = images
    for stage, width in enumerate((32, 64, 128, 256)):
        for part in range(2):
            name = f"stage{stage}_{part}"
            convolution = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv")
            values = convolution(values)
            values = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(values)
            values = keras.layers.ReLU(name=f"{name}_relu")(values)
        values = keras.layers.MaxPooling2D(name=f"stage{stage}_pool")(values)
    return keras.layers.GlobalAveragePooling2D(name="average")(values)


ARCHITECTURES: Mapping[str, Architecture] = {
    "mobilenet_v2": Architecture(224, _mobilenet_v2, pretrained=True, learning_rate=2e-4),
    "small_cnn": Architecture(96, _small_cnn, pretrained=False, learning_rate=2e-3),
}
