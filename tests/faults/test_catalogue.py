from __future__ import annotations

from scripts import write_reliability
from tests.faults.catalogue import DOES_NOT_APPLY, SECTIONS

NUMBERS = [fault.number for faults in SECTIONS.values() for fault in faults]


def test_the_table_of_faults_is_what_the_tests_are_marked_with() -> None:
    stale = "run `python -m scripts.write_reliability`"
    assert write_reliability.TARGET.read_text(encoding="utf-8") == write_reliability.text(), stale


def test_the_faults_are_numbered_without_a_gap() -> None:
    assert list(range(1, 114)) == NUMBERS


def test_marks_are_of_faults_that_there_are() -> None:
    assert set(write_reliability.marked()) <= set(NUMBERS)
    assert not set(write_reliability.marked()) & set(DOES_NOT_APPLY)
