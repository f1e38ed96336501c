"""Originals that cannot be copied or linked stay where they are, and the reason is said."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.files import exact_copy
from pipeline.files.moves import SourceChangedError
from pipeline.originals import checks, taking
from pipeline.originals.checks import Mount
from pipeline.worker.startup import prepare_folders
from tests.faults import injection
from tests.support.installation import Installation, run_until_idle
from tests.support.originals import state_of

Install = Callable[[str], Installation]


def on_disks(monkeypatch: pytest.MonkeyPatch, kinds: dict[Path, str]) -> None:
    """Let folders be on a disk for each kind, and all others on one."""

    def mount_of(folder: Path) -> Mount:
        kind = kinds.get(folder, "ext4")
        return Mount(kind.encode(), kind)

    monkeypatch.setattr(checks, "mount_of", mount_of)


def test_an_inbox_on_another_file_system_cannot_be_hard_linked(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = install("hardlink").settings
    prepare_folders(settings)
    on_disks(monkeypatch, {settings.inboxes[0]: "vfat"})
    with pytest.raises(SettingsError, match="cannot be hard-linked: it is on another file system than state"):
        prepare_folders(settings)
    on_disks(monkeypatch, {settings.sorted: "xfs"})
    with pytest.raises(SettingsError, match="than sorted"):
        checks.refuse_unlinkable(settings)
    on_disks(monkeypatch, {settings.inboxes[1]: "vfat"})  # from which files are moved
    checks.refuse_unlinkable(settings)


def test_copies_that_take_room_of_their_own_are_said(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = install("copy").settings
    inbox = settings.inboxes[0]
    [note] = checks.notes(settings) if checks.mount_of(inbox) else [""]
    assert "as much room" in note or not note
    on_disks(monkeypatch, {inbox: "vfat"})
    assert "another file system than state" in checks.notes(settings)[0]
    on_disks(monkeypatch, dict.fromkeys((inbox, settings.state), "btrfs"))
    assert checks.notes(settings) == []


def test_the_mount_of_a_folder_is_the_narrowest_around_it(tmp_path: Path) -> None:
    assert checks.mount_of(Path("/proc/sys")) == Mount(b"/proc", "proc")
    assert checks.mount_of(Path("/processes/of/mine")) == checks.mount_of(Path("/"))
    assert checks.mount_of(tmp_path / "not/made/yet") == checks.mount_of(tmp_path)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_a_link_that_is_refused_is_said_once_and_nothing_else_is_made(
    install: Install, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    pawsort = install("hardlink")
    for n in range(3):
        pawsort.drop(f"{n}.jpg", b"%d<cat>" % n)
    before = state_of(pawsort.inbox)
    monkeypatch.setattr(taking, "link_open", refuse)
    worker = pawsort.run_worker()
    said = [record for record in caplog.records if os.strerror(code) in record.getMessage()]
    assert len(said) == 1 and "cannot take" in said[0].getMessage()
    assert (worker.in_flight.refused, pawsort.rows("id"), pawsort.sorted()) == (3, [], set())
    assert state_of(pawsort.inbox) == before
    monkeypatch.undo()
    pawsort.run_worker()
    assert len(pawsort.sorted()) == 3


def test_an_original_that_changes_while_it_is_copied_is_copied_again_later(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort, copy = install("copy"), taking.copy_quickly
    original = pawsort.drop("x.jpg", b"1<cat>")
    monkeypatch.setattr("pipeline.watch.stability.LONGEST_REST_SECONDS", 0.05)

    def write_meanwhile(descriptor: int, temporary: bytes) -> None:
        copy(descriptor, temporary)
        if b"2" not in Path(os.fsdecode(original)).read_bytes():
            Path(os.fsdecode(original)).write_bytes(b"22<dog>")

    monkeypatch.setattr(exact_copy, "_clone", lambda *_: False)
    monkeypatch.setattr(taking, "copy_quickly", write_meanwhile)
    pawsort.run_worker()
    pawsort.run_worker()
    assert pawsort.rows("outcome") == [("dogs",)]
    assert pawsort.sorted() == {"dogs/x.jpg"}
    assert list(pawsort.settings.spool.iterdir()) == []


@pytest.mark.parametrize("action", ["copy", "hardlink", "symlink"])
def test_an_original_that_changed_since_it_was_claimed_is_not_taken(tmp_path: Path, action: str) -> None:
    original, made = tmp_path / "x.jpg", tmp_path / "made"
    original.write_bytes(b"x")
    found = os.stat(original)
    identity = found.st_dev, found.st_ino, found.st_size + 1, found.st_mtime_ns
    with pytest.raises(SourceChangedError):
        taking.take(action, bytes(tmp_path), b"x.jpg", bytes(made), identity)
    assert not os.path.lexists(made)


def test_nothing_is_written_into_an_inbox_from_which_nothing_moves(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.watch.mode import InboxWatcher

    probed: list[Path] = []
    monkeypatch.setattr(InboxWatcher, "_probe", lambda self, _: probed.append(self._inbox))
    pawsort.config.write_text(pawsort.config.read_text().replace("mode: polling", "mode: auto"))
    again = pawsort.again()
    worker = again.worker()
    worker.start()
    worker.stop()
    again.close()
    assert probed == [again.settings.inboxes[1]]


def test_a_link_whose_original_is_deleted_meanwhile_fails_and_stops_nothing(install: Install) -> None:
    pawsort = install("symlink")
    first = pawsort.drop("x.jpg", b"<cat>")
    pawsort.drop("y.jpg", b"<dog>")
    worker = pawsort.worker()
    bring_in = worker.in_flight.claim.bring_in

    def then_delete() -> list[object]:
        brought = bring_in()
        if brought and os.path.exists(first):
            os.unlink(first)
        return list(brought)

    worker.in_flight.claim.bring_in = then_delete  # type: ignore[method-assign, assignment]
    run_until_idle(worker)
    worker.stop()
    assert sorted(pawsort.rows("name, outcome, reason")) == [
        ("x.jpg", "failed", "unreadable"), ("y.jpg", "dogs", None),
    ]  # fmt: skip


@injection.ROOT_ONLY
@pytest.mark.parametrize("action", ["copy", "symlink"])
def test_a_read_only_disk_is_enough_for_an_inbox_from_which_nothing_moves(
    install: Install, action: str
) -> None:
    pawsort = install(action)
    with injection.tmpfs(pawsort.inbox):
        pawsort.drop("a/x.jpg", b"<cat>")
        with injection.read_only(pawsort.inbox):
            pawsort.run_worker()
            filed = pawsort.settings.sorted / "cats/a/x.jpg"
            assert filed.read_bytes() == b"<cat>"
            [change] = pawsort.undo(last=1)
            assert (change.problem, os.path.lexists(filed)) == (None, False)
        assert (pawsort.inbox / "a/x.jpg").read_bytes() == b"<cat>"


@injection.ROOT_ONLY
def test_a_disk_that_takes_no_hard_link_stops_the_worker_before_it_starts(install: Install) -> None:
    pawsort = install("hardlink")
    with injection.tmpfs(pawsort.inbox), pytest.raises(SettingsError, match="cannot be hard-linked"):
        prepare_folders(pawsort.settings)
