"""Judge the whole corpus and thousands of mutants of it: `make fuzz`, or `python -m tests.corpus`.

    python -m tests.corpus --count 10000 --seed 1
    python -m tests.corpus --write FOLDER        only write the files there

Prints each file whose end is not one of those allowed, the slowest files, and the memory of the child at the
start and at the end. Exits with 1 if one file was wrong, took 30 seconds or 1 GB.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from tests.corpus.case import Case, cuts, mutants
from tests.corpus.families import everything
from tests.corpus.giants import giants
from tests.corpus.judge import End, judge

_LARGEST_SEED_BYTES = 60_000
_ENDS = 500


def cases(count: int, seed: int, pieces: int = 8) -> Iterator[Case]:
    """Yield the corpus, each file of it cut at `pieces` points, so many mutants, and giants."""
    made = list(everything())
    small = [case for case in made if len(case.data) <= _LARGEST_SEED_BYTES]
    return chain(made, cuts(small, pieces), mutants(small, count, seed), giants())


def write(found: Iterable[Case], folder: Path) -> int:
    """Write each case as a file; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(found, 1):
        name = re.sub(r"[^A-Za-z0-9.,=+-]+", "_", case.name)[:120]
        (folder / f"{number:05}-{name}").write_bytes(case.data)
    return number


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.corpus", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="mutants (default 10,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only cases whose name has this in it")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the files, judge nothing")
    options = parser.parse_args()
    wanted = (case for case in cases(options.count, options.seed) if options.only in case.name)
    if options.write:
        print(write(wanted, options.write), "files")
        return 0
    return report(judge(wanted))


def report(ends: Iterable[End]) -> int:
    """Print what became of all; return the exit code."""
    began, told, wrong, most = time.monotonic(), Counter[str](), 0, 0.0
    slowest: list[End] = []
    memory: list[float] = []
    for end in ends:
        told[end.end] += 1
        memory.append(end.rss_mb)
        most = max(most, end.most_mb)
        slowest = sorted([*slowest, end], key=lambda e: -e.seconds)[:5]
        if not end.right:
            wrong += 1
            print("WRONG", end, flush=True)
    first, last = (sorted(part)[len(part) // 2] for part in (memory[:_ENDS], memory[-_ENDS:]))
    print(f"{len(memory)} files in {time.monotonic() - began:.0f} s: {dict(told.most_common())}")
    print(f"memory: {first:.0f} MB in the first {_ENDS}, {last:.0f} MB in the last, {most:.0f} MB at most")
    for end in slowest:
        print(f"slowest: {end.seconds:.2f} s, {len(end.case.data)} bytes, {end.end}: {end.case.name}")
    print(f"{wrong} wrong")
    return 1 if wrong or most > 1000 else 0


if __name__ == "__main__":
    sys.exit(main())
