"""Write docs/reliability.md from the catalogue of faults and the tests that are marked with its numbers.

`python -m scripts.write_reliability`. The part above the tables is written by hand and is kept.
"""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from scripts import seen_red
from tests.faults.catalogue import DOES_NOT_APPLY, NO_SAFEGUARD, SECTIONS, Fault

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- Below: made by `python -m scripts.write_reliability` from the tests. Do not edit. -->\n"


@functools.cache
def marked(tests: Path = ROOT / "tests") -> dict[int, list[str]]:
    """Return the tests, as `path::name`, that are marked with each number, in order."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted(tests.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, number in _marks(tree):
            found[number].append(f"{path.relative_to(tests).as_posix()}::{name}")
    return found


def text(head: str | None = None, red: dict[int, list[str]] | None = None) -> str:
    """Return what docs/reliability.md should be, below its hand-written head.

    `red` has the safeguards without which each fault was seen red; without it, what was recorded.
    """
    if head is None:
        head = TARGET.read_text(encoding="utf-8").partition(BEGIN)[0]
    tests = marked()
    if red is None:
        red = seen_red.by_fault(tests)
    rows = "".join(_section(name, faults, tests, red) for name, faults in SECTIONS.items())
    return head + BEGIN + _count(tests, red) + rows


def _marks(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
                    yield from ((node.name, int(ast.literal_eval(number))) for number in decorator.args)


def _count(tests: dict[int, list[str]], red: dict[int, list[str]]) -> str:
    pages = {fault.number for fault in SECTIONS["Web pages"]}
    every = {fault.number for faults in SECTIONS.values() for fault in faults}
    return (
        "\n| faults | | hold by a test | of these seen red | nothing of ours to take out | not seen red "
        "| do not apply | not yet |\n|---|---|---|---|---|---|---|---|\n"
        + _counted("that do not concern web pages", every - pages, tests, red)
        + _counted("of web pages", pages, tests, red)
        + _ABOUT
    )


def _counted(which: str, ours: set[int], tests: dict[int, list[str]], red: dict[int, list[str]]) -> str:
    held = ours & set(tests)
    seen = held & set(red)
    none = (held - seen) & set(NO_SAFEGUARD)
    away = ours & set(DOES_NOT_APPLY)
    counts = (len(held), len(seen), len(none), len(held - seen - none), len(away), len(ours - held - away))
    return f"| {which} | {len(ours)} | {' | '.join(map(str, counts))} |\n"


_ABOUT = """
A test was "seen red" when it failed without the safeguard that is named beside it; its file, test, day
and commit are in [mutations.md](mutations.md). One that was never seen red may hold for another reason
than it should.
"""


def _section(
    name: str, faults: tuple[Fault, ...], tests: dict[int, list[str]], red: dict[int, list[str]]
) -> str:
    rows = "".join(_row(fault, tests.get(fault.number, []), red.get(fault.number, [])) for fault in faults)
    titles = "| # | what goes wrong | what must come of it | | seen red without | test |\n"
    head = f"{titles}|---|---|---|---|---|---|\n"
    return f"\n## {name}\n\n{head}{rows}"


def _row(fault: Fault, tests: list[str], red: list[str]) -> str:
    if tests:
        state = "holds"
    elif fault.number in DOES_NOT_APPLY:
        state = f"does not apply: {DOES_NOT_APPLY[fault.number]}"
    else:
        state = "not yet"
    names = "<br>".join(f"`{test}`" for test in tests)
    return f"| {fault.number} | {fault.fault} | {fault.outcome} | {state} | {_seen(fault, red)} | {names} |\n"


def _seen(fault: Fault, red: list[str]) -> str:
    if red:
        return "; ".join(red)
    if why := NO_SAFEGUARD.get(fault.number):
        return f"nothing to take out: {why}"
    return "**not seen red**"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
