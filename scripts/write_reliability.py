"""Write docs/dev/reliability.md from the catalogue of faults and the tests that are marked with its numbers.

`python -m scripts.write_reliability`. The part above the tables is written by hand and is kept.
"""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from scripts.import_graph import statements
from scripts.safeguards import by_fault
from tests.faults.catalogue import DOES_NOT_APPLY, NO_SAFEGUARD, SECTIONS, Fault

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "dev" / "reliability.md"
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


def text(head: str | None = None, guards: dict[int, list[str]] | None = None) -> str:
    """Return docs/dev/reliability.md: its hand-written head, then the tables.

    `guards` has the safeguards against each fault; without it, those of `scripts/safeguards/`.
    """
    if head is None:
        head = TARGET.read_text(encoding="utf-8").partition(BEGIN)[0]
    tests = marked()
    if guards is None:
        guards = by_fault(tests)
    rows = "".join(_section(name, faults, tests, guards) for name, faults in SECTIONS.items())
    return head + BEGIN + _count(tests, guards) + rows


def _marks(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in statements(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
                    yield from ((node.name, int(ast.literal_eval(number))) for number in decorator.args)


def _count(tests: dict[int, list[str]], guards: dict[int, list[str]]) -> str:
    pages = {fault.number for fault in SECTIONS["Web pages"]}
    every = {fault.number for faults in SECTIONS.values() for fault in faults}
    return (
        "\n| faults | | held by a test | of these with a safeguard | no safeguard needed | without one "
        "| do not apply | not yet |\n|---|---|---|---|---|---|---|---|\n"
        + _counted("that do not concern web pages", every - pages, tests, guards)
        + _counted("of web pages", pages, tests, guards)
        + _ABOUT
    )


def _counted(which: str, numbers: set[int], tests: dict[int, list[str]], guards: dict[int, list[str]]) -> str:
    held = numbers & set(tests)
    seen = held & set(guards)
    none = (held - seen) & set(NO_SAFEGUARD)
    away = numbers & set(DOES_NOT_APPLY)
    counts = (len(held), len(seen), len(none), len(held - seen - none), len(away), len(numbers - held - away))
    return f"| {which} | {len(numbers)} | {' | '.join(map(str, counts))} |\n"


_ABOUT = """
`make mutations` takes each safeguard out of a copy of the code and fails unless a test that carries the
fault's mark goes red.
"""


def _section(
    name: str, faults: tuple[Fault, ...], tests: dict[int, list[str]], guards: dict[int, list[str]]
) -> str:
    rows = "".join(_row(fault, tests.get(fault.number, []), guards.get(fault.number, [])) for fault in faults)
    titles = "| # | what goes wrong | what must come of it | | safeguard | test |\n"
    head = f"{titles}|---|---|---|---|---|---|\n"
    return f"\n## {name}\n\n{head}{rows}"


def _row(fault: Fault, tests: list[str], guards: list[str]) -> str:
    if tests:
        state = "holds"
    elif fault.number in DOES_NOT_APPLY:
        state = f"does not apply: {DOES_NOT_APPLY[fault.number]}"
    else:
        state = "not yet"
    names = "<br>".join(f"`{test}`" for test in tests)
    cells = (str(fault.number), fault.fault, fault.outcome, state, _safeguards(fault, guards), names)
    return f"| {' | '.join(cells)} |\n"


def _safeguards(fault: Fault, guards: list[str]) -> str:
    if guards:
        return "; ".join(guards)
    if why := NO_SAFEGUARD.get(fault.number):
        return f"none needed: {why}"
    return "**none**"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
