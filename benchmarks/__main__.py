"""Run the benchmarks: `make bench`, or `python -m benchmarks [NAME...] [--photos N] [--runs N]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import ledger, pages, throughput

BENCHMARKS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "throughput": throughput.measure,
    "ledger": ledger.measure,
    "pages": pages.measure,
}


def main() -> None:
    """Print, for each benchmark, the median and spread of every figure as one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without")
    parser.add_argument(
        "--photos", type=int, default=1000, help="how many photos, or rows, to make (default 1000)"
    )
    parser.add_argument("--runs", type=int, default=3, help="how often to measure (default 3)")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {min(unknown)!r}; there are {', '.join(BENCHMARKS)}")
    machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps(machine))
    for name in options.names or BENCHMARKS:
        runs = [_run(BENCHMARKS[name], options.photos, number) for number in range(options.runs)]
        print(json.dumps({"benchmark": name, "photos": options.photos, "figures": _summary(runs)}, indent=2))


def _run(measure: Callable[[Path, int], dict[str, float]], photos: int, number: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="pawsort-bench-") as folder:
        figures = measure(Path(folder), photos)
    print(f"run {number + 1}: {figures}", file=sys.stderr)
    return figures


def _summary(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "median": statistics.median(run[name] for run in runs),
            "min": min(run[name] for run in runs),
            "max": max(run[name] for run in runs),
        }
        for name in runs[0]
    }


if __name__ == "__main__":
    main()
