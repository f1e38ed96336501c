"""Files that a folder under `sorted` refuses wait, and their neighbours are filed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.pipeline.worker.refusing_disk import Disk, reasons
from tests.support.installation import Installation, run_until_idle, step_until
from tests.support.oracle import conserved

pytestmark = pytest.mark.usefixtures("impatient")


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
def test_a_class_folder_that_is_not_a_folder_keeps_only_its_own_files_waiting(
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
