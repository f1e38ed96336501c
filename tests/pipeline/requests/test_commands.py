"""The commands `correct`, `undo`, `retry` and `query` for the files of other machines."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from db.ledger import workers
from db.queries import requests as queries
from tests.pipeline.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.pipeline.requests.conftest import Two
from tests.support.installation import Installation, wait

UNSURE = {"reason": "low_confidence", "confidence": 0.5}


@pytest.fixture
def at_ann(run: Run, two: Two) -> Run:  # noqa: F811
    """Run a command at ann's machine."""
    return lambda command, *words: run(command, *words, "--config", str(two.ann.config), "--by", "ann")


def at_bob(two: Two, name: str) -> str:
    return os.fsdecode(two.bob.path(name))


@contextmanager
def answering(two: Two) -> Iterator[None]:
    """Let bob's worker carry out the next request that it gets."""

    def answer() -> None:
        wait(lambda: queries.count_open(two.bob.everyone), "a request")
        two.bob.answer_requests()

    thread = threading.Thread(target=answer)
    thread.start()
    yield
    thread.join()


def test_a_photo_of_another_machine_is_sent_by_its_path_there(two: Two, at_ann: Run) -> None:
    mine = two.ann.file(b"b.jpg", b"b", "uncertain", **UNSURE)
    other = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    paths = [os.fsdecode(two.ann.path("uncertain/b.jpg")), at_bob(two, "uncertain/a.jpg")]
    os.rename(paths[1], paths[1] + ".away")  # on another machine it is not at this path
    done = at_ann("correct", *paths, "--as", "dog")
    assert done.code == 0
    assert done.out.splitlines()[1] == f"{paths[1]}: sent to bob (request 1)"
    assert two.ann.state(mine)[1] == "dogs"
    os.rename(paths[1] + ".away", paths[1])
    two.bob.answer_requests()
    assert two.bob.state(other)[1:3] == ("dogs", "dog")
    assert [move.via for move in two.bob.ledger.moves(other)] == ["command"]


def test_with_worker_a_path_is_that_of_this_worker(two: Two, at_ann: Run) -> None:
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    mine = two.ann.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    done = at_ann("correct", "a.jpg", "--as", "dog", "--worker", "bob", "--json")
    [change] = json.loads(done.out)
    assert (change["worker"], change["request"], change["problem"]) == ("bob", 1, None)
    two.bob.answer_requests()
    assert (two.bob.state(id)[1], two.ann.state(mine)[1]) == ("dogs", "uncertain")
    assert "no filed photo of bob" in at_ann("correct", "x.jpg", "--as", "dog", "--worker", "bob").out
    wrong = at_ann("correct", "a.jpg", "--as", "dog", "--worker", "carl")
    assert (wrong.code, "expected one of ann, bob" in wrong.err) == (2, True)
    at_ann("correct", "a.jpg", "--as", "cat", "--worker", "ann")
    assert two.ann.state(mine)[1] == "cats"


def test_a_name_that_is_ones_own_too_is_ones_own(two: Two, at_ann: Run) -> None:
    two.bob.file(b"a.jpg", b"b", "uncertain", **UNSURE)
    mine = two.ann.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    at_ann("correct", "a.jpg", "--as", "dog")
    assert two.ann.state(mine)[1] == "dogs"
    two.bob.file(b"c.jpg", b"c"), two.bob.file(b"x/c.jpg", b"d")
    assert "2 photos may be meant (bob)" in at_ann("correct", "c.jpg", "--as", "dog").out


def test_a_command_waits_as_long_as_it_is_told(two: Two, at_ann: Run) -> None:
    id = two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    with answering(two):
        done = at_ann("correct", "a.jpg", "--as", "dog", "--worker", "bob", "--wait", "60")
    assert (done.code, done.out.strip()) == (0, f"a.jpg -> {at_bob(two, 'dogs/a.jpg')}")
    workers.stopped(two.ann.everyone, two.bob.id, datetime.now(UTC))
    away = at_ann("undo", "a.jpg", "--worker", "bob", "--wait", "0.1")
    assert away.code == 1
    assert "sent to bob" in away.out and "bob is stopped since" in away.err
    two.bob.answer_requests()
    assert two.bob.state(id)[1] == "uncertain"


def test_what_its_worker_refuses_is_a_problem_of_the_command(two: Two, at_ann: Run) -> None:
    two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    with answering(two):
        done = at_ann("correct", "a.jpg", "--as", "horse", "--worker", "bob", "--wait", "60")
    assert done.code == 1 and "a.jpg: --as horse: expected one of" in done.out


def test_a_failed_photo_of_another_machine_is_sent_in_again(two: Two, at_ann: Run) -> None:
    id = two.bob.file(b"a.jpg", b"a", "failed", reason="corrupt", prediction=None)
    assert "sent to bob" in at_ann("retry", "a.jpg").out
    two.bob.answer_requests()
    assert two.bob.state(id)[0] == "vanished"


def test_who_waits_for_it_sees_where_it_was_sent_in(two: Two, at_ann: Run) -> None:
    two.bob.file(b"a.jpg", b"a", "failed", reason="corrupt", prediction=None)
    with answering(two):
        done = at_ann("retry", "a.jpg", "--wait", "60")
    assert (done.code, done.out.strip()) == (0, f"a.jpg -> {two.bob.settings.inboxes[0]}/a.jpg")


def test_query_lists_the_files_of_one_worker(two: Two, run: Run) -> None:  # noqa: F811
    two.ann.file(b"a.jpg", b"a"), two.bob.file(b"b.jpg", b"b")
    shown = run("query", "--config", str(two.ann.config)).out.splitlines()
    assert [line.split()[-2] for line in shown] == ["worker", "bob", "ann"]
    found = run("query", "--worker", "bob", "--json", "--config", str(two.ann.config))
    assert [row["name"] for row in json.loads(found.out)] == ["b.jpg"]


def test_where_there_is_one_worker_none_can_be_named(pawsort: Installation, run: Run) -> None:  # noqa: F811
    pawsort.file(b"a.jpg", b"a")
    done = run("correct", "a.jpg", "--as", "dog", "--worker", "bob", "--config", str(pawsort.config))
    assert (done.code, "has one worker" in done.err) == (2, True)


def test_a_label_that_no_database_can_store_is_refused_by_the_owner(two: Two, at_ann: Run) -> None:
    two.bob.file(b"a.jpg", b"a", "uncertain", **UNSURE)
    assert at_ann("correct", "a.jpg", "--worker", "bob", "--as", "d\udcffg").code == 0
    two.bob.answer_requests()
    [refused] = queries.refused_within(two.ann.everyone, timedelta(hours=1))
    assert "expected one of" in (refused.problem or "")
