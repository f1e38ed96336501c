"""Remove each safeguard in turn, and show which test fails: `make mutations`.

    python -m scripts.mutations              all of them, in temporary copies of the tree
    python -m scripts.mutations --only fsync

A safeguard that no test needs is not tested. Each is removed by an exact replacement of text, so that a
change of the code around it is noticed. For each fault of the catalogue that it guards against, a test with
its mark must fail. Results go to stdout. Exits with 1 if no test fails for a safeguard, or if its text is not
in the code.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from scripts import write_reliability
from scripts.forked_pytest import Runner
from scripts.safeguards import SAFEGUARDS, Safeguard, covers

ROOT = Path(__file__).parents[1]
SECONDS = 450
"""Time limit for the tests of one safeguard."""

ALL_SECONDS = 7200
"""Time limit for the tests of all safeguards without a removal."""

WAIT_SECONDS = 20
"""Time that a test of a whole worker waits for an event; longer than any that occurs needs."""

_FAILED = re.compile(r"^FAILED (tests/\S+?::[^\s\[]+)(?:\[.*?\])?(?: - (.*))?$", re.MULTILINE)
# Code that cannot run does not show what a safeguard does.
_BROKEN = re.compile(r"(Name|Syntax|Indentation|Import|ModuleNotFound|UnboundLocal)Error")


@dataclass(frozen=True, slots=True)
class Result:
    """Result of removing one safeguard: the failed tests, or a `problem` of the check itself."""

    safeguard: Safeguard
    red: tuple[str, ...]
    seconds: float
    said: str = ""
    problem: str | None = None

    def __str__(self) -> str:
        what = self.problem or (
            f"red: {', '.join(self.red)}: {self.said}" if self.red else "GREEN: no test needs it"
        )
        return f"{self.safeguard.name} ({self.safeguard.file}), {self.seconds:.0f} s: {what}"


def copy_of_the_tree(target: Path) -> None:
    """Copy the files that git tracks or would add, without links and ignored files."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],  # noqa: S607 - whichever git there is
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split(b"\0")):
        source, place = ROOT / os.fsdecode(name), target / os.fsdecode(name)
        if source.is_file() and not source.is_symlink():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place)


@contextmanager
def without(safeguard: Safeguard, tree: Path) -> Iterator[None]:
    """Remove one safeguard from a tree temporarily. Raises ValueError unless its text is there once."""
    path = tree / safeguard.file
    whole, status = path.read_text(encoding="utf-8"), path.stat()
    if whole.count(safeguard.text) != 1:
        raise ValueError(
            f"{safeguard.file} has its text {whole.count(safeguard.text)} times: update the list"
        )
    path.write_text(whole.replace(safeguard.text, safeguard.without), encoding="utf-8")
    # Python recognises compiled files by the time in seconds and size of their source, which may be equal.
    os.utime(path, (next(_MOMENTS),) * 2)
    try:
        yield
    finally:
        path.write_text(whole, encoding="utf-8")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


_MOMENTS = count(1_000_000_000)


def run_tests(
    runner: Runner, tree: Path, tests: Sequence[str], seconds: float = SECONDS, most: int = 1
) -> tuple[int, dict[str, str]]:
    """Run tests in a tree until so `most` have failed; return pytest's exit code, and what these said."""
    patience = {"COLUMNS": "400", "FAULTS_PATIENCE_SECONDS": str(WAIT_SECONDS), "PAWSORT_LONG": "1"}
    with tempfile.TemporaryDirectory(prefix="pawsort-red-") as base:
        output = Path(base, "output")
        line = [
            "-q",
            "-p",
            "no:cacheprovider",
            "--tb=no",
            f"--maxfail={most}",
            f"--basetemp={base}/t",
            *tests,
        ]
        code = runner.run(tree, line, patience, seconds, output)
        said = output.read_text(encoding="utf-8", errors="replace")
    return code, {test: words[:160] for test, words in reversed(_FAILED.findall(said))}


def examine(runner: Runner, safeguard: Safeguard, tree: Path, marked: Mapping[int, Sequence[str]]) -> Result:
    """Take one safeguard out, run its tests, and see that each of its faults has one that is red."""
    began = time.monotonic()
    try:
        with without(safeguard, tree):
            code, red = run_tests(runner, tree, safeguard.tests, most=1 if len(safeguard.tests) == 1 else 9)
    except (ValueError, OSError) as error:
        return Result(safeguard, (), 0.0, problem=str(error))
    said = next(iter(red.values()), "")
    return Result(
        safeguard, tuple(red), time.monotonic() - began, said, _problem(safeguard, code, red, marked)
    )


def _problem(
    safeguard: Safeguard, code: int, red: Mapping[str, str], marked: Mapping[int, Sequence[str]]
) -> str | None:
    if code not in (0, 1):
        return f"pytest ended with {code}, or took too long"
    if code == 1 and not red:
        return "a test could not be set up"
    if broken := [said for said in red.values() if _BROKEN.match(said)]:
        return f"the code does not run without it: {broken[0]}"
    missed = [n for n in safeguard.faults if red and not covers(n, red, marked)]
    return f"no test of fault {missed[0]} is red, only {', '.join(red)}" if missed else None


def examine_all(chosen: Sequence[Safeguard], jobs: int) -> Iterator[Result]:
    """Examine safeguards, `jobs` at a time, each in its own copy of the tree."""
    marked = write_reliability.marked()
    free: queue.SimpleQueue[tuple[Runner, Path]] = queue.SimpleQueue()
    with (
        tempfile.TemporaryDirectory(prefix="pawsort-mutations-") as folder,
        ExitStack() as runners,
        ThreadPoolExecutor(jobs) as pool,
    ):
        for number in range(jobs):
            tree = Path(folder, str(number))
            copy_of_the_tree(tree)
            free.put((runners.enter_context(closing(Runner())), tree))

        def one(safeguard: Safeguard) -> Result:
            runner, tree = free.get()
            try:
                return examine(runner, safeguard, tree, marked)
            finally:
                free.put((runner, tree))

        for done in as_completed([pool.submit(one, safeguard) for safeguard in chosen]):
            yield done.result()


def main() -> int:
    """Examine the chosen safeguards; return the exit code."""
    options = _options()
    wanted = options.only.split(",")
    chosen = [s for s in SAFEGUARDS if any(word in s.name or word in s.file for word in wanted)]
    if not options.trust:
        with closing(Runner()) as runner:
            code, red = run_tests(
                runner, ROOT, sorted({test for s in chosen for test in s.tests}), ALL_SECONDS
            )
        if code:
            print(f"with every safeguard in place, tests fail already: {', '.join(red) or code}")
            return 1
    results = []
    for result in examine_all(chosen, options.jobs):
        results.append(result)
        print(result, flush=True)
    missed = sum(bool(r.red) and r.problem is None for r in results)
    print(f"{missed} of {len(results)} safeguards are missed by a test")
    return 0 if missed == len(results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts.mutations", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--only", default="", help="safeguards whose name or file contains one of these, comma-separated"
    )
    parser.add_argument("--jobs", type=int, default=1, help="number of safeguards at a time")
    parser.add_argument("--trust", action="store_true", help="do not run the tests with all in place first")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
