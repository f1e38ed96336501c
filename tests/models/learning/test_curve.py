from __future__ import annotations

import numpy as np

from models.bundle.replay import Features, Replay
from models.learning import curve
from models.learning.fitting.head import Head
from models.learning.record import Curve
from models.types import Flags

LABELS = ("cat", "dog")


def held_out(cats: int, dogs: int) -> Replay:
    """Return photos whose first feature is 1 for cats, and whose second rises from 0 to 1."""
    count = cats + dogs
    whole = np.stack([np.arange(count) < cats, np.linspace(0, 1, count)], axis=1).astype(np.float32)
    none = np.zeros((0, 2), np.float32)
    features = Features(whole, none, np.zeros(0, np.int32), np.zeros(0, bool))
    labels = (np.arange(count) >= cats).astype(np.int16)
    return Replay(features, labels, np.zeros(count, np.int8), ("",) * count)


def curve_of(found: list[Head], drawn: list[Flags], shown: Replay) -> Curve | None:
    return curve.curve(
        found, drawn, shown, LABELS, lambda head: head.logits(shown.features.whole).argmax(axis=1)
    )


def heads(share_right: dict[float, float]) -> list[Head]:
    """Return layers that are right about all dogs and a share of the cats, by share of the photos."""
    found = []
    for share in curve.SHARES:
        bias = np.array([-1 + share_right[share] * 1e-3, 0], np.float32)
        kernel = np.array([[1.0, 0], [-1e-3 * 2, 0]], np.float32)
        found += [Head(kernel, bias)] * curve.REPEATS
    return found


def test_parts_grow_and_differ_and_the_same_seed_draws_the_same():
    drawn = curve.parts(40, 1)
    assert [int(part.sum()) for part in drawn[:: curve.REPEATS]] == [10, 20, 30, 40]
    assert (drawn[0] != drawn[1]).any()
    assert all((one == other).all() for one, other in zip(drawn, curve.parts(40, 1), strict=True))


def test_the_class_whose_recall_still_rises_would_profit_most():
    rising = heads({0.25: 0.2, 0.5: 0.4, 0.75: 0.7, 1.0: 0.9})
    found = curve_of(rising, curve.parts(80, 1), held_out(20, 20))
    assert found is not None and found.most_useful == "cat" and "More photos of cat" in found.sentence
    recalls = [point.classes["cat"] for point in found.points]
    assert recalls == sorted(recalls) and recalls[0] < recalls[-1]
    assert all(point.low <= point.mean <= point.high for point in found.points)
    assert [point.photos for point in found.points] == [20, 40, 60, 80]


def test_a_flat_curve_says_that_more_photos_change_little():
    flat = heads(dict.fromkeys(curve.SHARES, 0.9))
    found = curve_of(flat, curve.parts(80, 1), held_out(20, 20))
    assert found is not None and found.most_useful is None and "little" in found.sentence


def test_of_few_held_out_photos_nothing_is_said():
    found = curve_of(heads(dict.fromkeys(curve.SHARES, 0.5)), curve.parts(9, 1), held_out(3, 9))
    assert found is not None and found.most_useful is None and "Too few" in found.sentence
    assert curve_of([], [], held_out(0, 0)) is None
