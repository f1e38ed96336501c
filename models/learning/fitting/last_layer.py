"""Fit, calibrate and apply the challenger's last layer, all on features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from models import calibration
from models.bundle.replay import PARTS, Replay, joined
from models.inference.box_crops import CropInference
from models.inference.photo_features import FromFeatures, predict
from models.labels import NEITHER
from models.learning.fitting.fit import fit_heads
from models.learning.fitting.head import Head, Prior, extended
from models.progress import CountCallback
from models.training.linear_probe import LinearHead
from models.training.source_cross_validation import FEWEST
from models.types import Flags, Probabilities

COUNTS_AS = 5.0
"""How many photos of the replay a judged photo counts as; all judged ones count at most as these together."""

FOLDS = 5
SEEMS_NEW = 0.5
"""The probability of a new label from which a photo of `neither` in the replay is taken to show it."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a last layer is fitted to: the replay and the judged photos, labelled in the order of `labels`."""

    labels: tuple[str, ...]  # those of the champion, then new ones
    known: int  # how many of them the champion has
    base: Replay
    own: Replay
    prior: Prior | None
    crops: CropInference
    start: LinearHead | None = None  # the champion's layer without the prior, which the new one begins at

    @property
    def new(self) -> tuple[str, ...]:
        """The new labels."""
        return self.labels[self.known :]

    @property
    def weight(self) -> float:
        """How often a judged photo is drawn for one of the replay."""
        own = int((self.own.parts == 0).sum())
        return min(COUNTS_AS, int((self.base.parts == 0).sum()) / max(own, 1))


@dataclass(frozen=True, slots=True)
class Fitted:
    """The last layer; those without one source of `neither` each; and those of parts of the judged photos."""

    head: Head
    by_source: dict[str, Head]
    of_parts: list[Head]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature and thresholds of a last layer."""

    temperature: float
    table: dict[str, Any]  # `calibration` of bundle.yaml

    def threshold(self, target: float) -> float:
        """Return the lowest confidence to file at, as `Bundle.threshold`."""
        rows = self.table["thresholds"]
        return next((row["threshold"] for row in rows if row["target_precision"] >= target), 1.0)


def with_prior(material: Material) -> Material:
    """Extend the prior for the new labels, by their training photos."""
    if material.prior is None or not material.new:
        return material
    own = material.own.part("train")
    photos = {
        label: own.features.whole[own.labels == place]
        for place, label in enumerate(material.labels)
        if place >= material.known
    }
    return replace(material, prior=extended(material.prior, material.labels[: material.known], photos))


def without_doubtful(material: Material, seed: int) -> tuple[Material, int]:
    """Leave out photos of `neither` in the replay that seem to show a new label; return how many.

    Their label is from before there was the new one, so that they say nothing for or against it. Those of
    training are predicted by layers that were fitted without them, which do not repeat their label.
    """
    if not material.new or NEITHER not in material.labels:
        return material, 0
    own, folds = material.own.part("train"), _folds(material.base, seed)
    trains = material.base.parts == PARTS.index("train")
    rows = [np.concatenate([folds[trains] != fold, np.ones(len(own), bool)]) for fold in range(FOLDS + 1)]
    heads = _heads(material, rows, seed)
    seems = np.zeros(len(material.base), bool)
    for fold, head in enumerate(heads):
        given = calibration.softmax(head.logits(material.base.features.whole[folds == fold]))
        seems[folds == fold] = given[:, material.known :].sum(axis=1) >= SEEMS_NEW
    doubtful = seems & (material.base.labels == material.labels.index(NEITHER))
    return replace(material, base=material.base.where(~doubtful)), int(doubtful.sum())


def _folds(base: Replay, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each photo: one of FOLDS for those of training, FOLDS for all others."""
    drawn = np.random.default_rng(seed).permutation(len(base)) % FOLDS
    return np.where(base.parts == PARTS.index("train"), drawn, FOLDS).astype(np.int64)


def fit(
    material: Material,
    parts: Sequence[Flags],
    seed: int,
    progress: CountCallback = lambda done, total: None,
    *,
    sources: bool = False,
) -> Fitted:
    """Fit the last layer to the training photos, and one to each of `parts`: flags of judged training photos.

    With `sources`, also one without each source of `neither` of the replay. The ImageNet prior is added
    afterwards, as in training. Only the first begins at the champion's layer, which keeps more of what that
    can do: it has seen the sources and perhaps the judged photos that the others are to lack.
    """
    base, own = material.base.part("train"), material.own.part("train")
    owners, names = np.array(base.sources, dtype=object), _sources(base) if sources else []
    everything, all_own = np.ones(len(base), bool), np.ones(len(own), bool)
    rows = [
        np.concatenate([everything, all_own]),
        *(np.concatenate([owners != name, all_own]) for name in names),
        *(np.concatenate([everything, part]) for part in parts),
    ]
    heads = _heads(material, rows, seed, material.start, progress)
    after = 1 + len(names)
    return Fitted(heads[0], dict(zip(names, heads[1:after], strict=True)), heads[after:])


def _heads(
    material: Material,
    rows: Sequence[Flags],
    seed: int,
    start: LinearHead | None = None,
    progress: CountCallback = lambda done, total: None,
) -> list[Head]:
    """Fit a layer to each of `rows`, flags of the training photos, those of the replay first."""
    base, own = material.base.part("train"), material.own.part("train")
    features = np.concatenate([base.features.whole, own.features.whole])
    truth = np.concatenate([base.labels, own.labels])
    weights = np.repeat([1.0, material.weight], [len(base), len(own)])
    found = fit_heads(features, truth, len(material.labels), rows, weights, seed, start, progress)
    return [Head(head.kernel, head.bias, material.prior).stored() for head in found]


def calibrated(material: Material, fitted: Fitted) -> Calibration:
    """Fit temperature and thresholds to the photos that did not train, of the replay and of the judged ones.

    Photos of `neither` in the replay are predicted by a layer that was fitted without their source.
    """
    base, own = material.base.part("calibration"), material.own.part("calibration")
    features, truth = joined([base.features, own.features]), np.concatenate([base.labels, own.labels])
    truth = truth.astype(int)
    temperature = calibration.fit_temperature(fitted.head.logits(features.whole), truth)
    given = predict(features, fitted.head.logits, temperature, material.crops).refined.probabilities
    owners = np.array([*base.sources, *own.sources], dtype=object)
    for name, head in fitted.by_source.items():
        unseen = owners == name
        if unseen.any():
            found = predict(features.where(unseen), head.logits, temperature, material.crops)
            given[unseen] = found.refined.probabilities
    return Calibration(temperature, _table(temperature, given, truth, material.crops.with_folder))


def predictions(replay: Replay, head: Head, temperature: float, crops: CropInference) -> FromFeatures:
    """Predict photos of a replay with a last layer."""
    return predict(replay.features, head.logits, temperature, crops)


def _table(
    temperature: float, given: Probabilities, truth: np.ndarray, with_folder: Sequence[int]
) -> dict[str, Any]:
    thresholds = calibration.thresholds(given, truth, with_folder)
    return {
        "temperature": temperature,
        "photos": len(truth),
        "bound": calibration.BOUND,
        "thresholds": [entry.model_dump() for entry in thresholds],
    }


def _sources(base: Replay) -> list[str]:
    names = sorted(set(base.sources) - {""})
    return names if len(names) >= FEWEST else []
