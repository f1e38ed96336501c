"""Files that a folder or a disk refuses: they wait or get a plain name, and their neighbours are filed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.files import folders, moves, renames
from pipeline.worker.loop import Worker
from tests.support.installation import Installation, run_until_idle, step_until
from tests.support.oracle import conserved


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    monkeypatch.setattr("pipeline.watch.stability.LONGEST_REST_SECONDS", 0.05)


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


def reasons(worker: Worker) -> str:
    """Say what the worker's health gives for reasons."""
    return "; ".join(worker.in_flight.health(worker.trouble, None, 0)[1])


# --- out of an inbox ------------------------------------------------------------------------------------


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


# --- into a folder under `sorted` -----------------------------------------------------------------------


class Disk:
    """Refuses what is made under `sorted`, as its `rule` says of each path: an errno, or 0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rule: Callable[[bytes], int]) -> None:
        self.rule = rule
        mkdir, rename = os.mkdir, renames._rename_noreplace

        def make(path: Any, *rest: Any) -> None:
            self.ask(os.fsencode(path))
            mkdir(path, *rest)

        def move(source: bytes, destination: bytes) -> None:
            self.ask(destination)
            rename(source, destination)

        monkeypatch.setattr(os, "mkdir", make)
        monkeypatch.setattr(renames, "_rename_noreplace", move)
        monkeypatch.setattr(renames, "_link_and_unlink", move)

    def ask(self, path: bytes) -> None:
        below = path.partition(b"/sorted/")[2]
        if below and (code := self.rule(below)):
            raise OSError(code, os.strerror(code), path)


def names_with(*refused: bytes, code: int) -> Callable[[bytes], int]:
    """Refuse every path with one of these parts."""
    return lambda below: code if set(refused) & set(below.split(b"/")) else 0


@pytest.mark.parametrize(
    "code",
    [errno.EINVAL, errno.ENOENT, errno.ENAMETOOLONG, errno.EILSEQ, errno.EACCES, errno.EPERM, errno.EIO],
    ids=errno.errorcode.get,
)
@pytest.mark.parametrize(
    ("source", "refused", "filed"),
    [
        (b"con.jpg", b"con.jpg", "_con.jpg"),
        (b"a:b.jpg", b"a:b.jpg", "a_b.jpg"),
        (b"dot.jpg.", b"dot.jpg.", "dot.jpg"),
        (b"\xff.jpg", b"\xff.jpg", "_.jpg"),
        (b"x" * 200 + b".jpg", b"x" * 200 + b".jpg", "x" * 116 + ".jpg"),
        (b"aux/x.jpg", b"aux", "_aux/x.jpg"),
        ("ä/a:b/x y.jpg".encode(), b"a:b", "ä/a_b/x y.jpg"),
        (b"a:b/c:d.jpg", b"a:b", "a_b/c:d.jpg"),
    ],
)
def test_a_name_that_the_disk_refuses_becomes_a_plain_one_and_its_neighbours_are_filed(
    pawsort: Installation,
    monkeypatch: pytest.MonkeyPatch,
    source: bytes,
    refused: bytes,
    filed: str,
    code: int,
) -> None:
    Disk(monkeypatch, names_with(refused, code=code))
    pawsort.drop(source, b"1<cat>")
    pawsort.drop("neighbour.jpg", b"2<cat>")
    worker = pawsort.run_worker()
    assert pawsort.sorted() == {f"cats/{filed}", "cats/neighbour.jpg"}
    assert not worker.in_flight.refused
    conserved(pawsort.settings, pawsort.injected)
    engine = pawsort.worker()._ledger
    assert source in {entry.source for entry in engine.entries([1, 2])}


def test_plain_names_of_different_files_are_numbered(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch, lambda below: errno.EINVAL if set(below) & set(b":?*") else 0)
    for n, name in enumerate((b"a:b.jpg", b"a?b.jpg", b"a*b.jpg", b"a_b.jpg")):
        pawsort.drop(name, b"%d<cat>" % n)
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/a_b.jpg", "cats/a_b (2).jpg", "cats/a_b (3).jpg", "cats/a_b (4).jpg"}
    conserved(pawsort.settings, pawsort.injected)


def test_each_part_that_is_refused_becomes_plain_and_no_other(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch, lambda below: errno.EINVAL if b":" in below else 0)
    pawsort.drop("ä/a:b/ü/c:d/e:f.jpg", b"<cat>")
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/ä/a_b/ü/c_d/e_f.jpg"}
    conserved(pawsort.settings, pawsort.injected)


def test_a_file_that_is_refused_under_every_name_waits_alone(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(
        monkeypatch,
        lambda below: errno.EINVAL if b"odd" in below else 0,
    )
    pawsort.drop("odd.jpg", b"1<cat>")
    pawsort.drop("o:d/odd odd.jpg", b"2<cat>")
    for n in range(10):
        pawsort.drop(f"{n}.jpg", b"%d<dog>" % n)
    worker = pawsort.worker()
    run_until_idle(worker)
    for _ in range(100):
        worker.step()
    assert len(pawsort.sorted()) == 10
    assert worker.trouble is None
    assert worker.in_flight.refused == 2
    assert caplog.text.count("cannot file") == 2
    disk.rule = lambda below: 0
    step_until(worker, lambda: len(pawsort.sorted()) == 12)
    worker.stop()
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(72)
@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("folder", ["cats", "failed"])
def test_only_the_files_of_a_folder_that_refuses_wait_and_keep_their_names(
    pawsort: Installation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
    folder: str,
) -> None:
    (pawsort.settings.sorted / folder).mkdir()
    disk = Disk(monkeypatch, lambda below: code if below.startswith(folder.encode() + b"/") else 0)
    marker = {"cats": b"<cat>", "failed": b"<truncated>"}[folder]
    for n in range(5):
        pawsort.drop(f"a:{n}.jpg", b"%d" % n + marker)
        pawsort.drop(f"{n}.jpg", b"%d<dog>" % n)
    worker = pawsort.worker()
    run_until_idle(worker)
    for _ in range(50):
        worker.step()
    assert {name.split("/")[0] for name in pawsort.sorted()} == {"dogs"}
    assert worker.trouble is None
    assert worker.in_flight.refused == 5
    assert caplog.text.count("cannot file") == 1
    assert f"/{folder}: files cannot be filed: {os.strerror(code)}" in reasons(worker)
    disk.rule = lambda below: 0
    step_until(worker, lambda: len(pawsort.sorted()) == 10 and not worker.in_flight.refused)
    assert f"{folder}/a:0.jpg" in pawsort.sorted()
    worker.stop()
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(72)
@pytest.mark.parametrize("content", [b"same<cat>", b"other<cat>"], ids=["same content", "other content"])
def test_files_of_one_name_that_wait_have_a_place_each(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (pawsort.settings.sorted / "cats").mkdir()
    disk = Disk(monkeypatch, lambda below: errno.EACCES if below.startswith(b"cats/") else 0)
    pawsort.drop("good.jpg", b"same<cat>")
    worker = pawsort.worker()
    run_until_idle(worker)
    pawsort.drop("good.jpg", content, inbox=1)
    step_until(worker, lambda: worker.in_flight.refused == 2)
    destinations = [entry.destination for entry in worker._ledger.unfinished()]
    assert len(set(destinations)) == 2
    worker.stop()
    disk.rule = lambda below: 0
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/good.jpg", "cats/good (2).jpg"}
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.parametrize("instead", ["file", "link"])
def test_a_class_folder_that_is_no_folder_keeps_only_its_own_files_waiting(
    pawsort: Installation, tmp_path: Path, instead: str
) -> None:
    cats = pawsort.settings.sorted / "cats"
    if instead == "file":
        cats.touch()
    else:
        cats.symlink_to(tmp_path)
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.drop("b.jpg", b"<dog>")
    worker = pawsort.worker()
    run_until_idle(worker)
    assert (pawsort.settings.sorted / "dogs" / "b.jpg").exists()
    assert worker.in_flight.refused == 1
    assert "expected a folder" in reasons(worker)
    cats.unlink()
    step_until(worker, lambda: not worker.in_flight.refused)
    worker.stop()
    assert pawsort.sorted() == {"cats/a.jpg", "dogs/b.jpg"}
    conserved(pawsort.settings, pawsort.injected)


def test_no_more_is_taken_than_may_wait(pawsort: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.worker.in_flight.MOST_RETRIES", 10)
    pawsort.settings.sorted.joinpath("cats").mkdir()
    disk = Disk(monkeypatch, lambda below: errno.EACCES if below.startswith(b"cats/") else 0)
    for n in range(60):
        pawsort.drop(f"{n}.jpg", b"%d<cat>" % n)
    worker = pawsort.worker()
    run_until_idle(worker)
    assert 10 <= worker.in_flight.refused < 30
    disk.rule = lambda below: 0
    step_until(worker, lambda: len(pawsort.sorted()) == 60)
    worker.stop()
    conserved(pawsort.settings, pawsort.injected)


def test_the_trial_of_a_name_leaves_nothing(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    (tmp_path / ".pawsort-trial").mkdir()  # of a worker that was killed in the middle of one
    folders.try_name(folder)
    folders.try_name(folder, b"x")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x").write_bytes(b"kept")
    folders.try_name(folder, b"x")
    assert (tmp_path / "x").read_bytes() == b"kept"
