"""Files that an inbox or the spool refuses wait, and their neighbours are filed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.files import moves
from tests.pipeline.worker.refusing_disk import reasons
from tests.support.installation import Installation, run_until_idle, step_until
from tests.support.oracle import conserved

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Folders, by name, that `os.access` calls unwritable, as the kernel does for all but root."""
    names: set[str] = set()
    access = os.access

    def answer(path: Any, mode: int, *, dir_fd: int | None = None, **options: Any) -> bool:
        at = f"/proc/self/fd/{dir_fd}" if dir_fd is not None else os.fsdecode(path)
        return os.path.basename(os.path.realpath(at)) not in names and access(
            path, mode, dir_fd=dir_fd, **options
        )

    monkeypatch.setattr(os, "access", answer)
    return names


@pytest.mark.fault(72)
def test_a_closed_folder_is_logged_once_claims_nothing_and_is_taken_from_when_it_is_open_again(
    pawsort: Installation, locked: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(20):
        pawsort.drop(f"closed/{n}.jpg", b"%d<cat>" % n)
        pawsort.drop(f"open/{n}.jpg", b"%d<dog>" % n)
    locked.add("closed")
    worker = pawsort.worker()
    run_until_idle(worker)
    for _ in range(200):
        worker.step()
    assert len(pawsort.sorted()) == 20
    assert {name.split("/")[0] for name in pawsort.sorted()} == {"dogs"}
    assert {state for (state,) in pawsort.rows("state")} == {"filed"}
    assert worker.in_flight.refused == 20
    assert caplog.text.count("cannot take") == 1
    assert "/closed/" in caplog.text
    assert "files cannot be taken: Permission denied" in reasons(worker)
    locked.clear()
    step_until(worker, lambda: len(pawsort.sorted()) == 40 and worker.idle)
    worker.stop()
    assert worker.in_flight.refused == 0
    assert caplog.text.count("no file is refused here any more") == 1
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(72)
def test_a_move_that_is_refused_gives_its_claim_back(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As SELinux, sticky folders and servers refuse: only the rename itself shows it."""
    for n in range(20):
        pawsort.drop(f"closed/{n}.jpg", b"%d<cat>" % n)
    pawsort.drop("free.jpg", b"<dog>")
    move, closed = moves.move, True

    def refuse(source: bytes, destination: bytes) -> None:
        if b"/spool/" in destination and closed and b"/closed" in os.readlink(os.path.dirname(source)):
            raise PermissionError(errno.EACCES, "Permission denied", source, None, destination)
        move(source, destination)

    monkeypatch.setattr(moves, "move", refuse)
    worker = pawsort.worker()
    run_until_idle(worker)
    for _ in range(100):
        worker.step()
    assert pawsort.rows("name, state") == [("free.jpg", "filed")]
    assert worker.in_flight.refused == 20
    assert caplog.text.count("cannot take") == 1
    assert "/proc/self" not in caplog.text
    closed = False
    step_until(worker, lambda: len(pawsort.sorted()) == 21 and worker.idle)
    worker.stop()
    conserved(pawsort.settings, pawsort.injected)
    assert worker.in_flight.refused == 0


def test_a_refused_claim_left_by_an_earlier_worker_is_given_back(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, locked: set[str]
) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    worker = pawsort.worker()
    worker.start()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(moves, "move", die)
        with pytest.raises(KeyboardInterrupt):
            run_until_idle(worker)
    assert pawsort.rows("state") == [("claimed",)]

    def refuse(source: bytes, destination: bytes) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", source)

    with monkeypatch.context() as patch:
        patch.setattr(moves, "move", refuse)
        assert pawsort.run_worker().in_flight.refused == 1
    assert pawsort.rows() == []
    pawsort.run_worker()
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(72)
@pytest.mark.parametrize("how", ["access", "rename"])
def test_a_spool_that_refuses_all_pauses_with_its_path_and_claims_nothing(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, locked: set[str], how: str
) -> None:
    for n in range(3):
        pawsort.drop(f"{n}.jpg", b"%d<cat>" % n)
    mkdir, move, closed = os.mkdir, moves.move, True

    def refuse(path: bytes, *rest: object) -> None:
        if closed and b"/spool/" in path:
            raise OSError(errno.EROFS, "Read-only file system", path)
        mkdir(path, *rest)  # type: ignore[arg-type]

    def refuse_move(source: bytes, destination: bytes) -> None:
        if closed and b"/spool/" in destination:
            raise OSError(errno.EROFS, "Read-only file system", source, None, destination)
        move(source, destination)

    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr(moves, "move", refuse_move)
    if how == "access":
        locked.add("spool")
    worker = pawsort.worker()
    worker.start()
    step_until(worker, lambda: worker.trouble)
    assert "/spool" in str(worker.trouble)
    assert "/proc/self" not in str(worker.trouble)
    assert how == "rename" or pawsort.rows() == []
    closed = False
    locked.clear()
    step_until(worker, lambda: worker.idle)
    worker.stop()
    conserved(pawsort.settings, pawsort.injected)


def test_a_file_that_may_not_be_read_is_logged_with_its_folder_once(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(5):
        pawsort.drop(f"secret/{n}.jpg", b"%d<cat>" % n)
    opening, secret = os.open, True

    def refuse(path: Any, *rest: Any, **options: Any) -> int:
        if secret and isinstance(path, bytes) and path.endswith(b".jpg"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return opening(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    worker = pawsort.worker()
    run_until_idle(worker)
    assert worker.in_flight.refused == 5
    assert caplog.text.count("cannot read") == 1
    secret = False
    step_until(worker, lambda: len(pawsort.sorted()) == 5 and worker.idle)
    worker.stop()
    conserved(pawsort.settings, pawsort.injected)
