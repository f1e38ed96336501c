"""Take out each safeguard in turn, and show which test goes red: `make mutations`.

    python -m scripts.mutations              all of them, in a temporary copy of the tree
    python -m scripts.mutations --only fsync
    python -m scripts.mutations --write      and write docs/mutations.md

A safeguard that no test misses guards nothing. Each is taken out by an exact change of the text, so that a
change of the code around it is noticed here. Exits with 1 if one was not missed, or is not there any more.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.safeguards import SAFEGUARDS, Safeguard

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "mutations.md"
SECONDS = 300
"""How long the tests of one safeguard may take; all together have as long as they need."""

_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::[^\s\[]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Result:
    """What taking out one safeguard led to: the tests that went red, or a `problem` of the check itself."""

    safeguard: Safeguard
    red: tuple[str, ...]
    seconds: float
    problem: str | None = None

    def __str__(self) -> str:
        what = self.problem or (f"red: {', '.join(self.red)}" if self.red else "GREEN: nobody misses it")
        return f"{self.safeguard.name} ({self.safeguard.file}), {self.seconds:.0f} s: {what}"


def copy_of_the_tree(target: Path) -> None:
    """Copy what git knows or would take; links and ignored files stay behind."""
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
    """Take one safeguard out of a tree for a while. Raises ValueError if its text is not there just once."""
    path = tree / safeguard.file
    whole = path.read_text(encoding="utf-8")
    if whole.count(safeguard.text) != 1:
        raise ValueError(f"{safeguard.file} has its text {whole.count(safeguard.text)} times: mend the list")
    path.write_text(whole.replace(safeguard.text, safeguard.without), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(whole, encoding="utf-8")


def run_tests(
    tree: Path, tests: Sequence[str], seconds: float | None = SECONDS
) -> tuple[int, tuple[str, ...]]:
    """Run tests in a tree up to the first that fails; return pytest's exit code and that test."""
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory(prefix="pawsort-red-") as base:
        try:
            done = subprocess.run(  # noqa: S603 - our own list of tests
                [*line, f"--basetemp={base}/t"], cwd=tree, env=environment, capture_output=True, text=True,
                timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return 1, ("(the tests hang)",)
    return done.returncode, tuple(dict.fromkeys(_FAILED.findall(done.stdout)))


def examine(safeguard: Safeguard, tree: Path) -> Result:
    """Take one safeguard out and run its tests."""
    began = time.monotonic()
    try:
        with without(safeguard, tree):
            code, red = run_tests(tree, safeguard.tests)
    except (ValueError, OSError) as error:
        return Result(safeguard, (), 0.0, str(error))
    problem = None if code in (0, 1) else f"pytest ended with {code}"
    return Result(safeguard, red or (("(a test)",) if code == 1 else ()), time.monotonic() - began, problem)


def table(results: Sequence[Result]) -> str:
    """Return the page of the documentation."""
    rows = [
        f"| {r.safeguard.name} | `{r.safeguard.file}` | {', '.join(f'`{t}`' for t in r.red) or 'none'} |"
        for r in results
    ]
    head = (
        "# Safeguards, and the tests that miss them\n\n"
        "Made by `make mutations ARGS=--write`: each safeguard is taken out of a copy of the code, and the\n"
        "tests that should miss it are run. Named is the first that went red.\n\n"
        "| without | in | red |\n|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def main() -> int:
    """Examine what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts.mutations", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="only safeguards whose name or file has this in it")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument("--trust", action="store_true", help="do not run the tests with all in place first")
    options = parser.parse_args()
    chosen = [s for s in SAFEGUARDS if options.only in s.name or options.only in s.file]
    with tempfile.TemporaryDirectory(prefix="pawsort-mutations-") as folder:
        tree = Path(folder)
        copy_of_the_tree(tree)
        if not options.trust:
            code, red = run_tests(tree, sorted({test for s in chosen for test in s.tests}), None)
            if code:
                print(f"with every safeguard in place, tests fail already: {', '.join(red) or code}")
                return 1
        results = []
        for safeguard in chosen:
            results.append(examine(safeguard, tree))
            print(results[-1], flush=True)
    if options.write:
        PAGE.write_text(table(results), encoding="utf-8")
    missed = sum(bool(r.red) and r.problem is None for r in results)
    print(f"{missed} of {len(results)} safeguards are missed by a test")
    return 0 if missed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
