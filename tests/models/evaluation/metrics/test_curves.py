from __future__ import annotations

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.calibration import softmax, wilson
from models.evaluation.metrics import curves as module
from models.evaluation.metrics.curves import Curve, curves
from models.evaluation.metrics.predictions import Predictions

metrics = pytest.importorskip("sklearn.metrics")


@pytest.fixture
def predictions(plain_bundle: Bundle) -> Predictions:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 500)
    values = np.round(softmax(2 * np.eye(3)[truth] + rng.normal(0, 1, (500, 3))), 2)
    return Predictions.of(plain_bundle, truth, values)


def the(found: list[Curve], kind: str, of: str = "") -> tuple[np.ndarray, np.ndarray]:
    [curve] = [c for c in found if (c.kind, c.of) == (kind, of)]
    return np.array([p.x for p in curve.points]), np.array([p.y for p in curve.points])


def test_areas_under_the_drawn_curves_are_those_of_scikit_learn(predictions: Predictions):
    found = curves(predictions)
    for index, name in enumerate(predictions.labels):
        scores, true = predictions.values[:, index], predictions.truth == index
        x, y = the(found, "roc", name)
        assert np.trapezoid(y, x) == pytest.approx(metrics.roc_auc_score(true, scores))
        recall, precision = the(found, "pr", name)
        area = np.sum(np.diff(recall) * precision[1:])
        assert area == pytest.approx(metrics.average_precision_score(true, scores))


def test_reliability_counts_every_photo_and_has_wilsons_intervals(predictions: Predictions):
    [curve] = [c for c in curves(predictions) if c.kind == "reliability"]
    assert sum(p.count or 0 for p in curve.points) == len(predictions)
    for p in curve.points:
        assert p.count and (p.low, p.high) == wilson(round(p.y * p.count), p.count)
        assert p.at <= p.x <= p.at + 1 / 15 + 1e-9
    weighted = sum(p.y * (p.count or 0) for p in curve.points) / len(predictions)
    assert weighted == pytest.approx(predictions.right.mean())


def test_risk_ends_at_the_share_of_mistakes(predictions: Predictions):
    coverage, risk = the(curves(predictions), "risk_coverage")
    assert coverage[-1] == 1 and risk[-1] == pytest.approx(1 - predictions.right.mean())
    assert (np.diff(coverage) > 0).all()


def test_long_curves_are_thinned_and_keep_their_ends(
    predictions: Predictions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MOST_POINTS", 20)
    coverage, _ = the(curves(predictions), "risk_coverage")
    x, y = the(curves(predictions), "roc", "cat")
    assert len(coverage) <= 20 and coverage[0] == 1 / 500 and coverage[-1] == 1
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)


def test_bundle_without_neither_has_a_curve_for_neither_too(predictions: Predictions):
    rows = predictions.values[:, :2] / predictions.values[:, :2].sum(axis=1, keepdims=True)

    class TwoLabels:
        labels = ("cat", "dog")
        with_folder = (0, 1)

    truth = np.where(predictions.truth == 2, -1, predictions.truth)
    found = curves(Predictions.of(TwoLabels(), truth, np.nan_to_num(rows, nan=0.5)))  # type: ignore[arg-type]
    x, _ = the(found, "roc", "neither")
    assert x[-1] == 1
