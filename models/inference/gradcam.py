"""Heatmaps of the parts of a photo that raise a label's score: Grad-CAM (Selvaraju et al. 2017).

TensorFlow is imported when an Explainer is opened. Matplotlib is never imported, because the worker has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.bundle.bundle import Bundle, read_weights
from models.errors import ArchitectureError, BundleError
from models.types import Float32, Pixels

STRENGTH = 0.7  # how much of the colour map covers the photo where the map is 1
_BATCH = 16  # photos at a time; bounds the memory
# matplotlib's `inferno` at 17 even steps: lightness rises evenly, so that no step looks like an edge.
_INFERNO = np.array([
    [0, 0, 4], [11, 7, 36], [33, 12, 74], [61, 9, 101], [87, 16, 110], [113, 25, 110], [138, 34, 106],
    [163, 44, 97], [188, 55, 84], [210, 70, 68], [228, 90, 49], [241, 115, 29], [249, 142, 9],
    [252, 172, 17], [249, 203, 53], [242, 234, 105], [252, 255, 164],
], dtype=np.float32)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explainer:
    """A network cut in two at its last spatial activation; made by `open_explainer`."""

    labels: tuple[str, ...]
    input_size: int
    places: Any  # keras.Model: uint8 (n, s, s, 3) -> activation (n, h, w, c)
    scores: Any  # keras.Model: activation -> logits (n, k)

    def maps(self, images: Pixels, labels: Sequence[int]) -> Float32:
        """Return for each photo how much each position raises the logit of its label.

        `images` are uint8 (n, s, s, 3) as `images.decode` makes them, `labels` are n indices. Returns float32
        (n, h, w), 0 to 1, on the network's coarse grid; all 0 where no position raises the label's logit.
        Raises ArchitectureError for a network without gradients.
        """
        if not len(images):
            return np.zeros((0, 1, 1), np.float32)
        starts = range(0, len(images), _BATCH)
        parts = [self._some(images[i : i + _BATCH], labels[i : i + _BATCH]) for i in starts]
        return np.concatenate(parts)

    def _some(self, images: Pixels, labels: Sequence[int]) -> Float32:
        from models.networks.tf_runtime import tf

        activation = self.places(tf.constant(images), training=False)
        with tf.GradientTape() as tape:
            tape.watch(activation)
            chosen = tf.gather(self.scores(activation, training=False), list(labels), batch_dims=1)
        gradient = tape.gradient(chosen, activation)
        if gradient is None:
            raise ArchitectureError("the network decides by steps, such as trees, which have no gradient")
        weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        raised = tf.nn.relu(tf.reduce_sum(weights * activation, axis=-1)).numpy()
        most = raised.max(axis=(1, 2), keepdims=True)
        result: Float32 = np.divide(raised, most, out=np.zeros_like(raised), where=most > 0).astype(
            np.float32
        )
        return result


def open_explainer(bundle: Bundle) -> Explainer:
    """Build a bundle's network for heatmaps. Raises BundleError where that is not possible."""
    from models.networks import architectures

    try:
        network = architectures.restored(bundle.architecture, len(bundle.labels), read_weights(bundle))
        made = explainer(network, bundle.labels, bundle.input_size)
        if architectures.known(bundle.architecture).fitted:  # so that it fails here and not on each photo
            made.maps(np.zeros((1, bundle.input_size, bundle.input_size, 3), np.uint8), [0])
        return made
    except ArchitectureError as error:
        raise BundleError(f"{bundle.path}: {error}") from error


def explainer(network: Any, labels: Sequence[str], input_size: int) -> Explainer:
    """Cut an architectures.Network at its last spatial layer. Raises ArchitectureError where it has none."""
    from models.errors import ArchitectureError
    from models.networks.tf_runtime import keras

    # Pooling halves the resolution without adding information.
    pooling = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
    layers = [
        layer
        for layer in network.features.layers
        if not isinstance(layer, (keras.layers.InputLayer, *pooling)) and len(layer.output.shape) == 4
    ]
    if not layers:
        raise ArchitectureError("the network has no layer with places that Grad-CAM could show")
    cut = layers[-1].output
    logits = network.logits(network.features.output)
    places = keras.Model(network.features.input, cut)
    return Explainer(tuple(labels), input_size, places, keras.Model(cut, logits))


def overlay(photo: Pixels, map_: Float32, strength: float = STRENGTH) -> Pixels:
    """Lay a heatmap over its photo: positions of high values are coloured, the others keep their colours.

    `photo` is uint8 (H, W, 3) of any shape, `map_` float (h, w) in 0..1 of any other: it is stretched over
    the whole photo, as the network saw it. Returns uint8 (H, W, 3).
    """
    height, width = photo.shape[:2]
    stretched = Image.fromarray(np.asarray(map_, dtype=np.float32)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    values = np.clip(np.asarray(stretched), 0.0, 1.0)[..., None]
    weight = strength * values
    mixed = photo * (1 - weight) + colours(values[..., 0]) * weight
    result: Pixels = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return result


def colours(values: npt.NDArray[np.floating]) -> Float32:
    """Return the colours, float32 (..., 3) in 0..255, of values in 0..1: dark, purple, orange, yellow."""
    place = np.linspace(0, 1, len(_INFERNO))
    channels = [np.interp(values, place, _INFERNO[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)
