"""Readers see the old content of a file or all of the new."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from pipeline.files import in_progress
from pipeline.files.replace_file import replace_file

ROOT = Path(__file__).parents[3]


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
    assert calls[1:] == ["rename", f"sync {tmp_path.name}"]
    assert re.fullmatch(r"sync \.a\.csv\.[0-9a-f]{8}\.tmp", calls[0])


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    killed, _, _ = process(path, "os.kill(os.getpid(), signal.SIGKILL)")
    assert killed.wait() == -signal.SIGKILL
    [dead] = tmp_path.glob(".a.csv.*.tmp")
    old, other = tmp_path / ".a.csv.1.tmp", tmp_path / ".b.csv.99999999.tmp"  # 1 is a living process
    for each in (old, other):
        each.write_bytes(b"half")
    writing, said, more = process(path, "print('half'); sys.stdout.flush(); sys.stdin.readline()")
    assert said.readline() == b"half\n"
    assert not dead.exists() and not old.exists(), "the next writer has removed them"
    [living] = tmp_path.glob(".a.csv.*.tmp")
    replace_file(path, [b"whole"])
    assert living.exists() and other.exists() and path.read_bytes() == b"whole"
    more.close()
    assert writing.wait() == 0 and path.read_bytes() == b"half more"
    said.close()
    assert set(tmp_path.iterdir()) == {path, other}


OWN_NUMBERS = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
"""Run a program with numbers of processes of its own, as in a container."""


def test_containers_that_share_a_folder_remove_nothing_of_each_other(tmp_path: Path) -> None:
    """Each has the number 1 there, and sees no process of the other."""
    if subprocess.run([*OWN_NUMBERS, "true"], capture_output=True).returncode:
        pytest.skip("numbers of processes of its own are not allowed here: unshare")
    path = tmp_path / "a.csv"
    halfway = "assert os.getpid() == 1; print('half'); sys.stdout.flush(); sys.stdin.readline()"
    both = [process(path, halfway, *OWN_NUMBERS) for _ in range(2)]
    for _, said, _ in both:
        assert said.readline() == b"half\n"
    assert len(list(tmp_path.glob(".a.csv.*.tmp"))) == 2
    for running, said, more in both:
        more.close()
        assert running.wait() == 0
        said.close()
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a.csv", b"half more")]


def process(path: Path, halfway: str, *within: str) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
    """Replace a file by a process of its own, which does something when half is written."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from pipeline.files.replace_file import replace_file\n"
        f"def pieces():\n    yield b'half'\n    {halfway}\n    yield b' more'\n"
        f"replace_file(Path({str(path)!r}), pieces())\n"
    )
    pipe = subprocess.PIPE
    started = subprocess.Popen([*within, sys.executable, "-c", code], cwd=ROOT, stdin=pipe, stdout=pipe)
    assert started.stdin and started.stdout
    if "kill" in halfway:
        started.stdin.close()
        started.stdout.close()
    return started, started.stdout, started.stdin


def test_a_file_taken_for_abandoned_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may look between the moment at which a file is made and that at which it is locked."""
    flock, removed = fcntl.flock, list[Path]()

    def lock(descriptor: int, kind: int) -> None:
        if not removed and not kind & fcntl.LOCK_NB:
            removed.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
            in_progress.remove_abandoned([removed[0]])
            assert not removed[0].exists()
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", lock)
    replace_file(tmp_path / "a.csv", [b"whole"])
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a.csv", b"whole")]


def test_where_there_are_no_locks_only_what_is_old_is_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(descriptor: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    new, old = tmp_path / ".a.csv.1.tmp", tmp_path / ".a.csv.2.tmp"
    for each in (new, old):
        each.write_bytes(b"half")
    long_ago = time.time() - in_progress.ABANDONED_SECONDS - 1
    os.utime(old, (long_ago, long_ago))
    replace_file(tmp_path / "a.csv", [b"whole"])
    assert {each.name for each in tmp_path.iterdir()} == {"a.csv", new.name}


def test_a_missing_folder_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "gone" / "a.csv", [b"x"])


def test_a_file_that_may_be_lost_with_the_power_is_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("synced"))
    replace_file(tmp_path / "a.json", [b"{", b"}"], durable=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.json", b"{}")]


def test_a_link_at_either_name_is_replaced_and_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    guessed = iter(["00000000", "00000001", "00000002"])
    monkeypatch.setattr(in_progress.secrets, "token_hex", lambda _: next(guessed))
    for name in ("a.beat", ".a.beat.00000001.tmp"):
        (tmp_path / name).symlink_to(victim)
        replace_file(tmp_path / "a.beat", [b"new"], durable=False)
        assert victim.read_bytes() == b"precious"
        assert not (tmp_path / "a.beat").is_symlink() and (tmp_path / "a.beat").read_bytes() == b"new"
    assert {each.name for each in tmp_path.iterdir()} == {"victim", "a.beat"}


def test_what_another_user_left_under_the_temporary_names_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = {tmp_path / ".a.beat.00000000.tmp", tmp_path / ".a.beat.99999999.tmp"}
    guessed = iter(["00000000", "00000001"])
    monkeypatch.setattr(in_progress.secrets, "token_hex", lambda _: next(guessed))
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
