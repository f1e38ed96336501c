"""Write docs/reliability.md from the catalogue of faults and the tests that are marked with its numbers.

`python -m scripts.write_reliability`. The part above the tables is written by hand and is kept.
"""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.faults.catalogue import DOES_NOT_APPLY, SECTIONS, Fault

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


def text(head: str | None = None) -> str:
    """Return what docs/reliability.md should be, below its hand-written head."""
    if head is None:
        head = TARGET.read_text(encoding="utf-8").partition(BEGIN)[0]
    tests = marked()
    rows = "".join(_section(name, faults, tests) for name, faults in SECTIONS.items())
    return head + BEGIN + _count(tests) + rows


def _marks(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
                    yield from ((node.name, int(ast.literal_eval(number))) for number in decorator.args)


def _count(tests: dict[int, list[str]]) -> str:
    ours = [fault.number for faults in SECTIONS.values() for fault in faults]
    held = sum(number in tests for number in ours)
    away = sum(number in DOES_NOT_APPLY for number in ours)
    return (
        f"\nOf {len(ours)} faults, {held} hold by a test, {away} do not apply, "
        f"{len(ours) - held - away} do not yet.\n"
    )


def _section(name: str, faults: tuple[Fault, ...], tests: dict[int, list[str]]) -> str:
    rows = "".join(_row(fault, tests.get(fault.number, [])) for fault in faults)
    head = "| # | what goes wrong | what must come of it | | test |\n|---|---|---|---|---|\n"
    return f"\n## {name}\n\n{head}{rows}"


def _row(fault: Fault, tests: list[str]) -> str:
    if tests:
        state = "holds"
    elif fault.number in DOES_NOT_APPLY:
        state = f"does not apply: {DOES_NOT_APPLY[fault.number]}"
    else:
        state = "not yet"
    names = "<br>".join(f"`{test}`" for test in tests)
    return f"| {fault.number} | {fault.fault} | {fault.outcome} | {state} | {names} |\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
