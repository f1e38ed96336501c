"""What a person wants of another machine's file: asked there, carried out by its worker, once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from db.connection.engine import writing
from db.ledger import requests as ledger
from db.queries import requests as queries
from db.queries import review, spot_checks
from db.queries.workers import all_workers
from db.schema.tables import Via
from pipeline.corrections import correct_undo_retry
from pipeline.corrections.correct_undo_retry import Known, moves_lock
from pipeline.corrections.recorded_move import Change
from pipeline.requests import carry_out
from pipeline.requests.asking import Asker, after_request
from pipeline.requests.owners import SILENT, trouble_of
from tests.pipeline.requests.conftest import Two
from tests.support.installation import wait
from tests.support.oracle import read

UNSURE = {"reason": "low_confidence", "confidence": 0.5}


def not_here(_: object) -> list[Change]:
    raise AssertionError("no file is of this machine")


def asker(two: Two, via: Via = "page") -> Asker:
    return Asker(two.ann.everyone, two.ann.id, "ann", via)


def correct(two: Two, id: int, version: int = 0, label: str = "dog", via: Via = "page") -> Change:
    [change] = asker(two, via).change([Known(id, version)], "correct", not_here, label)
    return change


def requested(two: Two, change: Change) -> queries.Request:
    assert change.request is not None
    found = queries.request(two.ann.everyone, change.request)
    assert found is not None
    return found


def test_a_correction_is_sent_and_carried_out_by_the_owner(two: Two) -> None:
    mine = two.ann.file(b"a.jpg", b"ann's", "uncertain", **UNSURE)  # the same paths on both machines
    id = two.bob.file(b"a.jpg", b"bob's", "uncertain", **UNSURE)
    change = correct(two, id)
    assert (change.owner, change.problem, change.outcome) == ("bob", None, "uncertain")
    assert change.as_dict()["worker"] == "bob"
    assert str(change).endswith(f"sent to bob (request {change.request})")
    two.ann.answer_requests()
    assert requested(two, change).is_open  # it is bob's
    two.bob.answer_requests()
    assert two.bob.state(id)[1:3] == ("dogs", "dog")
    assert two.bob.path("dogs/a.jpg").startswith(bytes(two.bob.settings.sorted))
    assert read(two.bob.path("dogs/a.jpg")) == b"bob's"
    assert two.ann.state(mine)[1] == "uncertain"
    done = requested(two, change)
    assert (done.is_open, done.problem) == (False, None)
    [move] = two.bob.ledger.moves(id)
    assert (move.by, move.via, move.new_corrected_to) == ("ann", "page", "dog")


def test_the_photo_leaves_the_queues_while_its_request_is_open(two: Two) -> None:
    ids = [two.bob.file(b"%d.jpg" % n, b"%d" % n, "uncertain", **UNSURE) for n in range(3)]
    everyone = two.ann.everyone
    assert sum(review.left(everyone).values()) == 3
    change = correct(two, ids[0])
    left = review.left(everyone)
    assert sum(left.values()) == 2
    assert [entry.id for entry in review.queue(everyone, list(left), size=9)] == ids[1:]
    assert asker(two).take_back(requested(two, change)).problem is None
    assert sum(review.left(everyone).values()) == 3
    for id in ids:
        correct(two, id)
    assert review.left(everyone) == {}


def test_so_it_does_the_photos_to_check(two: Two) -> None:
    from db.ledger.spot_checks import Sampled, record_draw

    id = two.bob.file(b"a.jpg", b"a")
    everyone = two.ann.everyone
    record_draw(everyone, [Sampled(id, "cats", 1.0)], datetime.now(UTC))
    assert spot_checks.count_waiting(everyone) == 1
    correct(two, id, via="check")
    assert (spot_checks.count_waiting(everyone), spot_checks.waiting(everyone)) == (0, [])
    two.bob.answer_requests()
    [drawn] = spot_checks.drawn(everyone)
    assert (drawn.label, drawn.right) == ("dog", False)
    [undone] = asker(two, "check").undo([Known(id, 0)], not_here)
    two.bob.answer_requests()
    assert requested(two, undone).problem is None
    assert spot_checks.count_waiting(everyone) == 1


def test_a_row_that_changed_meanwhile_is_a_problem(two: Two) -> None:
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    change = correct(two, id)
    two.bob.correct(b"uncertain/a.jpg", label="cat")  # by a person at bob's machine
    two.bob.answer_requests()
    assert requested(two, change).problem == "was changed meanwhile by ann, to cat"
    assert two.bob.state(id)[1] == "cats"
    late = correct(two, id)
    assert (late.request, late.problem) == (None, "was changed meanwhile by ann, to cat")


def test_an_unknown_label_or_a_changed_content_is_a_problem_too(two: Two) -> None:
    ids = [two.bob.file(name, name, "uncertain", **UNSURE) for name in (b"a.jpg", b"b.jpg")]
    unknown = correct(two, ids[0], label="horse")
    with open(two.bob.path("uncertain/b.jpg"), "ab") as file:
        file.write(b"more")
    changed = correct(two, ids[1])
    two.bob.answer_requests()
    assert "expected one of" in (requested(two, unknown).problem or "")
    assert "content has changed" in (requested(two, changed).problem or "")


def test_a_folder_that_people_made_on_any_machine_is_a_label(two: Two) -> None:
    two.ann.file(b"h.jpg", b"h", "horses")
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    change = correct(two, id, label="horses")
    two.bob.answer_requests()
    assert requested(two, change).problem is None
    assert two.bob.state(id)[1] == "horses"


def test_a_file_has_one_open_request(two: Two) -> None:
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    first, second = correct(two, id), correct(two, id, label="cat")
    assert second.problem == "waits for bob, asked by ann to record it as dog"
    assert [each.id for each in queries.open_requests(two.ann.everyone)] == [first.request]
    assert queries.count_open(two.ann.everyone) == {two.bob.id: 1}


def test_undo_takes_an_open_request_back_and_undoes_one_that_was_carried_out(two: Two) -> None:
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    seen = Known(id, 0)
    first = correct(two, id)
    [back] = asker(two).undo([seen], not_here)
    assert (back.problem, back.request) == (None, None)
    assert requested(two, first).problem == "taken back by ann"
    two.bob.answer_requests()
    assert two.bob.state(id)[1] == "uncertain"
    second = correct(two, id)
    two.bob.answer_requests()
    assert asker(two).take_back(requested(two, second)).problem == "the request was carried out meanwhile"
    assert after_request(two.ann.everyone, seen).version == two.bob.ledger.moves(id)[-1].id
    [undone] = asker(two).undo([seen], not_here)
    assert undone.request is not None
    two.bob.answer_requests()
    assert two.bob.state(id)[1:3] == ("uncertain", None)
    assert after_request(two.ann.everyone, seen) == seen  # changed by others since


def test_a_filing_is_undone_and_a_failed_file_sent_in_again(two: Two) -> None:
    a = two.bob.file(b"a.jpg", b"a")
    b = two.bob.file(b"b.jpg", b"b", "failed", reason="corrupt", prediction=None)
    asker(two).change([Known(a, 0)], "undo", not_here)
    asker(two).change([Known(b, 0)], "retry", not_here)
    two.bob.answer_requests()
    assert (two.bob.state(a)[0], two.bob.state(b)[0]) == ("undone", "vanished")
    assert {path.name for path in two.bob.inbox.iterdir()} == {"a.jpg", "b.jpg"}
    again = asker(two).change([Known(a, two.bob.ledger.moves(a)[-1].id)], "retry", not_here)
    two.bob.answer_requests()
    assert requested(two, again[0]).problem is None
    assert two.bob.state(a)[0] == "vanished"


@pytest.mark.parametrize("kind", ["correct", "undo", "retry"])
@pytest.mark.parametrize("moment", ["begun", "made", "recorded"])
def test_a_request_that_a_killed_worker_carried_out_is_recognised(
    two: Two, kind: ledger.RequestKind, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = {"reason": "corrupt", "prediction": None} if kind == "retry" else UNSURE
    outcome = "failed" if kind == "retry" else "uncertain"
    id = two.bob.file(b"a.jpg", b"a", outcome, **reason)
    label = "dog" if kind == "correct" else None
    [change] = asker(two).change([Known(id, 0)], kind, not_here, label)
    _kill(two, moment, monkeypatch)
    assert requested(two, change).is_open
    two.bob.recover()  # as at the worker's start
    two.bob.answer_requests()
    done = requested(two, change)
    assert (done.is_open, done.problem) == (False, None)
    assert len(two.bob.ledger.moves(id)) == 1
    expected = {"correct": "filed", "undo": "undone", "retry": "vanished"}
    assert two.bob.state(id)[0] == expected[kind]


class Killed(BaseException):
    """The end of a worker in the middle of a request."""


def _kill(two: Two, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Carry the request out until a moment: the move is begun, made, or recorded."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if moment == "begun":
            patched.setattr("pipeline.companions.moving.move", killed)
        elif moment == "made":
            patched.setattr("db.ledger.move_records.MoveBook.finish_move", killed)
        else:
            patched.setattr("db.ledger.ledger.Ledger.let_go", killed)
            patched.setattr(ledger.HeldRequest, "finish", killed)
        with pytest.raises(Killed):
            two.bob.requests().advance()


def test_a_request_that_is_being_carried_out_cannot_be_taken_back(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    change = correct(two, id)
    said: list[Change] = []
    taking = threading.Thread(target=lambda: said.append(asker(two).take_back(requested(two, change))))
    do = carry_out.RequestStep._do

    def slowly(step: carry_out.RequestStep, request: ledger.OpenRequest) -> Change:
        taking.start()
        taking.join(0.5)
        return do(step, request)

    with monkeypatch.context() as patched:
        patched.setattr(carry_out.RequestStep, "_do", slowly)
        two.bob.answer_requests()
    taking.join()
    assert [each.problem for each in said] == ["the request was carried out meanwhile"]
    assert (requested(two, change).problem, two.bob.state(id)[1]) == (None, "dogs")


def test_a_command_that_moves_files_delays_no_step(two: Two) -> None:
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    change = correct(two, id)
    step = two.bob.requests()
    with moves_lock(two.bob.settings):
        began = datetime.now(UTC)
        step.advance()
        assert datetime.now(UTC) - began < timedelta(seconds=2)
        assert not step.idle
    wait(lambda: step.advance() or step.idle, "the request")
    assert not requested(two, change).is_open


def test_many_requests_let_the_worker_take_steps_between(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [two.bob.file(b"%d.jpg" % n, b"%d" % n, "uncertain", **UNSURE) for n in range(4)]
    for id in ids:
        correct(two, id)
    monkeypatch.setattr(carry_out, "AT_ONCE_SECONDS", 1e-9)
    step = two.bob.requests()
    for _ in ids:
        step.advance()
        assert not step.idle
    step.advance()
    assert step.idle
    assert {two.bob.state(id)[1] for id in ids} == {"dogs"}


def test_a_database_that_is_away_is_asked_again_later(two: Two, caplog: pytest.LogCaptureFixture) -> None:
    step = two.bob.requests()
    with writing(two.ann.everyone) as connection:
        connection.exec_driver_sql("ALTER TABLE requests RENAME TO away")
    try:
        step.advance()
    finally:
        with writing(two.ann.everyone) as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO requests")
    assert "requests are not carried out" in caplog.text
    assert step.idle


def test_an_owner_that_is_stopped_or_silent_is_said_so(two: Two) -> None:
    from db.ledger import workers

    now = datetime.now(UTC)
    bob = all_workers(two.ann.everyone)[1]
    assert trouble_of(bob, now) is None
    assert (trouble_of(bob, now + 2 * SILENT) or "").startswith("is silent since 20")
    workers.stopped(two.ann.everyone, two.bob.id, now)
    assert (trouble_of(all_workers(two.ann.everyone)[1], now) or "").startswith("is stopped since 20")
    assert trouble_of(None, now) == "has not started yet"


def test_own_files_are_changed_at_once_and_others_beside_them(two: Two) -> None:
    mine = two.ann.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    other = two.bob.file(b"a.jpg", b"b", "uncertain", **UNSURE)

    def here(files: object) -> list[Change]:
        assert files == [Known(mine, 0)]
        return correct_undo_retry.correct(two.ann.engine, two.ann.settings, [Known(mine, 0)], "dog", "ann")

    changes = asker(two).change([Known(other, 0), Known(mine, 0)], "correct", here, "dog")
    assert [change.request is None for change in changes] == [False, True]
    assert changes[1].outcome == "dogs"
    two.bob.answer_requests()
    for machine, data in ((two.ann, b"a"), (two.bob, b"b")):
        assert read(machine.path("dogs/a.jpg")) == data
