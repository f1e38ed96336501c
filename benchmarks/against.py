"""Compare the worker's filing rate with another checkout: `python -m benchmarks.against OTHER_CHECKOUT`.

The two run in turn (A B, B A, ...), each in its own process, so that both meet the same load of the machine.
The same Python runs the other checkout, with that tree first on its path. Each files by its own default
model, or both by one bundle in float32: then the network costs both the same, and ratios tell of all else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.bundle.bundle import MANIFEST
from pipeline.settings.config import PREFIX

_HERE = Path(__file__).parents[1]
_RUN = """
import json, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from benchmarks import photos, throughput
with tempfile.TemporaryDirectory(prefix="pawsort-bench-") as folder:
    print(json.dumps(throughput.filing_rate(Path(folder) / "worker", int(sys.argv[2]), photos.SMALL)))
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """Photos a second, and seconds of core time a photo."""

    photos: float
    cores: float


Runner = Callable[[Path, int], Rate]


def filing_rate(checkout: Path, count: int, bundle: Path | None = None) -> Rate:
    """Let the worker of a checkout file that many photos, by its default model or by the bundle at a path.

    Raises CalledProcessError if it fails.
    """
    command = [sys.executable, "-c", _RUN, str(checkout), str(count)]
    # Not `auto`: older checkouts then answer in bfloat16 at first, newer ones in int8.
    model = {f"{PREFIX}MODEL": str(bundle), f"{PREFIX}ENGINE": "openvino"} if bundle else {}
    done = subprocess.run(command, cwd=checkout, env=os.environ | model, stdout=subprocess.PIPE, check=True)
    return Rate(*json.loads(done.stdout.splitlines()[-1]))


def compare(other: Path, count: int, pairs: int, run: Runner = filing_rate) -> list[tuple[Rate, Rate]]:
    """Run both checkouts in turn, and print each run; return pairs of this one and the other."""
    results = []
    for number in range(pairs):
        trees = (_HERE, other) if number % 2 == 0 else (other, _HERE)
        found = {}
        for tree in trees:
            found[tree] = run(tree, count)
            print(
                f"{tree}: {found[tree].photos:.1f} photos/s, {found[tree].cores:.6f} core s a photo",
                flush=True,
            )
        results.append((found[_HERE], found[other]))
    return results


def ratios(pairs: list[tuple[Rate, Rate]]) -> dict[str, dict[str, float]]:
    """Return the median, least and greatest of the pairs' ratios, this checkout / the other."""
    found = {
        "photos/s": [mine.photos / theirs.photos for mine, theirs in pairs],
        "core seconds a photo": [mine.cores / theirs.cores for mine, theirs in pairs],
    }
    return {
        name: {"median": statistics.median(values), "min": min(values), "max": max(values)}
        for name, values in found.items()
    }


def main() -> None:
    """Print each run, and then the ratios as JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.against", description=__doc__)
    parser.add_argument("other", type=Path, metavar="OTHER_CHECKOUT", help="the folder of the other checkout")
    parser.add_argument("--photos", type=int, default=1500, help="photos in each run (default 1500)")
    parser.add_argument("--pairs", type=int, default=9, help="how often both run (default 9)")
    parser.add_argument("--bundle", type=Path, metavar="FOLDER", help="both file by it (default: their own)")
    options = parser.parse_args()
    other = options.other.resolve()
    if other == _HERE or not (other / "benchmarks" / "throughput.py").is_file():
        parser.error(f"{other} is not another checkout of Pawsort")
    if min(options.photos, options.pairs) < 1:
        parser.error("--photos and --pairs are 1 at least")
    bundle = options.bundle.resolve() if options.bundle else None
    if bundle and not (bundle / MANIFEST).is_file():
        parser.error(f"{bundle} is not a bundle")
    pairs = compare(other, options.photos, options.pairs, partial(filing_rate, bundle=bundle))
    print(json.dumps({"this / other": ratios(pairs)}, indent=2))


if __name__ == "__main__":
    main()
