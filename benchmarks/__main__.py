"""Run the benchmarks: `make bench`, or `python -m benchmarks [NAME...] [--photos N] [--runs N] [--write]`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    actions,
    alerts,
    answers,
    backfill,
    backfill_load,
    large,
    latency,
    learning,
    ledger,
    pages,
    polled,
    queries,
    scale,
    start,
    throughput,
    training,
    twins,
    writing,
)

BENCHMARKS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "throughput": throughput.measure,
    "actions": actions.measure,
    "alerts": alerts.measure,
    "large": large.measure,
    "latency": latency.measure,
    "learning": learning.measure,
    "answers": answers.measure,
    "backfill": backfill.measure,
    "backfill_load": backfill_load.measure,
    "ledger": ledger.measure,
    "start": start.measure,
    "train": training.measure,
    "pages": pages.measure,
    "polled": polled.measure,
    "queries": queries.measure,
    "scale": scale.measure,
    "twins": twins.measure,
}


def main() -> None:
    """Print, for each benchmark, the median and spread of every figure as one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without")
    parser.add_argument(
        "--photos", type=int, default=1000, help="how many photos, or rows, to make (default 1000)"
    )
    parser.add_argument("--runs", type=int, default=3, help="how often to measure (default 3)")
    parser.add_argument(
        "--write", action="store_true", help=f"put what was measured into {writing.PAGE.name}, by benchmark"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {min(unknown)!r}; there are {', '.join(BENCHMARKS)}")
    print(json.dumps(writing.machine()))
    for name in options.names or BENCHMARKS:
        runs = [_run(BENCHMARKS[name], options.photos, number) for number in range(options.runs)]
        figures = writing.summary(runs)
        print(json.dumps({"benchmark": name, "photos": options.photos, "figures": figures}, indent=2))
        if options.write:
            writing.write(name, options.photos, options.runs, figures)


def _run(measure: Callable[[Path, int], dict[str, float]], photos: int, number: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="pawsort-bench-") as folder:
        figures = measure(Path(folder), photos)
    print(f"run {number + 1}: {figures}", file=sys.stderr)
    return figures


if __name__ == "__main__":
    main()
