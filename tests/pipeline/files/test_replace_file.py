"""Readers see the old content of a file or all of the new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.files.replace_file import replace_file


@pytest.mark.fault(94)
def test_the_old_file_stays_whole_until_the_new_one_is(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")

    def pieces() -> Iterator[bytes]:
        yield b"new"
        assert path.read_bytes() == b"old"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        replace_file(path, pieces())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_and_name_are_synced_in_that_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        calls.append("sync " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        calls.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    replace_file(tmp_path / "a.csv", [b"x"])
    assert calls == [f"sync .a.csv.{os.getpid()}.tmp", "rename", f"sync {tmp_path.name}"]


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    names = [".a.csv.99999999.tmp", ".a.csv.1.tmp", ".b.csv.99999999.tmp"]
    dead, living, other = (tmp_path / name for name in names)
    for path in (dead, living, other):
        path.write_bytes(b"half")
    replace_file(tmp_path / "a.csv", [b"whole"])
    assert (dead.exists(), living.exists(), other.exists()) == (False, True, True)


def test_a_missing_folder_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "gone" / "a.csv", [b"x"])


def test_a_file_that_may_be_lost_with_the_power_is_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("synced"))
    replace_file(tmp_path / "a.json", [b"{", b"}"], durable=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.json", b"{}")]


def test_a_link_at_either_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in ("a.beat", f".a.beat.{os.getpid()}.tmp"):
        (tmp_path / name).symlink_to(victim)
        replace_file(tmp_path / "a.beat", [b"new"], durable=False)
        assert victim.read_bytes() == b"precious"
        assert not (tmp_path / "a.beat").is_symlink() and (tmp_path / "a.beat").read_bytes() == b"new"
    assert {each.name for each in tmp_path.iterdir()} == {"victim", "a.beat"}


def test_what_another_user_left_under_the_temporary_names_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = {tmp_path / f".a.beat.{os.getpid()}.tmp", tmp_path / ".a.beat.99999999.tmp"}
    for path in foreign:
        path.symlink_to(tmp_path / "victim")
    unlink = os.unlink

    def refused(path: str) -> None:
        if Path(path) in foreign:
            raise PermissionError(1, "Operation not permitted", path)  # as in a folder with the sticky bit
        unlink(path)

    monkeypatch.setattr(os, "unlink", refused)
    replace_file(tmp_path / "a.beat", [b"new"], durable=False)
    assert (tmp_path / "a.beat").read_bytes() == b"new"
    assert set(tmp_path.iterdir()) == {*foreign, tmp_path / "a.beat"}
