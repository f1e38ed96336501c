"""What `learnt.json` says of a version, in words and rows: the comparison with the version then in force."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from pydantic import ValidationError

from models.learning.mcnemar import at_least, two_sided
from models.learning.record import Change, Curve, Learnt, Pair, Share
from pipeline.web.views.charts import Series, legend, lines
from pipeline.web.views.formatting import percent

log = logging.getLogger(__name__)

FIGURES = {
    "accuracy": "accuracy",
    "precision": "precision of filed photos",
    "coverage": "filed share of photos of a class",
    "neither_filed": "filed share of photos of neither",
}
"""Labels of the figures of `models.learning.record.Figures`."""

LIKELY = 0.05
"""A difference of a higher p-value may be chance."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of both models."""

    words: str
    champion: Share
    challenger: Share


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Filed photos that would move from one place to another, by id."""

    before: str
    after: str
    ids: tuple[int, ...]


def parsed(content: Mapping[str, Any], called: str) -> Learnt | None:
    """Return the contents of `learnt.json`, None if this Pawsort cannot read them."""
    if not content:
        return None
    try:
        return Learnt.model_validate(content)
    except ValidationError as error:
        log.warning("learnt.json of %s cannot be shown: %s", called, error)
        return None


def rows(pair: Pair, not_counted: str = "") -> list[Row]:
    """Return the figures of both models on the same photos, side by side.

    `not_counted` says which photos of neither were left out, if some were.
    """
    limits = {"neither_filed": f", {not_counted}"} if not_counted else {}
    return [
        Row(words + limits.get(name, ""), getattr(pair.champion, name), getattr(pair.challenger, name))
        for name, words in FIGURES.items()
    ]


def sentence(pair: Pair, photos: str, challenger: str, champion: str) -> str:
    """Say how many of the photos, called `photos`, the challenger answers better and worse."""
    better, worse = pair.only_challenger_right, pair.only_champion_right
    if not better and not worse:
        return f"Of {pair.photos:,} {photos}, {challenger} is right and wrong about the same as {champion}."
    return (
        f"Of {pair.photos:,} {photos}, {challenger} answers {better:,} better and {worse:,} worse than "
        f"{champion}. {chance(better, worse)}"
    )


def chance(better: int, worse: int) -> str:
    """Say how likely a difference is between two equally good models (McNemar's exact test).

    One-sided where the challenger is ahead, as in `models.learning.verdict`.
    """
    p_value = at_least(better, better + worse) if better > worse else two_sided(better, worse)
    if p_value > LIKELY:
        share = f"{percent(p_value)} of" if p_value < 0.995 else "nearly all"
        what = (
            "a model that is no better is as far ahead"
            if better > worse
            else "equally good models differ as much"
        )
        return f"That can be chance: {what} in {share} such comparisons."
    most = int(1 / p_value) if p_value > 1e-6 else 1_000_000
    power = 10 ** (len(str(most)) - 1)
    return f"Chance alone would give that in fewer than 1 of {most // power * power:,} comparisons."


def groups(changed: Sequence[Change]) -> list[ChangeGroup]:
    """Return the photos that would move, by the places from and to, the largest group first."""
    found: dict[tuple[str, str], list[int]] = {}
    for change in changed:
        found.setdefault((change.before, change.after), []).append(change.id)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return [ChangeGroup(*places, tuple(sorted(ids, reverse=True))) for places, ids in ordered]


def curve_plot(curve: Curve) -> Markup:
    """Return the learning curve: the mean over several drawings, with the lowest and the highest."""
    named = (
        (Series("mean", "of-0"), "mean"),
        (Series("highest of the drawings", "of-5"), "high"),
        (Series("lowest of the drawings", "of-4"), "low"),
    )
    drawn = [
        (series, [(float(point.photos), float(getattr(point, name))) for point in curve.points])
        for series, name in named
    ]
    least = max(0.0, min(point.low for point in curve.points) - 0.02)
    plot = lines("Right answers by the number of photos learnt from", drawn, least, 1.0)
    return plot + legend(series for series, _ in drawn)
