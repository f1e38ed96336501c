"""Requests while others ask, take back and change, and while clocks differ."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from db.ledger import requests as ledger
from db.queries import requests as queries
from pipeline.corrections.correct_undo_retry import Known
from pipeline.requests.asking import Asker
from pipeline.requests.carry_out import RequestStep
from tests.pipeline.requests.conftest import Two
from tests.pipeline.requests.test_carry_out import UNSURE, asker, correct, not_here, requested
from tests.support.installation import FOLDERS, wait

HOUR = timedelta(hours=1)


def test_who_asks_does_not_keep_the_owner_from_its_file(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a machine that falls asleep while it asks would stop the owner's worker."""
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    record = ledger._record

    def meanwhile(*given: object) -> int | None:
        request = record(*given)  # type: ignore[arg-type]
        two.bob.correct(b"uncertain/a.jpg", label="cat")
        return request

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_record", meanwhile)
        change = correct(two, id)
    two.bob.answer_requests()
    assert requested(two, change).problem == "was changed meanwhile by ann, to cat"
    assert two.bob.state(id)[1] == "cats"


def test_of_two_people_who_ask_at_once_the_second_hears_who_was_first(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [two.bob.file(b"%d.jpg" % n, b"%d" % n, "uncertain", **UNSURE) for n in range(2)]
    first = correct(two, ids[0])
    monkeypatch.setattr(ledger, "_taken", lambda *_: set())  # as before the first has recorded it
    second = correct(two, ids[0], label="cat")
    assert second.problem == "waits for bob, asked by ann to record it as dog"
    assert [each.id for each in queries.open_requests(two.ann.everyone)] == [first.request]
    assert correct(two, ids[1]).request is not None


def test_a_refused_request_is_shown_also_if_the_clock_of_its_worker_is_days_late(two: Two) -> None:
    change = correct(two, two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE))
    two.bob.correct(b"uncertain/a.jpg", label="cat")
    bob = two.bob
    late = RequestStep(
        bob.engine, bob.everyone, bob.id, bob.settings, lambda: FOLDERS,
        now=lambda: datetime.now(UTC) - timedelta(days=3),
    )  # fmt: skip
    wait(lambda: late.advance() or late.idle, "the request")
    assert [each.id for each in queries.refused_within(two.ann.everyone, HOUR)] == [change.request]


def test_requests_that_were_taken_back_hide_no_refused_one(two: Two) -> None:
    ids = [two.bob.file(b"%d.jpg" % n, b"%d" % n, "uncertain", **UNSURE) for n in range(4)]
    for id in ids[1:]:
        assert asker(two).take_back(requested(two, correct(two, id))).problem is None
    changes = [correct(two, id) for id in ids[:3]]
    for n in range(3):
        two.bob.correct(b"uncertain/%d.jpg" % n, label="cat")
    two.bob.answer_requests()
    newest = queries.refused_within(two.ann.everyone, HOUR, limit=2)
    assert [each.id for each in newest] == [change.request for change in changes[1:]]


def test_who_saw_a_photo_before_anothers_correction_does_not_undo_that(two: Two) -> None:
    seen = Known(two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE), 0)
    correct(two, seen.id)
    two.bob.answer_requests()
    eve = Asker(two.ann.everyone, two.ann.id, "eve", "page")
    [refused] = eve.undo([seen], not_here)  # to put it back into its inbox
    assert refused.problem == "was changed meanwhile by ann, to dog"
    [undone] = asker(two).undo([seen], not_here)
    assert undone.request is not None
    two.bob.answer_requests()
    assert two.bob.state(seen.id)[1:3] == ("uncertain", None)


def test_many_requests_to_one_worker_hide_none_to_another(two: Two) -> None:
    for n in range(3):
        correct(two, two.bob.file(b"%d.jpg" % n, b"%d" % n, "uncertain", **UNSURE))
    of_ann = Asker(two.bob.everyone, two.bob.id, "bob", "page")
    id = two.ann.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    [change] = of_ann.change([Known(id, 0)], "correct", not_here, "dog")
    everyone = two.ann.everyone
    assert [each.id for each in queries.open_requests(everyone, 2, two.ann.id)] == [change.request]
    assert [each.worker_id for each in queries.open_requests(everyone, 2)] == [two.bob.id] * 2
