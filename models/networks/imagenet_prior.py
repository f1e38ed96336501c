"""Log shares of a bundle's labels, derived from the probabilities of ImageNet's 1,000 classes.

A fitted last layer knows only its training photos; ImageNet's classes cover far more of the objects that
count as `neither`. How often each of them is predicted on photos of each label turns their probabilities into
label shares (after the log expected empirical prediction of Nguyen et al. 2020), which are added to the
logits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.labels import NEITHER
from models.networks.tf_runtime import keras

CLASSES = 1000
LEAST = 1e-6
"""Added to a label's share, so that its logarithm stays finite."""


def build(features: int, labels: int) -> Any:
    """Return a model from features (n, features) to log shares (n, labels); all equal until it is fitted."""
    values = keras.Input((features,), name="seen")
    predicted = keras.layers.Dense(CLASSES, activation="softmax", trainable=False, name="imagenet")(values)
    shares = keras.layers.Dense(
        labels, use_bias=False, kernel_initializer="zeros", trainable=False, name="shares"
    )(predicted)
    return keras.Model(values, keras.ops.log(shares + LEAST), name="imagenet_prior")


def imagenet_head(prior: Any) -> Any:
    """Return the layer that gives ImageNet's probabilities (n, 1000) for features (n, f)."""
    return prior.get_layer("imagenet")


def rescale(prior: Any, factor: float) -> None:
    """Compensate for features that fine-tuning has made smaller by this factor.

    Fine-tuning shrinks features that it does not need. The ImageNet head would take that for uncertainty.
    """
    layer = imagenet_head(prior)
    layer.kernel.assign(layer.kernel * factor)


def fit(
    prior: Any,
    features: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    classes: tuple[str, ...],
) -> None:
    """Set the weight of each ImageNet class for each label, from features (n, f) of labelled photos.

    Photos of `neither` are left out: they show a small sample of all other objects, so for that label all
    ImageNet classes count as equally likely. An object that no photo of the other labels shows then speaks
    for `neither`.
    """
    means = np.full((CLASSES, len(classes)), 1 / CLASSES)
    for place, name in enumerate(classes):
        if name != NEITHER:
            means[:, place] = _mean(prior, features[labels == place])
    total = means.sum(axis=1, keepdims=True) + (0 if NEITHER in classes else 1 / CLASSES)
    prior.get_layer("shares").kernel.assign(means / total)


def _mean(prior: Any, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    layer, total = imagenet_head(prior), np.zeros(CLASSES)
    for start in range(0, len(features), 1024):
        part = features[start : start + 1024].astype(np.float32)
        total += layer(part).numpy().sum(axis=0, dtype=np.float64)
    return total / max(1, len(features))
