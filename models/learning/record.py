"""The schema of `learnt.json`: what a version was learnt from, and how it compares with the one in force."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Share(_Section):
    """A share of `count` cases with its 95% interval (Wilson); `value` is None where nothing was counted."""

    value: float | None
    low: float
    high: float
    count: int


class Figures(_Section):
    """What a model does with photos at the promise."""

    accuracy: Share  # of the photos, those whose best label is the true one
    precision: Share  # of the filed photos, those in the right folder
    coverage: Share  # of the photos of a class with a folder, those filed
    neither_filed: Share  # of the photos of `neither`, those filed


class Pair(_Section):
    """Both models on the same photos; `p_value` is McNemar's exact test, two-sided (McNemar 1947)."""

    champion: Figures
    challenger: Figures
    photos: int
    only_champion_right: int
    only_challenger_right: int
    p_value: float
    difference: float  # of accuracies: the challenger's less the champion's
    difference_low: float  # 95% interval
    difference_high: float


class Contradiction(_Section):
    """A judged photo that trained neither model, whose label both contradict with high confidence."""

    id: int | None
    sha256: str
    label: str
    answer: str


class Comparison(_Section):
    """Champion and challenger on photos that neither has seen."""

    champion: str
    challenger: str
    target_precision: float
    base: Pair | None  # photos of the base's test; None where they cannot be predicted
    own: Pair  # judged photos that never train
    checked: int  # judged photos that trained neither, for contradictions
    contradictions: list[Contradiction]
    new_labels: list[str]
    base_neither: int  # photos of `neither` in the replay
    base_neither_left_out: int  # of these, those that seem to show a new label
    without_crops: int  # photos of the base's test predicted without the crops that the worker would use

    @property
    def not_counted(self) -> str:
        """Which photos of `neither` the shares on photos of the base do not count; empty if all count."""
        if not self.base_neither_left_out:
            return ""
        seem = f"that seem to show {' or '.join(self.new_labels)}"
        return f"without {self.base_neither_left_out:,} of {self.base_neither:,} {seem}"


class Change(_Section):
    """A filed photo that the challenger would put elsewhere; `uncertain` is a place too."""

    id: int
    before: str
    after: str


class Point(_Section):
    """Accuracy on held-out judged photos after learning from a share of the others, over several drawings."""

    share: float
    photos: int
    mean: float
    low: float
    high: float
    classes: dict[str, float]  # label -> mean recall, where photos of it were held out


class Curve(_Section):
    """The learning curve; `most_useful` is the label whose photos would help most, None if none does."""

    points: list[Point]
    held_out: int
    most_useful: str | None
    sentence: str


class LeftOut(_Section):
    """A judged photo that was not used."""

    id: int | None
    sha256: str
    reason: str


class Verdict(_Section):
    """Whether the challenger may be promoted without a person, and why."""

    better: bool
    reason: str


class Learnt(_Section):
    """The contents of `learnt.json`."""

    schema_version: Literal[1] = 1
    name: str
    champion: str
    base_sha256: str  # of the weights of the bundle that the versions go back to
    champion_sha256: str
    at: str
    seconds: float
    method: Literal["last layer", "whole network"]
    precision: Literal["float32", "int8"]
    weight: float  # of a judged photo; one of the replay has 1
    photos: dict[str, dict[str, int]]  # label -> split -> judged photos
    left_out: list[LeftOut]
    comparison: Comparison
    changed: list[Change]
    changed_among: int  # filed photos that were predicted by both
    curve: Curve | None
    verdict: Verdict
    notes: list[str]
