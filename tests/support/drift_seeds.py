"""Tell in which share of simulated years one shift is found in time, with few false alarms.

python -m tests.support.drift_seeds --seeds 100 --first 5000 --typical 150
"""

from __future__ import annotations

import argparse

from pipeline.reports import drift
from pipeline.reports.drift import RULES, Day
from pipeline.reports.drift_rule import Shift, follow
from tests.support.simulated_year import KINDS, Year, year

WITHIN = 3
"""Days within which a shift must be found."""

MOST_FALSE = 2
"""False alarms in a year."""


def begun(days: list[Day]) -> set[tuple[str, Shift]]:
    """Return each alarm of the days, by its measure; of the two classes, the first."""
    return {
        (measure, reading.shift)
        for measure, label, sample_of in drift._figures(days)
        for reading in follow([sample_of(figures) for _, figures in days], RULES[measure])
        if label != "dog" and reading.shift
    }


def is_of(simulated: Year, measure: str, found: int) -> bool:
    """Return whether an alarm is of the shift: of its figure, or of one that moves with it."""
    also = {"uncertain": "confidence"}.get(str(simulated.kind))
    return found >= simulated.shift and measure in (simulated.kind, also)


def holds(simulated: Year) -> bool:
    """Return whether the shift was found in time, with few false alarms in the year."""
    alarms = begun(simulated.days)
    found = {shift.found - simulated.shift for measure, shift in alarms if measure == simulated.kind}
    false = sum(not is_of(simulated, measure, shift.found) for measure, shift in alarms)
    return bool(found & set(range(WITHIN))) and false <= MOST_FALSE


def main() -> None:
    """Print the share of the years that hold, for each kind of shift, and false alarms in years without."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=5000)
    parser.add_argument("--typical", type=float, default=150.0, help="photos on a weekday")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    for kind in KINDS:
        held = sum(holds(year(seed, kind, options.typical)) for seed in seeds)
        print(f"{kind}: {held} of {len(seeds)}", flush=True)
    alarms = [len(begun(year(seed, None, options.typical).days)) for seed in seeds]
    within = sum(count <= MOST_FALSE for count in alarms)
    print(f"without a shift: {within} of {len(seeds)}, {sum(alarms) / len(seeds):.2f} false alarms a year")


if __name__ == "__main__":
    main()
