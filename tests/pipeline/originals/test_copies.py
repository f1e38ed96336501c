"""Copies of originals are whole, durable before their rows say so, and made again if the disk refuses."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.files import copy as copies
from pipeline.originals import taking
from tests.support.installation import Installation, run_until_idle
from tests.support.originals import state_of

Install = Callable[[str], Installation]


@pytest.mark.parametrize("code", [None, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_quick_copy_is_whole_with_its_attributes_where_the_kernel_copies_and_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code or 0))

    original, made = tmp_path / "original", tmp_path / "made"
    original.write_bytes(os.urandom(3_000_000))
    original.chmod(0o640)
    os.utime(original, ns=(1, 1_600_000_000_123_456_789))
    if code is not None:
        monkeypatch.setattr(os, "copy_file_range", refuse)
    with copies.opened(bytes(original)) as descriptor:
        copies.copy_quickly(descriptor, bytes(made))
    assert made.read_bytes() == original.read_bytes()
    assert (os.stat(made).st_mode, os.stat(made).st_mtime_ns) == (
        os.stat(original).st_mode,
        os.stat(original).st_mtime_ns,
    )


def test_a_copy_is_synced_before_its_row_has_its_identity(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort = install("copy")
    pawsort.drop("x.jpg", b"<cat>")
    synced: list[bytes] = []

    def noted(spool: bytes) -> None:
        assert not identified
        synced.append(spool)

    worker = pawsort.worker()
    identified: list[object] = []
    ledger = worker.in_flight.claim._ledger
    identify = ledger.identify
    monkeypatch.setattr(taking, "sync_copy", noted)
    monkeypatch.setattr("pipeline.worker.steps.claim.sync_copy", noted)
    monkeypatch.setattr(ledger, "identify", lambda copies: (identified.append(copies), identify(copies)))
    run_until_idle(worker)
    worker.stop()
    assert len(synced) == 1 and identified


@pytest.mark.usefixtures("impatient")
def test_a_copy_that_the_disk_cannot_write_is_made_again(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort = install("copy")
    pawsort.drop("x.jpg", b"<cat>")
    before = state_of(pawsort.inbox)
    fsync, refused = os.fsync, []

    def refuse_once(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not refused and os.path.dirname(path) == str(pawsort.settings.spool):
            refused.append(os.fstat(descriptor).st_ino)
            with open(path, "r+b") as file:  # as if the disk had not taken it
                file.write(b"lost!")
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr("pipeline.files.exact_copy._clone", lambda *_: False)
    monkeypatch.setattr(os, "fsync", refuse_once)
    pawsort.run_worker()
    assert refused
    assert (pawsort.settings.sorted / "cats/x.jpg").read_bytes() == b"<cat>"
    assert state_of(pawsort.inbox) == before


def test_a_copy_that_may_not_be_durable_is_made_again_after_a_power_cut(install: Install) -> None:
    pawsort = install("copy")
    pawsort.drop("x.jpg", b"<cat>")
    cut = pawsort.worker()
    cut.start()
    while not cut.in_flight.claim.claim_batch():
        cut.in_flight.intake.poll(0)
    [file] = cut.in_flight.claim._outside
    taking.take("copy", file.inbox, file.source, file.spool, file.identity)
    cut.stop()
    times = os.stat(file.spool)
    Path(os.fsdecode(file.spool)).write_bytes(b"\0\0\0\0\0")  # its blocks were never written
    os.utime(file.spool, ns=(times.st_atime_ns, times.st_mtime_ns))
    pawsort.run_worker()
    assert (pawsort.settings.sorted / "cats/x.jpg").read_bytes() == b"<cat>"
    assert pawsort.rows("outcome") == [("cats",)]
