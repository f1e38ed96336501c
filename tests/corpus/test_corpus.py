"""Odd and broken pictures made by scripts: each is classified, or has the right reason, soon, in little room.

All cases, cut at many points and with ten thousand mutants, are judged by `make fuzz`; here a sample of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.__main__ import report, write
from tests.corpus.case import ANYTHING, FINE, OK, Case, cuts, mutants
from tests.corpus.families import FAMILIES
from tests.corpus.judge import End, judge
from tests.support.pictures import encode, scene

LARGEST = 300_000  # bytes; the larger ones take longer than a test may
MOST_MB = 400.0
"""Far below what one may take; what these need is below 150."""


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Case]]:
    return {name: list(family()) for name, family in FAMILIES.items()}


@pytest.mark.timeout(400)
@pytest.mark.fault(56)
def test_every_case_ends_as_it_should_and_so_do_damaged_ones(corpus: dict[str, list[Case]]) -> None:
    made = [case for family in corpus.values() for case in family if len(case.data) < LARGEST]
    small = [case for case in made if len(case.data) < 20_000]
    sample = [*made, *list(cuts(small, 5))[::23], *mutants(small, 500, seed=2026)]
    ends = list(judge(sample))
    assert [str(end) for end in ends if not end.right] == []
    assert len(ends) == len(sample) > 2000
    assert max(end.most_mb for end in ends) < MOST_MB
    assert max(end.seconds for end in ends) < 10


def test_each_family_is_large_and_its_names_are_its_own(corpus: dict[str, list[Case]]) -> None:
    names = [case.name for family in corpus.values() for case in family]
    assert all(len(family) > 20 for family in corpus.values())
    assert len(set(names)) == len(names)


def test_mutants_are_the_same_for_a_seed_and_others_for_another() -> None:
    made = [Case("a", encode(scene(16, 16), "PNG"), FINE)]
    assert list(mutants(made, 20, 1)) == list(mutants(made, 20, 1)) != list(mutants(made, 20, 2))


@pytest.mark.parametrize(("data", "end"), [(b"", "empty"), (encode(scene(9, 9), "GIF"), OK)])
def test_the_judge_says_what_became_of_a_file(data: bytes, end: str) -> None:
    (judged,) = judge([Case("one", data, frozenset({end}))])
    assert judged.right and judged.end == end and judged.most_mb > 10


def test_a_wrong_end_and_much_memory_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    case = Case("odd one", b"", ANYTHING)
    assert report([End(case, OK, "", 0.1, 50.0, 50.0)]) == 0
    assert report([End(case, "TypeError", "x", 0.1, 50.0, 50.0)]) == 1
    assert report([End(case, OK, "", 31.0, 50.0, 50.0)]) == 1
    assert report([End(case, OK, "", 0.1, 50.0, 1200.0)]) == 1
    assert "WRONG odd one: TypeError" in capsys.readouterr().out


def test_the_corpus_can_be_written_out(tmp_path: Path) -> None:
    made = [Case("a/b c", encode(scene(16, 16), "PNG"), FINE)]
    assert write(mutants(made, 20, 1), tmp_path) == len(list(tmp_path.iterdir())) == 20
