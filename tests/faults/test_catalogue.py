from __future__ import annotations

from scripts import write_reliability
from tests.faults.catalogue import DOES_NOT_APPLY, NO_SAFEGUARD, SECTIONS

NUMBERS = [fault.number for faults in SECTIONS.values() for fault in faults]


def test_the_table_of_faults_is_what_the_tests_are_marked_with() -> None:
    stale = "run `python -m scripts.write_reliability`"
    assert write_reliability.TARGET.read_text(encoding="utf-8") == write_reliability.text(), stale


def test_the_faults_are_numbered_without_a_gap() -> None:
    assert list(range(1, 114)) == NUMBERS


def test_marks_are_of_faults_that_there_are() -> None:
    assert set(write_reliability.marked()) <= set(NUMBERS)
    assert not set(write_reliability.marked()) & set(DOES_NOT_APPLY)


def test_a_fault_without_a_safeguard_is_shown_as_such() -> None:
    page = write_reliability.text(head="", guards={1: ["a scan after an overflow"]})
    rows = {int(row.split("|")[1]): row for row in page.splitlines() if row[2:3].isdigit()}
    assert "| a scan after an overflow |" in rows[1]
    assert "| **none** |" in rows[2]
    assert "| none needed: the kernel frees the lock of a process that ends |" in rows[77]
    none = len(NO_SAFEGUARD)
    assert f"| that do not concern web pages | 102 | 102 | 1 | {none} | {101 - none} | 0 | 0 |" in page


def test_each_fault_has_a_safeguard_or_needs_none() -> None:
    assert "**none**" not in write_reliability.text(head="")
