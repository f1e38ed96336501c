"""The learning curve: how good a last layer is that learnt from a part of the judged photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from models.bundle.replay import Replay
from models.learning.compare import Labels
from models.learning.fitting.head import Head
from models.learning.record import Curve, Point
from models.types import Flags

SHARES = (0.25, 0.5, 0.75, 1.0)
REPEATS = 5
LEAST_HELD_OUT = 10
"""Held-out photos of a class that are needed to say anything of it."""
LEAST_GAIN = 0.01


def parts(photos: int, seed: int) -> list[Flags]:
    """Draw REPEATS parts of each share of so many photos, (photos,) flags each, as `curve` takes them."""
    rng = np.random.default_rng(seed)
    drawn: list[Flags] = []
    for share in SHARES:
        for _ in range(REPEATS):
            flags = np.zeros(photos, bool)
            flags[rng.permutation(photos)[: max(1, round(share * photos))] if photos else []] = True
            drawn.append(flags)
    return drawn


def curve(
    heads: Sequence[Head],
    drawn: Sequence[Flags],
    held_out: Replay,
    labels: Sequence[str],
    answer: Callable[[Head], Labels],
) -> Curve | None:
    """Measure the layers fitted to `drawn` parts on held-out judged photos; None without such photos.

    `answer` gives the answers (n,) of a layer to these photos, as the comparison does: places in `labels`.
    """
    if not len(held_out) or not heads:
        return None
    right = np.stack([answer(head) == held_out.labels for head in heads])
    points = [
        _point(share, drawn[start : start + REPEATS], right[start : start + REPEATS], held_out, labels)
        for share, start in zip(SHARES, range(0, len(heads), REPEATS), strict=True)
    ]
    gains = _gains(points, held_out, labels)
    best = max(gains, key=gains.__getitem__, default=None)
    useful = best if best is not None and gains[best] >= LEAST_GAIN else None
    return Curve(
        points=points, held_out=len(held_out), most_useful=useful, sentence=_sentence(points, gains, useful)
    )


def _point(
    share: float, drawn: Sequence[Flags], right: Flags, held_out: Replay, labels: Sequence[str]
) -> Point:
    each = right.mean(axis=1)
    recalls = {
        label: round(float(right[:, held_out.labels == place].mean()), 6)
        for place, label in enumerate(labels)
        if (held_out.labels == place).any()
    }
    return Point(
        share=share,
        photos=int(drawn[0].sum()),
        mean=round(float(each.mean()), 6),
        low=round(float(each.min()), 6),
        high=round(float(each.max()), 6),
        classes=recalls,
    )


def _gains(points: Sequence[Point], held_out: Replay, labels: Sequence[str]) -> Mapping[str, float]:
    """Return how much the recall of each label with enough held-out photos rose from the half to all."""
    half, whole = points[1].classes, points[-1].classes
    return {
        label: whole[label] - half[label]
        for place, label in enumerate(labels)
        if int((held_out.labels == place).sum()) >= LEAST_HELD_OUT
    }


def _sentence(points: Sequence[Point], gains: Mapping[str, float], useful: str | None) -> str:
    if not gains:
        return (
            f"Too few judged photos are kept for comparison to say which class more photos would help: at "
            f"least {LEAST_HELD_OUT} of a class are needed, which takes about {4 * LEAST_HELD_OUT} judged."
        )
    if useful is None:
        return "More photos like these would change little: half of them teach nearly as much as all."
    before, after = points[1].classes[useful], points[-1].classes[useful]
    return (
        f"More photos of {useful} would help most: from half of the photos {before:.1%} of them are "
        f"recognised, from all {after:.1%}."
    )
