"""Define every figure: shares as flags of photos, all others as statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.metrics import statistics
from models.evaluation.metrics.predictions import Predictions
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
    """A figure that is not a share of photos."""

    statistic: Statistic
    count: int  # photos that it is from
    bounds: tuple[float, float] = (0.0, 1.0)
    centred: bool = False


def shares(predictions: Predictions, threshold: float) -> dict[str, Tally]:
    """Return the shares by name; a label follows a slash where there is one for each."""
    known = predictions.known
    result = {
        "accuracy": Tally(predictions.right, known),
        "accuracy_with_folder": Tally(predictions.best == predictions.truth, predictions.foldered),
        **filing(predictions, threshold),
    }
    for index, name in enumerate(predictions.labels):
        true, named = predictions.truth == index, known & (predictions.predicted == index)
        result[f"precision/{name}"] = Tally(true, named)
        result[f"recall/{name}"] = Tally(named, true)
    return result


def filing(predictions: Predictions, threshold: float) -> dict[str, Tally]:
    """Return precision, coverage and errors of filing from a threshold on."""
    found, foldered, filed = (
        predictions.best == predictions.truth,
        predictions.foldered,
        predictions.filed(threshold),
    )
    return {
        "precision_at_threshold": Tally(found, filed & foldered),
        "filed_right_at_threshold": Tally(found, filed),
        "coverage_at_threshold": Tally(filed, foldered),
        "neither_filed_at_threshold": Tally(filed, ~foldered),
    }


def groups(
    predictions: Predictions, threshold: float, places: Mapping[str, Sequence[str]]
) -> dict[str, Tally]:
    """Return accuracy and filing by group: `places` names each photo's group, "" for none, by kind."""
    filed, right = predictions.filed(threshold), predictions.well(threshold)
    result: dict[str, Tally] = {}
    for kind, of_photos in places.items():
        column = np.array(of_photos, dtype=object)
        for name in dict.fromkeys(of_photos):
            if name:
                result[f"accuracy_by_{kind}/{name}"] = Tally(right, column == name)
                result[f"filed_by_{kind}/{name}"] = Tally(filed, column == name)
    return result


def quantities(predictions: Predictions) -> dict[str, Quantity]:
    """Return all other figures by name."""
    known, foldered = predictions.known, predictions.foldered
    right, top = predictions.right, predictions.values.max(axis=1)
    return {
        **_macro(predictions),
        "log_loss": _loss(predictions.true_probability, known),
        "log_loss_with_folder": _loss(predictions.true_probability, foldered),
        "log_loss_between_folders": _loss(_between(predictions), foldered),
        "ece": _calibration_error(top, right, known),
        "ece_with_folder": _calibration_error(top, right, foldered),
        "aurc": Quantity(statistics.area_under_risk_coverage(top, right, known), int(known.sum())),
        **_novelty(predictions),
        **_of_labels(predictions),
    }  # fmt: skip


def _macro(predictions: Predictions) -> dict[str, Quantity]:
    """Return F1 of each label, and the plain means over the labels that the photos show."""
    present: dict[str, list[Statistic]] = {"precision": [], "recall": [], "f1": []}
    result: dict[str, Quantity] = {}
    for index, name in enumerate(predictions.labels):
        true, named = predictions.truth == index, predictions.known & (predictions.predicted == index)
        f1 = statistics.ratio(2.0 * (true & named), true.astype(float) + named)
        result[f"f1/{name}"] = Quantity(f1, int((true | named).sum()))
        if true.any():
            present["precision"].append(statistics.ratio(true & named, named))
            present["recall"].append(statistics.ratio(true & named, true))
            present["f1"].append(f1)
    photos = int(predictions.known.sum())
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


def _between(predictions: Predictions) -> Float64:
    """Return the true label's share of the probability that the labels with a folder have together."""
    together = predictions.values[:, list(predictions.with_folder)].sum(axis=1)
    true = np.nan_to_num(predictions.true_probability)
    result: Float64 = np.divide(true, together, out=np.zeros_like(true), where=together > 0)
    return result


def _novelty(predictions: Predictions) -> dict[str, Quantity]:
    inside, outside = predictions.foldered, ~predictions.foldered
    auroc = statistics.area_under_roc(predictions.novelty, outside, inside)
    return {
        "neither_auroc": Quantity(auroc, len(predictions)),
        "neither_fpr_at_95_tpr": Quantity(
            statistics.fpr_at_tpr(predictions.novelty, inside, outside), len(predictions)
        ),
    }


def _of_labels(predictions: Predictions) -> dict[str, Quantity]:
    """Return the area under ROC and PR of each label against the rest."""
    result: dict[str, Quantity] = {}
    known, photos = predictions.known, int(predictions.known.sum())
    for index, name in enumerate(predictions.labels):
        scores, true = predictions.values[:, index], predictions.truth == index
        result[f"auroc/{name}"] = Quantity(statistics.area_under_roc(scores, true, known & ~true), photos)
        result[f"average_precision/{name}"] = Quantity(
            statistics.average_precision(scores, true, known), photos
        )
    return result
