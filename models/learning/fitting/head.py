"""The last layer of a bundle in NumPy: the linear layer, and the ImageNet prior added to its logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from models import calibration
from models.bundle.weights import Arrays
from models.labels import NEITHER
from models.networks.architectures import IMAGENET_PRIOR
from models.networks.imagenet_prior import CLASSES, LEAST
from models.types import Float32

KERNEL, BIAS = "head/kernel", "head/bias"
_PRIOR_KERNEL, _PRIOR_BIAS, _SHARES = IMAGENET_PRIOR, "imagenet/bias", "shares/kernel"
_AT_ONCE = 2048  # photos whose probabilities of 1,000 classes are in memory


@dataclass(frozen=True, slots=True)
class Prior:
    """ImageNet's layer, (f, 1000) and (1000,), and each label's share of its classes, (1000, k)."""

    kernel: Float32
    bias: Float32
    shares: Float32

    def classes(self, features: Float32) -> Float32:
        """Return ImageNet's probabilities (n, 1000)."""
        parts = [
            calibration.softmax(features[start : start + _AT_ONCE] @ self.kernel + self.bias)
            for start in range(0, len(features), _AT_ONCE)
        ]
        return np.concatenate([np.zeros((0, CLASSES)), *parts]).astype(np.float32)

    def logs(self, features: Float32) -> Float32:
        """Return log shares (n, k)."""
        result: Float32 = np.log(self.classes(features) @ self.shares + LEAST).astype(np.float32)
        return result


@dataclass(frozen=True, slots=True)
class Head:
    """A last layer for k labels, with the prior where the bundle has one."""

    kernel: Float32  # (f, k)
    bias: Float32  # (k,)
    prior: Prior | None = None

    def logits(self, features: Float32) -> Float32:
        """Return logits (n, k) for features (n, f)."""
        given = (features @ self.kernel + self.bias).astype(np.float32)
        return given if self.prior is None else given + self.prior.logs(features)

    def stored(self) -> Head:
        """Return the layer with its matrices as a bundle stores them, in float16."""
        shares = None if self.prior is None else _rounded(self.prior.shares)
        prior = None if self.prior is None or shares is None else replace(self.prior, shares=shares)
        return Head(_rounded(self.kernel), self.bias.astype(np.float32), prior)

    def arrays(self, whole: Arrays) -> Arrays:
        """Return a network's arrays with this last layer in place of its own."""
        changed: Arrays = {KERNEL: self.kernel, BIAS: self.bias}
        if self.prior is not None:
            changed[_SHARES] = self.prior.shares
        return whole | changed


def head_of(arrays: Arrays) -> Head:
    """Return the last layer among the arrays of a network."""
    prior = None
    if _PRIOR_KERNEL in arrays:
        prior = Prior(*(arrays[name].astype(np.float32) for name in (_PRIOR_KERNEL, _PRIOR_BIAS, _SHARES)))
    return Head(arrays[KERNEL].astype(np.float32), arrays[BIAS].astype(np.float32), prior)


def extended(prior: Prior, labels: tuple[str, ...], photos: Mapping[str, Float32]) -> Prior:
    """Return a prior for more labels, whose shares are fitted to `photos`: features (n, f) by new label.

    `labels` are those of the prior. The shares of each ImageNet class are those of `imagenet_prior.fit`: of a
    label, how often the class is predicted on its photos; of `neither`, always 1 in CLASSES. From that the
    counts behind the stored shares are found again.
    """
    shares = prior.shares.astype(np.float64)
    known = NEITHER in labels
    unknown = shares[:, labels.index(NEITHER)] if known else 1 - shares.sum(axis=1)
    total = 1 / CLASSES / np.maximum(unknown, 1e-6)
    means = [shares * total[:, None]]
    means += [prior.classes(features).mean(axis=0, dtype=np.float64)[:, None] for features in photos.values()]
    together = np.concatenate(means, axis=1)
    divisor = together.sum(axis=1, keepdims=True) + (0 if known else 1 / CLASSES)
    return replace(prior, shares=(together / divisor).astype(np.float32))


def _rounded(values: Float32) -> Float32:
    return values.astype(np.float16).astype(np.float32)
