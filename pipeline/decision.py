"""Choose the folder of one photo from its scores. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

UNCERTAIN = "uncertain"
FAILED = "failed"
DUPLICATES = "duplicates"

Doubt = Literal["low_confidence", "neither", "both"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The folders of a bundle and the threshold of the settings.

    `folders` maps labels to folders; a label without one means "none of the classes". `threshold` is the
    least calibrated probability, 0 to 1, with which a photo is filed into the folder of its best label.
    """

    folders: Mapping[str, str]
    threshold: float


@dataclass(frozen=True, slots=True)
class Decision:
    """`outcome` is a folder, `prediction` the best label that has one, `reason` why it is uncertain."""

    outcome: str
    prediction: str
    confidence: float
    reason: Doubt | None


@dataclass(frozen=True, slots=True)
class Shown:
    """The word by which a photo is shown to people, and the probability of that word, 0 to 1."""

    label: str | None
    probability: float | None


def shown(prediction: str | None, confidence: float | None, scores: Mapping[str, float] | None) -> Shown:
    """Return the likeliest of all labels with its own probability.

    That is `prediction` with `confidence`, except for a photo of none of the classes: its prediction is the
    class that it is closest to, so that its confidence says nothing about "neither". The prediction wins a
    tie, as in `decide`. Both are None for a file without a prediction.
    """
    if prediction is None:
        return Shown(None, None)
    known = scores or {}
    own = known.get(prediction) if confidence is None else confidence
    likeliest = max(known, key=known.__getitem__, default=prediction)
    if own is not None and known.get(likeliest, 0.0) > own:
        return Shown(likeliest, known[likeliest])
    return Shown(prediction, own)


def with_shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Add `shown` and `shown_probability` to a row with `prediction`, `confidence` and `scores`."""
    answer = shown(row["prediction"], row["confidence"], row["scores"])
    return {**row, "shown": answer.label, "shown_probability": answer.probability}


SHOWN_COLUMNS = ("shown", "shown_probability")
"""The names that `with_shown` adds, in order."""


def decide(scores: Mapping[str, float], policy: Policy, both: bool = False) -> Decision:
    """Choose the folder for a photo from its calibrated probabilities, a number in 0 to 1 for each label.

    The earlier label wins a tie. A photo that shows `both`, animals of two labels, is filed under
    none of them, whatever the probabilities. Raises ValueError for scores that are not probabilities.
    """
    if not all(math.isfinite(score) and 0.0 <= score <= 1.0 for score in scores.values()):
        raise ValueError(f"scores must be probabilities, got {dict(scores)}")
    prediction = max((label for label in scores if label in policy.folders), key=scores.__getitem__)
    confidence = scores[prediction]
    if both:
        return Decision(UNCERTAIN, prediction, confidence, "both")
    if max(scores.values()) > confidence:
        return Decision(UNCERTAIN, prediction, confidence, "neither")
    if confidence < policy.threshold:
        return Decision(UNCERTAIN, prediction, confidence, "low_confidence")
    return Decision(policy.folders[prediction], prediction, confidence, None)
