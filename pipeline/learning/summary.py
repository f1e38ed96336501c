"""Say in a few lines what was learnt and how it compares: for the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.learning.record import Curve, Learnt, Pair, Share

_MOST_SHOWN = 10  # ids of photos on the screen


def heading(result: Learnt) -> str:
    """Return from how many photos it was learnt, and how long that took."""
    total = sum(sum(counts.values()) for counts in result.photos.values())
    return f"{result.name}: learnt from {total:,} judged photos in {result.seconds:.0f} s"


def table(result: Learnt) -> list[Mapping[str, str]]:
    """Return a row for each figure, on the photos of the base and on judged ones."""
    return list(_rows(result))


def conclusions(result: Learnt, number: int) -> Iterator[str]:
    """Yield what the learning curve says, which filed photos would change, the verdict, and what to do."""
    if result.curve:
        yield _curve(result.curve)
        yield result.curve.sentence
    if result.changed_among:
        yield _changed(result)
    yield result.verdict.reason
    called = "To use it" if result.verdict.better else "It is not better; to use it all the same"
    yield f"{called}: pawsort promote {number}"


def notes(result: Learnt) -> list[str]:
    """Return what was not used, which judgements seem wrong, and how the comparison is limited."""
    return [*_left_out(result), *_suspects(result), *result.notes]


def _rows(result: Learnt) -> Iterator[Mapping[str, str]]:
    both = {"base": result.comparison.base, "judged": result.comparison.own}
    for name, pair in both.items():
        if pair:
            yield from _pair(name, pair, result)


def _pair(name: str, pair: Pair, result: Learnt) -> Iterator[Mapping[str, str]]:
    for figure in type(pair.champion).model_fields:
        limit = result.comparison.not_counted if (name, figure) == ("base", "neither_filed") else ""
        yield {
            "photos": f"{name} ({pair.photos:,})",
            "figure": f"{figure}, {limit}" if limit else figure,
            result.champion: _said(getattr(pair.champion, figure)),
            result.name: _said(getattr(pair.challenger, figure)),
        }


def _said(share: Share) -> str:
    if share.value is None:
        return "-"
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def _curve(curve: Curve) -> str:
    points = [
        f"{point.mean:.1%} from {point.photos:,} ({point.low:.1%} to {point.high:.1%})"
        for point in curve.points
    ]
    return f"Right about the same held-out judged photos ({curve.held_out:,}): {', '.join(points)}"


def _changed(result: Learnt) -> str:
    ids = ", ".join(str(change.id) for change in result.changed[:_MOST_SHOWN])
    more = " ..." if len(result.changed) > _MOST_SHOWN else ""
    shown = f": {ids}{more}" if ids else ""
    among, count = result.changed_among, len(result.changed)
    return f"Of the {among:,} photos filed last, {count:,} would go elsewhere{shown}"


def _left_out(result: Learnt) -> list[str]:
    reasons: dict[str, int] = {}
    for item in result.left_out:
        reasons[item.reason] = reasons.get(item.reason, 0) + 1
    return [f"{count:,} judged photos were not used: {reason}" for reason, count in reasons.items()]


def _suspects(result: Learnt) -> list[str]:
    return [
        f"photo {item.id}: judged {item.label}; both models say {item.answer}"
        for item in result.comparison.contradictions[:_MOST_SHOWN]
    ]
