"""`undo` and `retry` of photos that were copied or linked remove what was made, and never the original."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.corrections import correct_undo_retry, made_files
from tests.support.installation import Installation, step_until
from tests.support.originals import state_of

Install = Callable[[str], Installation]


def made(pawsort: Installation) -> set[str]:
    root = pawsort.settings.sorted
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def filed(pawsort: Installation, name: str = "a/x.jpg", data: bytes = b"<cat>") -> Path:
    pawsort.drop(name, data)
    pawsort.run_worker()
    [path] = [p for p in pawsort.settings.sorted.rglob("*") if not p.is_dir()]
    return path


def test_undo_removes_what_was_made_and_the_original_is_not_taken_again(pawsort: Installation) -> None:
    filed(pawsort)
    before = state_of(pawsort.inbox)
    [change] = pawsort.undo(last=1)
    assert change.problem is None and change.path == os.path.join(pawsort.raw_inbox, b"a/x.jpg")
    assert made(pawsort) == set()
    assert pawsort.state(1) == ("undone", None, None, b"inbox/a/x.jpg")
    pawsort.run_worker()
    assert (made(pawsort), len(pawsort.rows("id"))) == (set(), 1)
    assert state_of(pawsort.inbox) == before


def test_after_an_undo_a_changed_original_is_a_new_arrival(pawsort: Installation) -> None:
    filed(pawsort)
    pawsort.undo(last=1)
    (pawsort.inbox / "a/x.jpg").write_bytes(b"<dog> new")
    pawsort.run_worker()
    assert made(pawsort) == {"dogs/a/x.jpg"}
    assert pawsort.rows("state, outcome") == [("filed", "dogs")]


def test_corrections_move_what_was_made_and_an_undo_moves_it_back(pawsort: Installation) -> None:
    filed(pawsort)
    before = state_of(pawsort.inbox)
    assert [change.problem for change in pawsort.correct(b"cats/a/x.jpg")] == [None]
    assert made(pawsort) == {"dogs/a/x.jpg"}
    assert [change.problem for change in pawsort.undo(files=(b"dogs/a/x.jpg",))] == [None]
    assert made(pawsort) == {"cats/a/x.jpg"}
    assert (pawsort.settings.sorted / "cats/a/x.jpg").read_bytes() == b"<cat>"
    assert state_of(pawsort.inbox) == before


@pytest.mark.parametrize("what", ["deleted", "edited", "replaced"])
def test_the_only_copy_is_not_removed(install: Install, what: str) -> None:
    for action in ("copy", "hardlink"):
        pawsort = install(action)
        original = Path(os.fsdecode(pawsort.drop(f"{action}.jpg", b"<cat>" + action.encode())))
        pawsort.run_worker()
        times = os.stat(original)
        original.unlink()
        if what != "deleted":
            original.write_bytes(b"<cat>" + b"????????"[: len(action)] + b"?" * (what == "edited"))
            os.utime(original, ns=(times.st_atime_ns, times.st_mtime_ns))
        [change] = pawsort.undo(last=1)
        assert "may be the only copy" in str(change.problem)
        assert f"cats/{action}.jpg" in made(pawsort)


def test_a_copy_whose_content_changed_is_not_removed(install: Install) -> None:
    path = filed(pawsort := install("copy"))
    path.write_bytes(b"edited by hand")
    [change] = pawsort.undo(last=1)
    assert "its content has changed" in str(change.problem)
    assert made(pawsort) == {"cats/a/x.jpg"}


def test_another_link_in_its_place_is_not_removed(install: Install) -> None:
    path = filed(pawsort := install("symlink"))
    path.unlink()
    path.symlink_to("/etc/passwd")
    [change] = pawsort.undo(last=1)
    assert "no longer the link" in str(change.problem)
    assert os.readlink(path) == "/etc/passwd"


def test_the_link_of_a_deleted_original_can_be_undone(install: Install) -> None:
    filed(pawsort := install("symlink"))
    (pawsort.inbox / "a/x.jpg").unlink()
    [change] = pawsort.undo(last=1)
    assert change.problem is None
    assert made(pawsort) == set()


def test_retry_makes_the_original_a_new_arrival_also_for_a_running_worker(pawsort: Installation) -> None:
    pawsort.drop("bad.jpg", b"<truncated>")
    pawsort.drop("good.jpg", b"<cat>")
    worker = pawsort.worker()
    worker.start()
    step_until(worker, lambda: len(pawsort.rows("id", "state = 'filed'")) == 2)
    before = state_of(pawsort.inbox)
    failed = os.path.join(pawsort.raw_sorted, b"failed/bad.jpg")
    [change] = correct_undo_retry.retry(pawsort.engine, pawsort.settings, "ann", [failed])
    assert change.problem is None
    step_until(worker, lambda: pawsort.rows("max(id)") == [(3,)])
    step_until(worker, lambda: worker.idle)
    worker.stop()
    assert made(pawsort) == {"cats/good.jpg", "failed/bad.jpg"}
    assert sorted(pawsort.rows("outcome")) == [("cats",), ("failed",)]
    assert state_of(pawsort.inbox) == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupted_undo_is_finished(
    pawsort: Installation, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    filed(pawsort)
    before = state_of(pawsort.inbox)
    remove = made_files.remove

    def killed(*made: object) -> None:
        if when == "after":
            remove(*made)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(made_files, "remove", killed)
    with pytest.raises(Killed):
        pawsort.undo(last=1)
    monkeypatch.undo()
    [change] = pawsort.recover()
    assert change.problem is None
    assert made(pawsort) == set()
    assert pawsort.state(1)[0] == "undone"
    assert state_of(pawsort.inbox) == before


def test_an_interrupted_undo_is_given_up_if_the_original_is_gone_meanwhile(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed(pawsort := install("copy"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(made_files, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        pawsort.undo(last=1)
    monkeypatch.undo()
    (pawsort.inbox / "a/x.jpg").unlink()
    [change] = pawsort.recover()
    assert "may be the only copy" in str(change.problem)
    assert made(pawsort) == {"cats/a/x.jpg"}
    assert pawsort.state(1)[0] == "filed"
