"""Each safeguard that `make mutations` takes out is there, and so is each test that should miss it."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from scripts import mutations, write_reliability
from scripts.forked_pytest import Runner
from scripts.mutations import run_tests, without
from scripts.safeguards import SAFEGUARDS, Safeguard, by_fault, covers
from scripts.safeguards import safeguard as safeguards

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda s: s.name)
def test_each_safeguard_stands_where_the_list_says_and_its_tests_are_there(safeguard: Safeguard) -> None:
    assert (ROOT / safeguard.file).read_text(encoding="utf-8").count(safeguard.text) == 1
    assert safeguard.without != safeguard.text
    for test in safeguard.tests:
        path, _, name = test.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not name or re.search(rf"^\s*(async )?def {name}\(", text, re.MULTILINE), test


def test_names_are_those_of_one_safeguard_each() -> None:
    assert len({safeguard.name for safeguard in SAFEGUARDS}) == len(SAFEGUARDS)


def test_each_fault_of_a_safeguard_has_a_test_of_its_own_among_those_that_are_run() -> None:
    without_test = [
        (safeguard.name, number)
        for safeguard in SAFEGUARDS
        for number in safeguard.faults
        if not covers(number, safeguard.tests, write_reliability.marked())
    ]
    assert without_test == []


@pytest.fixture
def safeguard(tmp_path: Path) -> Safeguard:
    (tmp_path / "code.py").write_text("LIMIT = 3\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_code.py").write_text(
        "from code import LIMIT\n\ndef test_limit(): assert LIMIT == 3, 'too many'\n"
    )
    return safeguards.of("a limit", "code.py", "LIMIT = 3\n", "LIMIT = 4\n", (5,), ("test_code.py",))


def test_a_safeguard_is_put_back_and_one_that_is_not_there_is_told(
    safeguard: Safeguard, tmp_path: Path
) -> None:
    before = (tmp_path / "code.py").stat().st_mtime_ns
    with without(safeguard, tmp_path):
        assert (tmp_path / "code.py").read_text() == "LIMIT = 4\n"
        with pytest.raises(ValueError, match="has its text 0 times"), without(safeguard, tmp_path):
            pass
    assert (tmp_path / "code.py").read_text() == "LIMIT = 3\n"
    assert (tmp_path / "code.py").stat().st_mtime_ns == before


def test_a_test_that_goes_red_is_named_with_what_it_said(safeguard: Safeguard, tmp_path: Path) -> None:
    (tmp_path / "tests" / "test_code.py").write_text("def test_limit(): assert 3 == 4, 'too many'\n")
    with closing(Runner(preloaded=())) as runner:
        code, red = run_tests(runner, tmp_path, safeguard.tests)
    assert (code, list(red)) == (1, ["tests/test_code.py::test_limit"])
    assert "too many" in red["tests/test_code.py::test_limit"]


RED = {"tests/test_code.py::test_limit": "AssertionError: too many"}


@pytest.mark.parametrize(
    ("code", "red", "marked", "problem"),
    [
        (1, RED, {5: ["test_code.py::test_limit"]}, None),
        (1, RED, {6: ["test_code.py::test_limit"]}, "no test of fault 5 is red"),
        (1, {}, {}, "could not be set up"),
        (1, dict.fromkeys(RED, "NameError: name 'x' is not defined"), {}, "does not run"),
        (2, {}, {}, "took too long"),
    ],
)
def test_red_counts_only_for_the_right_reason(
    safeguard: Safeguard,
    code: int,
    red: dict[str, str],
    marked: dict[int, list[str]],
    problem: str | None,
) -> None:
    found = mutations._problem(safeguard, code, red, marked)
    assert found is None if problem is None else found is not None and problem in found


def test_a_fault_has_the_safeguards_whose_tests_carry_its_mark(safeguard: Safeguard) -> None:
    marked = {5: ["test_code.py::test_limit"], 6: ["test_code.py::test_limit"]}
    assert by_fault(marked, [safeguard]) == {5: ["a limit"]}
    assert by_fault({5: ["another.py::test_limit"]}, [safeguard]) == {}
