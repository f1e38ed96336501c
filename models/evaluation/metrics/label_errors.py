"""Labels that are probably wrong, found by confident learning (Northcutt, Jiang and Chuang 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.evaluation.metrics.predictions import Answers


@dataclass(frozen=True, slots=True)
class Suspect:
    """A photo whose label the model contradicts as surely as it speaks of that other label elsewhere."""

    index: int  # of the photo
    label: int
    suggestion: int
    score: float  # 0 to 1: how far the suggestion's probability is above the label's


def suspects(answers: Answers) -> list[Suspect]:
    """Return the photos whose label is suspected, the surest first.

    A label's threshold is the mean probability that photos of that label get for it. A photo is suspected if
    some other label reaches its threshold there, is the likeliest of those that do, and is the model's
    answer. The probabilities must come from a model that has not trained on these photos: one that has
    repeats the labels it was given.
    """
    known = np.flatnonzero(answers.known)
    values, truth = answers.values[known], answers.truth[known]
    reached = np.where(values >= _thresholds(answers), values, -1.0)
    suggestion = reached.argmax(axis=1)
    rows = np.arange(len(known))
    doubtful = (
        (reached[rows, suggestion] > 0) & (suggestion != truth) & (suggestion == answers.predicted[known])
    )
    score = values[rows, suggestion] - values[rows, truth]
    chosen = np.flatnonzero(doubtful)
    chosen = chosen[np.argsort(-score[chosen], kind="stable")]
    return [
        Suspect(int(known[i]), int(truth[i]), int(suggestion[i]), round(float(score[i]), 6)) for i in chosen
    ]


def _thresholds(answers: Answers) -> np.ndarray:
    """Return each label's mean self-confidence; above 1, out of reach, where no photo shows it."""
    shown = [answers.truth == label for label in range(len(answers.labels))]
    return np.array([answers.values[s, i].mean() if s.any() else 2.0 for i, s in enumerate(shown)])
