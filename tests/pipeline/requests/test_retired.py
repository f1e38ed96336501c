"""A machine that is gone for good: `pawsort workers --retire`, and what is asked of its photos then."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from db.connection.engine import reserved
from db.ledger import requests as ledger
from db.ledger import workers
from db.queries import requests as queries
from db.queries import review
from db.queries.workers import SILENT_SECONDS, all_workers
from pipeline.corrections.correct_undo_retry import Known
from pipeline.worker import listing
from tests.pipeline.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.pipeline.requests.conftest import Two
from tests.pipeline.requests.test_carry_out import UNSURE, asker, correct, requested
from tests.support.installation import Installation

SENTENCE = (
    "is a photo of bob, which was retired; start its worker again, or let another machine take its place"
)

Retire = Callable[..., tuple[int, str]]


def state_of(two: Two, name: str = "bob") -> str:
    return next(worker.state for worker in all_workers(two.ann.everyone) if worker.name == name)


@pytest.fixture
def retire(run: Run, two: Two) -> Retire:  # noqa: F811
    """Retire a worker by the command at ann's machine; return the exit code, and what was said."""

    def it(name: str = "bob", *more: str) -> tuple[int, str]:
        done = run("workers", "--retire", name, *more, "--json", "--config", str(two.ann.config))
        return done.code, done.err

    return it


def test_a_worker_that_is_alive_is_not_retired(two: Two, retire: Retire) -> None:
    code, said = retire()
    assert code == 5 and "gave a sign of life in the last 30 seconds" in said
    two.bob.fall_silent()
    with reserved(two.bob.engine):
        code, said = retire()
    assert code == 5 and "stop it first" in said
    assert state_of(two) == "silent"
    assert retire()[0] == 0
    assert state_of(two) == "retired"


def test_one_that_stopped_in_order_is_retired_at_once(
    two: Two,
    retire: Retire,
    run: Run,  # noqa: F811
) -> None:
    workers.stopped(two.ann.everyone, two.bob.id, datetime.now(UTC))
    assert retire()[0] == 0
    [_, bob] = json.loads(run("workers", "--json", "--config", str(two.ann.config)).out)
    assert bob["retired_at"] and not bob["runs"]
    assert retire()[0] == 0
    [_, again] = json.loads(run("workers", "--json", "--config", str(two.ann.config)).out)
    assert again["retired_at"] == bob["retired_at"], "it is since the first time"


def test_who_cannot_be_retired_is_said(
    pawsort: Installation,
    retire: Retire,
    run: Run,  # noqa: F811
) -> None:
    code, said = retire("carl")
    assert code == 2 and "no worker 'carl' in this database; there are: ann, bob" in said
    code, said = retire("bob", "--take-over", "bob")
    assert code == 2 and "give one of them" in said
    done = run("workers", "--retire", "ann", "--config", str(pawsort.config))
    assert (done.code, "no worker 'ann'" in done.err) == (2, True)


def test_open_requests_end_and_new_ones_are_refused_with_what_to_do(two: Two, retire: Retire) -> None:
    first, second = (two.bob.file(name, name, "uncertain", **UNSURE) for name in (b"a.jpg", b"b.jpg"))
    asked = correct(two, first)
    two.bob.fall_silent()
    assert retire()[0] == 0
    ended = requested(two, asked)
    assert not ended.is_open and (ended.problem or "").startswith(SENTENCE)
    late = correct(two, second)
    assert late.request is None and (late.problem or "").startswith(SENTENCE)
    [undone] = asker(two).undo([Known(first, 0)], lambda _: [])
    assert (undone.problem or "").startswith(SENTENCE)
    assert queries.count_open(two.ann.everyone) == {}


def test_its_photos_stay_in_review_and_are_its_own(two: Two, retire: Retire) -> None:
    two.ann.file(b"a.jpg", b"ann's", "uncertain", **UNSURE)
    two.bob.file(b"a.jpg", b"bob's", "uncertain", **UNSURE)
    two.bob.fall_silent()
    retire()
    assert sum(review.left(two.ann.everyone).values()) == 2
    with two.ann.everyone.connect() as connection:
        rows = connection.exec_driver_sql("SELECT worker FROM results ORDER BY id").scalars().all()
    assert rows == ["ann", "bob"]


@pytest.mark.parametrize("sign", ["start", "beat"])
def test_a_retired_worker_that_gives_a_sign_of_life_is_back(two: Two, retire: Retire, sign: str) -> None:
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    ended = correct(two, id)
    two.bob.fall_silent()
    retire()
    if sign == "start":
        [bob] = [each for each in all_workers(two.bob.everyone) if each.id == two.bob.id]
        workers.started(two.bob.everyone, bob.id, bob.name, str(bob.token), datetime.now(UTC))
    else:
        two.bob.beat()
    assert state_of(two) == "running"
    two.bob.answer_requests()
    assert two.bob.state(id)[1] == "uncertain", "what has ended is not done later"
    assert correct(two, id).problem is None
    two.bob.answer_requests()
    assert two.bob.state(id)[1:3] == ("dogs", "dog")
    assert requested(two, ended).problem


def test_another_installation_takes_the_place_of_a_retired_worker(
    two: Two,
    retire: Retire,
    run: Run,  # noqa: F811
) -> None:
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    two.bob.fall_silent()
    retire()
    new = two.ann.config.parent / "new.yaml"
    place = (
        f"inboxes: {[str(inbox) for inbox in two.bob.settings.inboxes]}\nsorted: {two.bob.settings.sorted}\n"
    )
    new.write_text(f"{place}state: new\ndatabase: {two.ann.settings.database_url}\n")
    done = run("workers", "--take-over", "bob", "--config", str(new))
    assert done.code == 0, done.err
    workers.beat(two.ann.everyone, two.bob.id, {}, None)
    assert state_of(two) == "running"
    assert correct(two, id).problem is None


def test_what_is_asked_while_a_worker_is_retired_does_not_stay_open(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is not committed yet when the worker is retired, which therefore waits for it."""
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    two.bob.fall_silent()
    engine, record = two.bob.everyone, ledger._record
    retiring = threading.Thread(target=lambda: workers.retire(engine, two.bob.id, SILENT_SECONDS))

    def record_slowly(*given: object) -> int:
        retiring.start()
        retiring.join(0.5)
        return record(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger, "_record", record_slowly)
    asked = correct(two, id)
    retiring.join()
    assert not requested(two, asked).is_open


def test_a_worker_that_starts_while_it_is_retired_is_back(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it runs was asked before it has started."""
    two.bob.fall_silent()
    monkeypatch.setattr(listing, "running_workers", lambda _: two.bob.beat() or set())
    with pytest.raises(Exception, match="sign of life"):
        listing.retire(two.ann.everyone, "bob")
    assert state_of(two) == "running"
