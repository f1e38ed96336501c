"""With `outcomes.failed: leave`, a file that cannot be read stays in its inbox, or goes back there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from db.ledger.ledger import Ledger
from pipeline.companions import moving
from pipeline.corrections import correct_undo_retry
from pipeline.errors import SettingsError
from pipeline.originals import companions
from pipeline.settings import config
from pipeline.worker.steps import held_file
from tests.pipeline.worker import test_killed
from tests.support.crash import Death
from tests.support.installation import QUICK, Installation, run_until_idle, step_until
from tests.support.oracle import conserved
from tests.support.originals import state_of

Install = Callable[[str], Installation]

BAD = {"trip/bad.jpg": b"<truncated>", "trip/bad.xmp": b"x", "trip/bad.CR2": b"raw"}


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Make an installation that takes files by an action, with a bad group and a good photo in its inbox."""
    made: list[Installation] = []

    def make(action: str, folder: str = "pawsort") -> Installation:
        text = QUICK + f"filing: {{action: {action}}}\noutcomes: {{failed: leave}}\n"
        made.append(pawsort := Installation(tmp_path / folder, text))
        for name, data in {**BAD, "good.jpg": b"1<cat>"}.items():
            pawsort.drop(name, data)
        return pawsort

    yield make
    for pawsort in made:
        pawsort.close()


def in_sorted(pawsort: Installation) -> set[str]:
    root = pawsort.settings.sorted
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def in_inbox(pawsort: Installation) -> dict[str, bytes]:
    inbox = pawsort.inbox
    return {str(path.relative_to(inbox)): path.read_bytes() for path in inbox.rglob("*") if path.is_file()}


@pytest.mark.parametrize("action", ["move", "copy", "hardlink", "symlink"])
def test_a_file_that_cannot_be_read_is_left_with_its_reason_until_it_changes(
    install: Install, action: str, caplog: pytest.LogCaptureFixture
) -> None:
    pawsort = install(action)
    before = state_of(pawsort.inbox)
    worker = pawsort.worker()
    worker.start()
    step_until(worker, lambda: len(pawsort.rows("id", "state IN ('filed', 'undone')")) == 2)
    for _ in range(5):
        worker.step()
    worker.stop()
    pawsort.run_worker()
    assert in_sorted(pawsort) == {"cats/good.jpg"}
    assert sorted(pawsort.rows("state, outcome, reason, path")) == [
        ("filed", "cats", None, str(pawsort.settings.sorted / "cats/good.jpg")),
        ("undone", None, "truncated", str(pawsort.inbox / "trip/bad.jpg")),
    ]
    assert os.listdir(pawsort.settings.spool) == []
    after = state_of(pawsort.inbox)
    assert {name: after[name] for name in BAD} == {name: before[name] for name in BAD}
    if action != "move":
        assert after == before
    conserved(pawsort.settings, pawsort.injected)
    path = pawsort.inbox / "trip/bad.jpg"
    [change] = correct_undo_retry.retry(pawsort.engine, pawsort.settings, "ann", [bytes(path)], pawsort.now)
    assert not change.problem
    pawsort.run_worker()
    assert pawsort.rows("max(id), count(*)") == [(3, 2)]
    path.write_bytes(b"repaired<dog>")
    pawsort.run_worker()
    assert in_sorted(pawsort) == {"cats/good.jpg", *(name.replace("trip", "dogs/trip") for name in BAD)}


def test_an_original_that_changed_meanwhile_goes_to_failed(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort = install("copy")

    def changed(action: str, inbox: bytes, source: bytes, *rest: object) -> bool:
        Path(os.fsdecode(os.path.join(inbox, b"trip/bad.CR2"))).unlink()
        return companions_unmake(action, inbox, source, *rest)  # type: ignore[arg-type]

    companions_unmake = companions.unmake
    monkeypatch.setattr(held_file.companions, "unmake", changed)
    pawsort.run_worker()
    assert in_sorted(pawsort) == {"cats/good.jpg", *(name.replace("trip", "failed/trip") for name in BAD)}
    assert pawsort.rows("state, outcome", "reason IS NOT NULL") == [("filed", "failed")]


def test_an_inbox_that_does_not_take_its_file_back_does_not_stop_the_worker(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort = install("move")
    move = moving.moves.move

    def refusing(source: bytes, destination: bytes) -> None:
        if destination.startswith(pawsort.raw_inbox + b"/"):
            raise PermissionError(13, "Permission denied", destination)
        move(source, destination)

    monkeypatch.setattr(moving.moves, "move", refusing)
    pawsort.run_worker()
    assert in_sorted(pawsort) == {"cats/good.jpg", *(name.replace("trip", "failed/trip") for name in BAD)}
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(58)
@pytest.mark.parametrize("action", ["move", "copy", "symlink"])
def test_killed_at_any_step_it_is_left_once(
    install: Install, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = [(Ledger, "leave"), (companions, "take"), (companions, "unmake")]
    monkeypatch.setattr(test_killed, "STEPS", [*test_killed.STEPS, *more])
    for point in range(1, 60):
        pawsort = install(action, str(point))
        died = False
        with pytest.MonkeyPatch.context() as patch:
            test_killed.kill_at(patch, point, after=point % 2 == 0)
            worker = pawsort.worker()
            try:
                run_until_idle(worker)
            except Death:
                died = True
            for inbox in worker.inboxes:
                inbox.stop()
        pawsort.run_worker()
        assert in_sorted(pawsort) == {"cats/good.jpg"}, point
        assert pawsort.rows("count(*)", "state = 'undone'") == [(1,)], point
        assert BAD.items() <= in_inbox(pawsort).items(), point
        conserved(pawsort.settings, pawsort.injected)
        if not died:
            break
    assert not died and point > 10


@pytest.mark.fault(58)
def test_a_file_on_its_way_back_is_not_taken_before_its_row_says_that_it_is_there(
    install: Install, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    pawsort = install("move")
    leave, failures = Ledger.leave, []

    def locked(ledger: Ledger, *args: object) -> None:
        if len(failures) < 5:
            failures.append(args)
            raise OSError(5, "Input/output error")
        leave(ledger, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "leave", locked)
    pawsort.run_worker()
    assert len(failures) == 5
    assert pawsort.rows("count(*)", "state = 'undone'") == [(1,)]
    assert pawsort.rows("max(id)") == [(2,)]
    conserved(pawsort.settings, pawsort.injected)


def test_duplicates_have_two_names_which_must_agree(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for text in (
        "duplicates: hold",
        "outcomes: {duplicates: hold}",
        "{duplicates: hold, outcomes: {duplicates: hold}}",
    ):
        path.write_text(text)
        settings = config.load(path)
        assert (settings.duplicates, settings.outcomes.duplicates) == ("hold", "hold"), text
    path.write_text("{duplicates: hold, outcomes: {duplicates: file}}")
    with pytest.raises(
        SettingsError, match=r"duplicates: hold and outcomes\.duplicates: file are one setting"
    ):
        config.load(path)
