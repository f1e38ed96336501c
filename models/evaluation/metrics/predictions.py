"""A bundle's predictions and the true labels: the arrays that every figure is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import calibration
from models.bundle.bundle import Bundle
from models.labels import NEITHER
from models.types import Flags, Float64

Labels = npt.NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Photo i at index i of each array. Label -1 is `neither` for a bundle without that label."""

    labels: tuple[str, ...]
    with_folder: tuple[int, ...]
    values: Float64  # (n, k) probabilities
    truth: Labels  # (n,)
    predicted: Labels  # (n,) the best of all labels
    best: Labels  # (n,) the best label with a folder
    confidence: Float64  # (n,) its probability
    eligible: Flags  # (n,) whether it is the best of all labels
    novelty: Float64  # (n,) the probability of `neither`, or 1 less the confidence

    @classmethod
    def of(cls, bundle: Bundle, truth: npt.NDArray[np.integer], probabilities: npt.ArrayLike) -> Predictions:
        """Return the predictions for probabilities (n, k) and labels (n,) in the bundle's order."""
        values = np.asarray(probabilities, dtype=np.float64)
        best, confidence, eligible = calibration.predictions(values, bundle.with_folder)
        # Without an output for `neither`, low confidence stands for it.
        knows = NEITHER in bundle.labels
        novelty = values[:, bundle.labels.index(NEITHER)] if knows else 1 - values.max(axis=1)
        return cls(
            bundle.labels, bundle.with_folder, values, np.asarray(truth, dtype=int), values.argmax(axis=1),
            np.asarray(best, dtype=int), np.asarray(confidence, dtype=np.float64), eligible, novelty,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def known(self) -> Flags:
        """Whether the photo shows one of the bundle's labels."""
        return self.truth >= 0

    @property
    def foldered(self) -> Flags:
        """Whether the photo shows a label that has a folder."""
        return np.isin(self.truth, self.with_folder)

    @property
    def right(self) -> Flags:
        """Whether the best of all labels is the true one."""
        result: Flags = self.known & (self.predicted == self.truth)
        return result

    def well(self, threshold: float) -> Flags:
        """Whether the photo gets its label, or is not filed where the bundle lacks its label."""
        result: Flags = np.where(self.known, self.right, ~self.filed(threshold))
        return result

    def filed(self, threshold: float) -> Flags:
        """Whether the photo would be filed from that confidence on."""
        return self.eligible & (self.confidence >= threshold)

    @property
    def true_probability(self) -> Float64:
        """The probability of the true label; NaN where the bundle lacks it."""
        chosen = self.values[np.arange(len(self)), np.maximum(self.truth, 0)]
        return np.where(self.known, chosen, np.nan)

    def name_of(self, label: int) -> str:
        """Return a label's name."""
        return self.labels[label] if label >= 0 else NEITHER
