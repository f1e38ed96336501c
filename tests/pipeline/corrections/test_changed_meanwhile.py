"""A row is changed only as the client saw it."""

from __future__ import annotations

from datetime import timedelta

from pipeline.corrections import correct_undo_retry
from pipeline.corrections.correct_undo_retry import Known
from tests.support.installation import FOLDERS, Installation


def by_row(pawsort: Installation, *files: Known, label: str = "dog", by: str = "ann") -> list[str | None]:
    changes = correct_undo_retry.correct(
        pawsort.engine, pawsort.settings, files, label, by, FOLDERS, pawsort.now
    )
    return [change.problem for change in changes]


def test_a_row_is_corrected_as_it_was_seen(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg", outcome="uncertain")
    assert by_row(pawsort, Known(id, 0)) == [None]
    assert pawsort.state(id) == ("filed", "dogs", "dog", b"sorted/dogs/x.jpg")


def test_the_second_of_two_corrections_changes_nothing_and_names_the_first_person(
    pawsort: Installation,
) -> None:
    id = pawsort.file(b"x.jpg", outcome="uncertain")
    by_row(pawsort, Known(id, 0), label="neither")
    assert by_row(pawsort, Known(id, 0), label="cat", by="ben") == [
        "was changed meanwhile by ann, to neither"
    ]
    assert pawsort.state(id)[1:3] == ("uncertain", "neither")
    assert len(pawsort.ledger.moves(id)) == 1


def test_what_was_taken_back_meanwhile_is_not_taken_back_again(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg", outcome="uncertain")
    by_row(pawsort, Known(id, 0))
    [move] = pawsort.ledger.moves(id)

    def undo() -> str | None:
        seen = [Known(id, move.id)]
        [change] = correct_undo_retry.undo(pawsort.engine, pawsort.settings, "ben", seen, now=pawsort.now)
        return change.problem

    assert undo() is None
    assert undo() == "was changed meanwhile by ben"
    assert pawsort.state(id) == ("filed", "uncertain", None, b"sorted/uncertain/x.jpg")


def test_a_row_that_is_not_there_or_on_its_way_is_refused(pawsort: Installation) -> None:
    pawsort.claim(b"x.jpg")
    assert by_row(pawsort, Known(1, 0), Known(99, 0)) == ["is no longer in a folder"] * 2


def test_a_clock_set_back_does_not_turn_the_undo_of_a_correction_into_one_of_the_filing(
    pawsort: Installation,
) -> None:
    id = pawsort.file(b"x.jpg")
    pawsort.time -= timedelta(hours=1)
    pawsort.correct(b"cats/x.jpg")
    [change] = pawsort.undo(files=(b"dogs/x.jpg",))
    assert change.problem is None
    assert pawsort.state(id) == ("filed", "cats", None, b"sorted/cats/x.jpg")
