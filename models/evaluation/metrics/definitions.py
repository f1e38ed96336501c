"""Every figure that there is, defined once: shares by what is counted, all others as statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.metrics import statistics
from models.evaluation.metrics.predictions import Answers
from models.evaluation.metrics.statistics import Statistic
from models.types import Flags, Float64

WORST_LOG_LOSS = float(-np.log(1e-7))  # of one photo: probabilities are clipped there
LOWER_IS_BETTER = ("log_loss", "ece", "aurc", "neither_fpr", "neither_filed")


@dataclass(frozen=True, slots=True)
class Tally:
    """A share: of the photos `among`, those that are `hits`."""

    hits: Flags
    among: Flags

    @property
    def counted(self) -> Flags:
        """The hits, one for each photo that is counted."""
        return self.hits[self.among]

    @property
    def statistic(self) -> Statistic:
        """The share as a function of weights."""
        return statistics.ratio(self.hits & self.among, self.among)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A figure that is no share of photos."""

    statistic: Statistic
    count: int  # photos that it is from
    bounds: tuple[float, float] = (0.0, 1.0)
    centred: bool = False


def shares(answers: Answers, threshold: float) -> dict[str, Tally]:
    """Return the shares by name; a label follows a slash where there is one for each."""
    known = answers.known
    result = {
        "accuracy": Tally(answers.right, known),
        "accuracy_with_folder": Tally(answers.best == answers.truth, answers.foldered),
        **filing(answers, threshold),
    }
    for index, name in enumerate(answers.labels):
        true, named = answers.truth == index, known & (answers.predicted == index)
        result[f"precision/{name}"] = Tally(true, named)
        result[f"recall/{name}"] = Tally(named, true)
    return result


def filing(answers: Answers, threshold: float) -> dict[str, Tally]:
    """Return the shares that say what filing from a threshold on gives and costs."""
    found, foldered, filed = answers.best == answers.truth, answers.foldered, answers.filed(threshold)
    return {
        "precision_at_threshold": Tally(found, filed & foldered),
        "filed_right_at_threshold": Tally(found, filed),
        "coverage_at_threshold": Tally(filed, foldered),
        "neither_filed_at_threshold": Tally(filed, ~foldered),
    }


def groups(answers: Answers, threshold: float, places: Mapping[str, Sequence[str]]) -> dict[str, Tally]:
    """Return accuracy and filing by group: `places` names each photo's group, "" for none, by kind."""
    filed, right = answers.filed(threshold), answers.well(threshold)
    result: dict[str, Tally] = {}
    for kind, of_photos in places.items():
        column = np.array(of_photos, dtype=object)
        for name in dict.fromkeys(of_photos):
            if name:
                result[f"accuracy_by_{kind}/{name}"] = Tally(right, column == name)
                result[f"filed_by_{kind}/{name}"] = Tally(filed, column == name)
    return result


def quantities(answers: Answers) -> dict[str, Quantity]:
    """Return all other figures by name."""
    known, foldered = answers.known, answers.foldered
    right, top = answers.right, answers.values.max(axis=1)
    return {
        **_macro(answers),
        "log_loss": _loss(answers.true_probability, known),
        "log_loss_with_folder": _loss(answers.true_probability, foldered),
        "log_loss_between_folders": _loss(_between(answers), foldered),
        "ece": _calibration_error(top, right, known),
        "ece_with_folder": _calibration_error(top, right, foldered),
        "aurc": Quantity(statistics.area_under_risk_coverage(top, right, known), int(known.sum())),
        **_novelty(answers),
        **_of_labels(answers),
    }  # fmt: skip


def _macro(answers: Answers) -> dict[str, Quantity]:
    """Return F1 of each label, and the plain means over the labels that the photos show."""
    present: dict[str, list[Statistic]] = {"precision": [], "recall": [], "f1": []}
    result: dict[str, Quantity] = {}
    for index, name in enumerate(answers.labels):
        true, named = answers.truth == index, answers.known & (answers.predicted == index)
        f1 = statistics.ratio(2.0 * (true & named), true.astype(float) + named)
        result[f"f1/{name}"] = Quantity(f1, int((true | named).sum()))
        if true.any():
            present["precision"].append(statistics.ratio(true & named, named))
            present["recall"].append(statistics.ratio(true & named, true))
            present["f1"].append(f1)
    photos = int(answers.known.sum())
    means = {
        f"macro_{kind}": Quantity(statistics.mean(parts, empty=0.0), photos)
        for kind, parts in present.items()
        if parts
    }
    return means | result


def _calibration_error(top: Float64, right: Flags, among: Flags) -> Quantity:
    statistic = statistics.calibration_error(top, right, among)
    return Quantity(statistic, int(among.sum()), centred=True)


def _loss(probability: Float64, among: Flags) -> Quantity:
    losses = np.where(among, -np.log(np.clip(np.nan_to_num(probability), 1e-7, 1.0)), 0.0)
    return Quantity(statistics.ratio(losses, among), int(among.sum()), (0.0, WORST_LOG_LOSS))


def _between(answers: Answers) -> Float64:
    """Return the true label's share of the probability that the labels with a folder have together."""
    together = answers.values[:, list(answers.with_folder)].sum(axis=1)
    true = np.nan_to_num(answers.true_probability)
    result: Float64 = np.divide(true, together, out=np.zeros_like(true), where=together > 0)
    return result


def _novelty(answers: Answers) -> dict[str, Quantity]:
    inside, outside = answers.foldered, ~answers.foldered
    auroc = statistics.area_under_roc(answers.novelty, outside, inside)
    return {
        "neither_auroc": Quantity(auroc, len(answers)),
        "neither_fpr_at_95_tpr": Quantity(statistics.let_in(answers.novelty, inside, outside), len(answers)),
    }


def _of_labels(answers: Answers) -> dict[str, Quantity]:
    """Return the area under ROC and PR of each label against the rest."""
    result: dict[str, Quantity] = {}
    known, photos = answers.known, int(answers.known.sum())
    for index, name in enumerate(answers.labels):
        scores, true = answers.values[:, index], answers.truth == index
        result[f"auroc/{name}"] = Quantity(statistics.area_under_roc(scores, true, known & ~true), photos)
        result[f"average_precision/{name}"] = Quantity(
            statistics.average_precision(scores, true, known), photos
        )
    return result
