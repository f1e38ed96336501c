"""The ledger finds files of one content, and ends the row of one that came back."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, update

from db.connection.engine import writing
from db.ledger import statements
from db.ledger.ledger import Ledger
from db.queries import listing, overview
from db.schema.tables import files
from tests.db.conftest import NOON, claim, filed, later, verdict
from tests.db.ledger.entries import in_state, only
from tests.db.plans import plans

SHA = "c" * 64


def alike(ledger: Ledger, *inodes: int, sha256: str = SHA) -> list[int]:
    found = ledger.same_content({sha256: inodes, "e" * 64: [99]})
    assert set(found) <= {sha256}
    return [entry.id for entry in found.get(sha256, [])]


def spoken_on(ledger: Ledger, id: int, label: str) -> None:
    path = only(ledger, id).path
    assert path
    move = ledger.begin_move(id, "correct", path, "dogs", label, "ann", NOON)
    ledger.finish_move(move.id, NOON)


def test_files_of_one_content_are_found_the_earliest_first(ledger: Ledger) -> None:
    first = filed(ledger, b"a.jpg", sha256=SHA)
    second = filed(ledger, b"b.jpg", sha256=SHA, duplicate_of=first, answer_key="k" * 16)
    filed(ledger, b"d.jpg", sha256="d" * 64)
    [ticket] = ledger.claim([claim()], NOON)
    ledger.decide([verdict(ticket.id, sha256=SHA)], NOON)
    assert alike(ledger) == [first, second, ticket.id]
    assert only(ledger, second).answer_key == "k" * 16


def test_files_on_their_way_to_an_answer_and_undone_ones_are_not_among_them(ledger: Ledger) -> None:
    for state in ("claimed", "decoding", "undone", "vanished"):
        assert alike(ledger, sha256=str(only(ledger, in_state(ledger, state)).sha256)) == []


def test_corrected_files_come_first_the_latest_correction_before_others(ledger: Ledger) -> None:
    ids = [filed(ledger, b"%d.jpg" % n, sha256=SHA) for n in range(4)]
    spoken_on(ledger, ids[3], "dog")
    spoken_on(ledger, ids[1], "cat")
    assert alike(ledger) == [ids[1], ids[3], ids[0], ids[2]]


def test_of_very_many_those_with_the_inode_in_question_are_found(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "MOST_ALIKE", 2)
    ids = [filed(ledger, b"%d.jpg" % n, ino=n, sha256=SHA) for n in range(5)]
    spoken_on(ledger, ids[2], "dog")
    assert alike(ledger) == [ids[2], ids[0]]
    assert alike(ledger, 4) == [ids[2], ids[4]]


def test_a_row_ends_and_what_a_person_said_is_still_known(ledger: Ledger, engine: Engine) -> None:
    plain, corrected = (filed(ledger, b"%d.jpg" % n, sha256=SHA) for n in range(2))
    spoken_on(ledger, corrected, "dog")
    assert ledger.end(ledger.entries([plain, corrected]), later(5)) == {plain, corrected}
    entry = only(ledger, corrected)
    assert (entry.state, entry.path, entry.outcome, entry.verdict) == ("vanished", None, None, "cats")
    assert sum(overview.histogram(engine, 10)) == 0
    assert entry.changed_at == later(5)
    assert alike(ledger) == [corrected]
    assert listing.counts(engine) == {"waiting": 0}
    assert list(listing.results(engine)) == []


def test_an_undone_correction_does_not_count_for_copies(ledger: Ledger) -> None:
    id = filed(ledger, sha256=SHA)
    spoken_on(ledger, id, "dog")
    move = ledger.begin_move(id, "undo", b"/in/a.jpg", None, "dog", "ann", NOON)
    ledger.finish_move(move.id, NOON)
    ledger.let_go(id, NOON)
    assert alike(ledger) == []


def test_a_row_that_changed_or_is_being_moved_does_not_end(ledger: Ledger) -> None:
    moving, moved, other = (filed(ledger, b"%d.jpg" % n) for n in range(3))
    seen = ledger.entries([moving, moved, other])
    ledger.begin_move(moving, "correct", b"/sorted/dogs/1.jpg", "dogs", "dog", "ann", NOON)
    move = ledger.begin_move(moved, "correct", b"/sorted/dogs/2.jpg", "dogs", "dog", "ann", NOON)
    ledger.finish_move(move.id, NOON)
    assert ledger.end(seen, NOON) == {other}
    assert [only(ledger, id).state for id in (moving, moved, other)] == ["filed", "filed", "vanished"]


def test_a_file_in_the_place_of_another_ends_its_row(ledger: Ledger) -> None:
    place = b"/sorted/cats/a.jpg"
    first, second = (filed(ledger, destination=place) for _ in range(2))
    assert [only(ledger, id).state for id in (first, second)] == ["vanished", "filed"]
    ledger.begin_move(second, "correct", b"/sorted/dogs/1.jpg", "dogs", "dog", "ann", NOON)
    third = filed(ledger, destination=place)
    assert [only(ledger, id).state for id in (second, third)] == ["filed", "filed"], (
        "it is on its way elsewhere"
    )


def test_a_file_that_was_not_read_is_found_by_size_and_time(ledger: Ledger) -> None:
    unread = {"outcome": "failed", "reason": "too_large", "sha256": None, "scores": None, "model": None}
    old = filed(ledger, b"a.jpg", ino=1, **unread)
    read = filed(ledger, b"b.jpg", ino=2, outcome="cats")
    filed(ledger, b"c.jpg", ino=3, outcome="failed", reason="corrupt")
    seen = [(7, 1, 1000, 5)]
    assert [entry.id for entry in ledger.same_file(seen, [])] == [old]
    assert [entry.id for entry in ledger.same_file([(8, 9, 1000, 5)], [b"b.jpg"])] == [old, read]
    spoken_on(ledger, old, "dog")
    assert [entry.id for entry in ledger.same_file(seen, [])] == [old]
    for other in ((7, 1, 999, 5), (7, 1, 1000, 6)):
        assert ledger.same_file([other], [b"b.jpg"]) == []


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (1_700_000_001_123_456_789, 1_700_000_001_123_456_700, True),  # NTFS, SMB
        (1_700_000_001_123_456_789, 1_700_000_001_120_000_000, True),  # exFAT
        (1_700_000_001_123_456_789, 1_700_000_001_000_000_000, True),  # ext3
        (1_700_000_001_123_456_789, 1_700_000_000_000_000_000, True),  # FAT
        (1_700_000_001_123_456_789, 1_700_000_002_000_000_000, True),  # FAT, written by Windows
        (1_700_000_001_123_456_789, 1_699_999_998_000_000_000, False),
        (1_700_000_001_123_456_789, 1_700_000_001_100_000_000, False),
        (1_700_000_001_123_456_789, 1_700_000_001_123_456_790, False),
    ],
)
def test_an_unread_file_is_found_by_a_time_that_another_disk_has_rounded(
    ledger: Ledger, engine: Engine, before: int, after: int, same: bool
) -> None:
    unread = {"outcome": "failed", "reason": "too_large", "sha256": None, "scores": None, "model": None}
    id = filed(ledger, b"a.jpg", ino=1, **unread)
    with writing(engine) as connection:
        connection.execute(update(files).values(mtime_ns=before))
    expected = [id] if same else []
    assert [entry.id for entry in ledger.same_file([(8, 9, 1000, after)], [])] == expected
    assert [entry.id for entry in ledger.same_file([(8, 9, 1000, after)], [b"a.jpg"])] == expected
    assert only(ledger, id).is_version((8, 9, 1000, after)) is same


def test_empty_files_are_told_apart_by_their_inodes(ledger: Ledger, engine: Engine) -> None:
    id = filed(ledger, outcome="failed", reason="empty", sha256=None, scores=None)
    with writing(engine) as connection:
        connection.execute(update(files).values(bytes=0))
    assert ledger.same_file([(7, 2, 0, 5)], []) == []
    assert [entry.id for entry in ledger.same_file([(7, 1, 0, 5)], [])] == [id]


def test_queries_of_each_batch_use_an_index(ledger: Ledger, engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("plans of SQLite")
    ids = [filed(ledger, b"%d.jpg" % n, sha256=SHA) for n in range(3)]
    steps = plans(engine, lambda: ledger.same_content({SHA: [1], "e" * 64: [2]}))
    assert any("USING INDEX ix_files_sha256 (sha256=?)" in step for step in steps), steps
    assert not [step for step in steps if step.startswith(("SCAN files", "SCAN moves"))], steps
    filed(ledger, outcome="failed", reason="empty", sha256=None, scores=None)
    steps = plans(engine, lambda: ledger.same_file([(7, 1, 1000, 5)], [b"a.jpg"]))
    # The index has only the few files that were refused unread.
    assert sum("USING INDEX ix_files_unread" in step for step in steps) == 2, steps
    assert any("USING INDEX ix_files_name (name=?)" in step for step in steps), steps
    scans = [step for step in steps if step.startswith("SCAN files")]
    assert all("ix_files_unread" in step for step in scans), steps
    with writing(engine) as connection:
        connection.execute(update(files).where(files.c.id == ids[0]).values(state="decided"))
    steps = plans(engine, lambda: ledger.file(ids[:1], NOON))
    assert any("USING" in step and "ix_files_path (path=?)" in step for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN")], steps
