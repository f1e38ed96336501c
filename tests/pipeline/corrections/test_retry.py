"""`retry` sends failed files through the inbox again."""

from __future__ import annotations

import os

from pipeline.corrections import correct_undo_retry
from pipeline.corrections.correct_undo_retry import Known
from pipeline.files import moves
from tests.support.installation import Installation


def retry(pawsort: Installation, *files: bytes | Known) -> list[str | None]:
    changes = correct_undo_retry.retry(pawsort.engine, pawsort.settings, "ann", files, pawsort.now)
    return [change.problem for change in changes]


def test_a_failure_is_sent_in_again_as_a_new_arrival(pawsort: Installation) -> None:
    id = pawsort.file(b"a/x.jpg", outcome="failed")
    assert retry(pawsort, Known(id, 0)) == [None]
    assert pawsort.tree() == {b"inbox/a/x.jpg": b"cat"}
    assert pawsort.state(id) == ("vanished", None, None, None)
    path = os.path.join(pawsort.raw_inbox, b"a/x.jpg")
    assert pawsort.ledger.put_back({path: moves.identity(path)}) == set()


def test_only_what_failed_is_tried_again(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg")
    assert retry(pawsort, b"x.jpg") == ["is in cats; only failed files can be retried"]
    assert pawsort.state(id)[0] == "filed"


def test_a_failure_that_cannot_be_moved_stays_what_it_was(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg", outcome="failed")
    (pawsort.settings.sorted / "failed/x.jpg").write_bytes(b"other")
    assert retry(pawsort, Known(id, 0)) == ["its content has changed since it was filed; nothing was moved"]
    assert pawsort.state(id)[:2] == ("filed", "failed")


def test_what_an_undo_has_put_back_can_be_let_go_too(pawsort: Installation) -> None:
    # So a retry that was cut off after the undo can be made again.
    id = pawsort.file(b"x.jpg")
    pawsort.undo(last=1)
    [move] = pawsort.ledger.moves(id)
    assert retry(pawsort, Known(id, move.id)) == [None]
    assert pawsort.state(id)[0] == "vanished"
    assert pawsort.tree() == {b"inbox/x.jpg": b"cat"}


def test_what_an_undo_has_put_back_is_found_by_its_path_in_the_inbox(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg")
    pawsort.undo(last=1)
    path = os.path.join(pawsort.raw_inbox, b"x.jpg")
    assert correct_undo_retry.undo(pawsort.engine, pawsort.settings, "ann", [path])[0].problem is not None
    assert retry(pawsort, path) == [None]
    assert pawsort.state(id)[0] == "vanished"


def test_a_photo_of_a_folder_that_no_worker_watches_stays(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg", outcome="failed")
    why = f"is of {os.fsdecode(pawsort.raw_inbox)}, which no worker watches; move it into an inbox yourself"
    pawsort.settings = pawsort.settings.model_copy(update={"inboxes": (pawsort.settings.state / "other",)})
    assert retry(pawsort, Known(id, 0)) == [why]
    assert pawsort.state(id)[:2] == ("filed", "failed")


def test_two_retries_of_one_failure_are_one(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg", outcome="failed")
    assert retry(pawsort, Known(id, 0)) == [None]
    assert retry(pawsort, Known(id, 0)) == ["was changed meanwhile by ann"]
