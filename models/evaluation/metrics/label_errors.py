"""Find labels that are probably wrong, by confident learning (Northcutt, Jiang and Chuang 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.evaluation.metrics.predictions import Predictions


@dataclass(frozen=True, slots=True)
class Suspect:
    """A photo whose label is probably wrong, and the label that the model suggests."""

    index: int  # of the photo
    label: int
    suggestion: int
    score: float  # 0 to 1: how far the suggestion's probability is above the label's


def suspects(predictions: Predictions) -> list[Suspect]:
    """Return the photos whose label is suspected, the highest score first.

    A label's threshold is the mean probability that photos of that label get for it. A photo is suspected if
    another label reaches its threshold, is the likeliest of those that do, and is the model's prediction.
    The probabilities must be of a model that has not trained on these photos: one that has repeats their
    labels.
    """
    known = np.flatnonzero(predictions.known)
    values, truth = predictions.values[known], predictions.truth[known]
    reached = np.where(values >= _thresholds(predictions), values, -1.0)
    suggestion = reached.argmax(axis=1)
    rows = np.arange(len(known))
    suspected = (
        (reached[rows, suggestion] > 0) & (suggestion != truth) & (suggestion == predictions.predicted[known])
    )
    score = values[rows, suggestion] - values[rows, truth]
    chosen = np.flatnonzero(suspected)
    chosen = chosen[np.argsort(-score[chosen], kind="stable")]
    return [
        Suspect(int(known[i]), int(truth[i]), int(suggestion[i]), round(float(score[i]), 6)) for i in chosen
    ]


def _thresholds(predictions: Predictions) -> np.ndarray:
    """Return each label's mean self-confidence; 2, which no probability reaches, without photos of it."""
    shown = [predictions.truth == label for label in range(len(predictions.labels))]
    return np.array([predictions.values[s, i].mean() if s.any() else 2.0 for i, s in enumerate(shown)])
