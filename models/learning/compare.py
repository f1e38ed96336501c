"""Compare champion and challenger on the same photos, from their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import calibration
from models.labels import NEITHER
from models.learning import mcnemar
from models.learning.record import Figures, Pair, Share
from models.types import Flags, Probabilities

Labels = npt.NDArray[np.integer]

SURE = 0.9
"""The probability of another label from which a model contradicts a judgement with high confidence."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model says of n photos, and from which confidence on it files."""

    probabilities: Probabilities  # (n, k)
    with_folder: Sequence[int]  # columns
    threshold: float

    @property
    def predicted(self) -> Labels:
        """The best label of each photo (n,)."""
        result: Labels = self.probabilities.argmax(axis=1)
        return result

    @property
    def filed(self) -> Flags:
        """Whether each photo is filed, in the folder of its best label."""
        _, confidence, eligible = calibration.predictions(self.probabilities, self.with_folder)
        result: Flags = eligible & (confidence >= self.threshold)
        return result

    @property
    def sure(self) -> Flags:
        """Whether each photo has a label of high probability."""
        result: Flags = self.probabilities.max(axis=1) >= SURE
        return result

    def where(self, wanted: Flags) -> Answers:
        """Return the photos for which `wanted` (n,) holds."""
        return Answers(self.probabilities[wanted], self.with_folder, self.threshold)

    def places(self, labels: Sequence[str]) -> list[str]:
        """Return the label that each photo is filed under, "" for none."""
        return [
            labels[int(label)] if filed else ""
            for label, filed in zip(self.predicted, self.filed, strict=True)
        ]


def pair(
    champion: Answers, challenger: Answers, truth: Labels, labels: Sequence[str], with_folder: Sequence[int]
) -> Pair:
    """Compare two models on n photos; `truth` (n,) are places in `labels`, the challenger's.

    The champion's labels are the first of these: it is never right about a label that it lacks.
    """
    before, after = champion.predicted == truth, challenger.predicted == truth
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    value, low, high = mcnemar.difference(gained, lost, len(truth))
    return Pair(
        champion=_figures(champion, truth, labels, with_folder),
        challenger=_figures(challenger, truth, labels, with_folder),
        photos=len(truth),
        only_champion_right=lost,
        only_challenger_right=gained,
        p_value=mcnemar.two_sided(lost, gained),
        difference=value,
        difference_low=low,
        difference_high=high,
    )


def contradicted(champion: Answers, challenger: Answers, truth: Labels) -> Flags:
    """Return which labels (n,) both models contradict with the same other one, both with high confidence."""
    said = champion.predicted
    result: Flags = (said == challenger.predicted) & (said != truth) & champion.sure & challenger.sure
    return result


def _figures(answers: Answers, truth: Labels, labels: Sequence[str], with_folder: Sequence[int]) -> Figures:
    right, filed = answers.predicted == truth, answers.filed
    foldered = np.isin(truth, with_folder)
    neither = truth == (labels.index(NEITHER) if NEITHER in labels else -1)
    return Figures(
        accuracy=_share(right),
        precision=_share(right[filed]),
        coverage=_share(filed[foldered]),
        neither_filed=_share(filed[neither]),
    )


def _share(hits: Flags) -> Share:
    successes, count = int(hits.sum()), len(hits)
    low, high = calibration.wilson(successes, count)
    return Share(value=successes / count if count else None, low=low, high=high, count=count)
