"""A name that a disk refuses becomes a plain one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.files import folders
from tests.pipeline.worker.refusing_disk import Disk
from tests.support.installation import Installation, run_until_idle, step_until
from tests.support.oracle import conserved

pytestmark = pytest.mark.usefixtures("impatient")


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


def test_the_trial_of_a_name_leaves_nothing(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    (tmp_path / ".pawsort-trial").mkdir()  # of a worker that was killed in the middle of one
    folders.try_name(folder)
    folders.try_name(folder, b"x")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x").write_bytes(b"kept")
    folders.try_name(folder, b"x")
    assert (tmp_path / "x").read_bytes() == b"kept"
