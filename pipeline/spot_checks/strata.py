"""Strata of filed photos: the folder and the age; how many photos to draw of each. Pure.

The age is that on the day of drawing, so that each draw looks at new photos in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple


class Age(NamedTuple):
    """A range of ages: at least `least`, and below `most` if that is given."""

    name: str
    least: timedelta
    most: timedelta | None


AGES = (
    Age("last week", timedelta(0), timedelta(days=7)),
    Age("last month", timedelta(days=7), timedelta(days=30)),
    Age("older", timedelta(days=30), None),
)


def name_of(outcome: str, age: Age) -> str:
    """Return the name of a stratum, as the table `spot_checks` has it."""
    return f"{outcome}, {age.name}"


def allocate(sizes: Mapping[str, int], sample: int) -> dict[str, int]:
    """Return how many photos to draw of strata with these `sizes`, `sample` in all.

    In proportion to the sizes, by largest remainders, but at least one of each, so that every photo can be
    drawn: the sample grows to the number of strata if need be. Empty strata are left out.
    """
    sizes = {name: size for name, size in sizes.items() if size}
    total = sum(sizes.values())
    wanted = min(max(sample, len(sizes)), total)
    shares = {name: wanted * size / total for name, size in sizes.items()}
    drawn = {name: max(1, int(share)) for name, share in shares.items()}
    by_remainder = sorted(sizes, key=lambda name: shares[name] - drawn[name], reverse=True)
    for name in by_remainder:
        if sum(drawn.values()) < wanted and drawn[name] < sizes[name]:
            drawn[name] += 1
    return _cut(drawn, wanted)


def _cut(drawn: dict[str, int], wanted: int) -> dict[str, int]:
    """Take from the largest what the minimum of one gave to the smallest."""
    while sum(drawn.values()) > wanted:
        drawn[max(drawn, key=drawn.__getitem__)] -= 1
    return drawn
