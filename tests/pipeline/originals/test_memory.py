"""The memory of originals that were taken: exact, small, and current."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db.schema.records import SettledFile, from_words, in_words
from pipeline.originals.memory import OriginalMemory
from tests.support.installation import Installation

ID = (5, 6, 700, 8_000_000_000)


@pytest.fixture
def pawsort(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def memory(pawsort: Installation, seconds: float = 0.0) -> OriginalMemory:
    found = OriginalMemory(pawsort.engine, seconds, lambda: 0.0, lambda: datetime.now(UTC))
    found.load()
    return found


def claim(pawsort: Installation, source: bytes, identity: tuple[int, int, int, int] = ID) -> int:
    file = SettledFile("/photos", source, *identity, datetime.now(UTC), "copy")
    return pawsort.ledger.claim([file], datetime.now(UTC))[0].id


def test_an_original_is_known_by_its_path_or_by_its_inode_until_it_changes(pawsort: Installation) -> None:
    claim(pawsort, b"a/x\xff.jpg")
    known = memory(pawsort).knows
    assert known("/photos", b"a/x\xff.jpg", ID)
    assert known("/photos", b"renamed.jpg", ID)
    assert known("/photos", b"a/x\xff.jpg", (99, 6, *ID[2:])), "the disk was mounted again"
    for changed in ((5, 6, 701, ID[3]), (5, 6, 700, ID[3] + 1)):
        assert not known("/photos", b"a/x\xff.jpg", changed)
    assert not known("/photos", b"renamed.jpg", (5, 7, *ID[2:]))
    assert not known("/other", b"a/x\xff.jpg", (5, 7, *ID[2:]))


def test_what_is_added_is_known_and_what_is_forgotten_is_not(pawsort: Installation) -> None:
    claim(pawsort, b"x.jpg")
    found = memory(pawsort)
    found.forget("/photos", b"x.jpg", ID)
    assert not found.knows("/photos", b"x.jpg", ID)
    found.add("/photos", b"x.jpg", ID)
    assert found.knows("/photos", b"x.jpg", ID)


def test_a_row_that_vanished_before_it_was_taken_is_not_remembered(pawsort: Installation) -> None:
    id, running = claim(pawsort, b"x.jpg"), memory(pawsort)
    assert running.knows("/photos", b"x.jpg", ID)
    pawsort.ledger.vanish([id], datetime.now(UTC))
    running.load()
    assert not running.knows("/photos", b"x.jpg", ID)
    assert not memory(pawsort).knows("/photos", b"x.jpg", ID)


def test_it_asks_the_ledger_no_more_often_than_it_should(pawsort: Installation) -> None:
    id, running = claim(pawsort, b"x.jpg"), memory(pawsort, seconds=60)
    pawsort.ledger.vanish([id], datetime.now(UTC))
    running.load()
    assert running.knows("/photos", b"x.jpg", ID)


def test_a_hundred_thousand_originals_take_little_memory(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from db.queries import originals

    rows = (originals.TakenOriginal(n, "/photos", b"%d.jpg" % n, (1, n, 1000 + n, n)) for n in range(100_000))
    monkeypatch.setattr(originals, "taken", lambda _: rows)
    found = memory(pawsort)
    assert sys.getsizeof(found._known) < 17 * 100_000
    assert found.knows("/photos", b"77.jpg", (1, 77, 1077, 77))
    assert not found.knows("/photos", b"new.jpg", (1, 78, 1077, 77))


def test_the_words_of_an_identity_are_read_back() -> None:
    wide = (2**64 - 1, 2**63, 0, -1)
    assert from_words(in_words(wide)) == wide
