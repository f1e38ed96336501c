"""Decide whether a challenger may be promoted without a person."""

from __future__ import annotations

from models import calibration
from models.learning.mcnemar import at_least
from models.learning.record import Comparison, Figures, Pair, Verdict

SIGNIFICANT = 0.05
MOST_CONTRADICTED = 0.1
"""Share of held-out judgements that both models may contradict with high confidence: of right labels, they
contradict a few in a hundred. The lower end of the 95% interval must be above half of it too."""
MOST_LEFT_OUT = 0.05
"""Share of the replay's photos of `neither` that may seem to show a new label."""
MOST_COVERAGE_LOST = 0.05


def verdict(comparison: Comparison) -> Verdict:
    """Return whether the challenger is better on judged photos and not worse on the base's, and why."""
    problem = (
        _of_labels(comparison)
        or _of_new_labels(comparison)
        or _of_base(comparison.base)
        or _of_own(comparison.own)
        or _of_filed(comparison.own, comparison.target_precision)
    )
    if problem:
        return Verdict(better=False, reason=problem)
    own = comparison.own
    gained = own.only_challenger_right - own.only_champion_right
    return Verdict(
        better=True,
        reason=f"It is right about {gained:,} more of {own.photos:,} judged photos that it has not seen, and "
        "not worse on the photos of the base.",
    )


def _of_labels(comparison: Comparison) -> str | None:
    count, among = len(comparison.contradictions), comparison.checked
    low, _ = calibration.wilson(count, among)
    if not among or count / among <= MOST_CONTRADICTED or low <= MOST_CONTRADICTED / 2:
        return None
    return (
        f"Many judged labels seem wrong: both models contradict {count:,} of {among:,} with high "
        "confidence, "
        f"although neither learnt from them; at most {MOST_CONTRADICTED:.0%} are expected. Look at these "
        "photos."
    )


def _of_base(base: Pair | None) -> str | None:
    if base is None or not base.photos:
        return (
            "The photos of the base cannot be predicted, so whether anything was forgotten is not known: a "
            "person has to decide."
        )
    if base.difference_high < 0:
        return (
            f"It is worse on the photos of the base: right about {_said(base.challenger.accuracy.value)}, "
            f"before {_said(base.champion.accuracy.value)} of {base.photos:,}."
        )
    return _outside(base.champion, base.challenger)


def _outside(before: Figures, after: Figures) -> str | None:
    """Return the figure of the base's photos that is worse than the interval of before, None if none is."""
    lowest = {"accuracy": before.accuracy.low, "precision": before.precision.low}
    lowest["coverage"] = before.coverage.low - MOST_COVERAGE_LOST
    for name, low in lowest.items():
        value = getattr(after, name).value
        if value is not None and value < low:
            return f"Its {name} on the photos of the base is {_said(value)}, below {_said(low)}."
    filed = after.neither_filed.value
    if filed is not None and filed > before.neither_filed.high:
        most = _said(before.neither_filed.high)
        return f"It files {_said(filed)} of the base's photos of neither, more than {most}."
    return None


def _of_new_labels(comparison: Comparison) -> str | None:
    left_out, among = comparison.base_neither_left_out, comparison.base_neither
    if not among or left_out / among <= MOST_LEFT_OUT:
        return None
    return (
        f"It takes {left_out:,} of {among:,} photos of neither for {' or '.join(comparison.new_labels)}: "
        "whether they are, a person has to decide."
    )


def _of_own(own: Pair) -> str | None:
    if not own.photos:
        return "No judged photo is left to compare on: judge more photos."
    better, worse = own.only_challenger_right, own.only_champion_right
    if at_least(better, better + worse) <= SIGNIFICANT and better > worse:
        return None
    return (
        f"It is not shown to be better on {own.photos:,} judged photos that neither has seen: it alone is "
        f"right about {better:,}, the one in force alone about {worse:,}."
    )


def _of_filed(own: Pair, target: float) -> str | None:
    """Return a problem if more of one's own photos are filed wrongly than before, and than promised."""
    before, after = _wrongly_filed(own.champion), _wrongly_filed(own.challenger)
    filed = own.challenger.precision.count
    if after <= before or at_least(after, filed, 1 - target) > SIGNIFICANT:
        return None
    return (
        f"It files {after:,} of {filed:,} judged photos in a wrong folder, before {before:,}: more than the "
        f"promise of {target:.1%} allows."
    )


def _wrongly_filed(figures: Figures) -> int:
    precision = figures.precision
    return precision.count - round((precision.value or 0) * precision.count)


def _said(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"
