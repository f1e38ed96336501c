"""Each safeguard that `make mutations` takes out is there, and so is each test that should miss it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.mutations import Result, run_tests, table, without
from scripts.safeguards import SAFEGUARDS, Safeguard

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda s: s.name)
def test_each_safeguard_stands_where_the_list_says_and_its_tests_are_there(safeguard: Safeguard) -> None:
    assert (ROOT / safeguard.file).read_text(encoding="utf-8").count(safeguard.text) == 1
    assert safeguard.without != safeguard.text
    for test in safeguard.tests:
        path, _, name = test.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not name or re.search(rf"^\s*(async )?def {name}\(", text, re.MULTILINE), test


@pytest.fixture
def safeguard(tmp_path: Path) -> Safeguard:
    (tmp_path / "code.py").write_text("LIMIT = 3\n")
    (tmp_path / "test_code.py").write_text("from code import LIMIT\n\ndef test_limit(): assert LIMIT == 3\n")
    return Safeguard("a limit", "code.py", "LIMIT = 3\n", "LIMIT = 4\n", ("test_code.py",))


def test_a_safeguard_is_put_back_and_one_that_is_not_there_is_told(
    safeguard: Safeguard, tmp_path: Path
) -> None:
    with without(safeguard, tmp_path):
        assert (tmp_path / "code.py").read_text() == "LIMIT = 4\n"
        with pytest.raises(ValueError, match="has its text 0 times"), without(safeguard, tmp_path):
            pass
    assert (tmp_path / "code.py").read_text() == "LIMIT = 3\n"


def test_a_test_that_goes_red_is_named(safeguard: Safeguard, tmp_path: Path) -> None:
    (tmp_path / "test_code.py").write_text("def test_limit(): assert False\n")
    assert run_tests(tmp_path, safeguard.tests) == (1, ("test_code.py::test_limit",))


def test_the_page_has_a_row_for_each(safeguard: Safeguard) -> None:
    page = table([Result(safeguard, ("test_code.py::test_limit",), 1.0), Result(safeguard, (), 1.0)])
    assert "| a limit | `code.py` | `test_code.py::test_limit` |" in page
    assert "| a limit | `code.py` | none |" in page
