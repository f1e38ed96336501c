"""What ImageNet's thousand classes say about ours: a second opinion beside the fitted last layer.

A last layer knows only the photos that it was fitted to; the thousand classes have seen much more of what is
none of ours. How often each of them is seen on photos of our labels turns their probabilities into ours
(after the log expected empirical prediction of Nguyen et al. 2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.labels import NEITHER
from models.networks.tf_runtime import keras

CLASSES = 1000
_LEAST = 1e-6  # of a label's share, so that its logarithm stays finite


def build(features: int, labels: int) -> Any:
    """Return a model from features (n, features) to log shares (n, labels); all alike until it is weighed."""
    values = keras.Input((features,), name="seen")
    thousand = keras.layers.Dense(CLASSES, activation="softmax", trainable=False, name="imagenet")(values)
    shares = keras.layers.Dense(
        labels, use_bias=False, kernel_initializer="zeros", trainable=False, name="shares"
    )(thousand)
    return keras.Model(values, keras.ops.log(shares + _LEAST), name="opinion")


def thousand(opinion: Any) -> Any:
    """Return the layer that gives ImageNet's probabilities (n, 1000) for features (n, f)."""
    return opinion.get_layer("imagenet")


def sharpen(opinion: Any, factor: float) -> None:
    """Make up for features that are smaller, by this factor, than those that the thousand classes know.

    Tuning draws what it can do without towards zero. The thousand would take that for doubt, and say nothing.
    """
    layer = thousand(opinion)
    layer.kernel.assign(layer.kernel * factor)


def weigh(
    opinion: Any,
    features: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    classes: tuple[str, ...],
) -> None:
    """Set how much each of the thousand speaks for each class, from features (n, f) of labelled photos.

    Photos of `neither` are not asked: they show a few of all the things that there are, so that all of the
    thousand count as equally likely there. So a thing that no photo of ours shows speaks for `neither`.
    """
    means = np.full((CLASSES, len(classes)), 1 / CLASSES)
    for place, name in enumerate(classes):
        if name != NEITHER:
            means[:, place] = _mean(opinion, features[labels == place])
    total = means.sum(axis=1, keepdims=True) + (0 if NEITHER in classes else 1 / CLASSES)
    opinion.get_layer("shares").kernel.assign(means / total)


def _mean(opinion: Any, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    layer, total = thousand(opinion), np.zeros(CLASSES)
    for start in range(0, len(features), 1024):
        part = features[start : start + 1024].astype(np.float32)
        total += layer(part).numpy().sum(axis=0, dtype=np.float64)
    return total / max(1, len(features))
