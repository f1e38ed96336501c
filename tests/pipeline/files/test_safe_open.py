"""Reaching a file without following a link, and asking for writers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.files.safe_open import NotRegularError, leased, lstat_within, open_folder, opened


def test_a_file_is_reached_through_its_folders(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "cat.jpg").write_bytes(b"cat")
    with opened(tmp_path, b"a/b/cat.jpg") as found:
        assert os.read(found.fd, 9) == b"cat"
        assert found.stat.st_size == 3


def test_a_path_longer_than_the_kernel_takes_at_once_is_reached(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=folder)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("cat.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    with opened(tmp_path, b"/".join([b"d" * 200] * 30 + [b"cat.jpg"])) as found:
        assert found.stat.st_size == 0


@pytest.mark.parametrize("source", [b"link.jpg", b"folder/passwd", b"fifo.jpg", b"dir.jpg"])
@pytest.mark.timeout(5)
@pytest.mark.fault(24, 25)
def test_nothing_but_a_regular_file_is_opened(tmp_path: Path, source: bytes) -> None:
    (tmp_path / "link.jpg").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    (tmp_path / "dir.jpg").mkdir()
    os.mkfifo(tmp_path / "fifo.jpg")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError), opened(tmp_path, source):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_is_called_not_regular(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to("/etc/passwd")
    with pytest.raises(NotRegularError), opened(tmp_path, b"link.jpg"):
        pass


@pytest.mark.fault(29, 30)
def test_a_check_does_not_follow_links_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to("/etc")
    folder = open_folder(tmp_path, b"")
    with pytest.raises(NotADirectoryError):
        lstat_within(folder, b"folder/passwd")
    os.close(folder)


def test_a_writer_is_noticed_until_it_closes(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"cat")
    with opened(tmp_path, b"cat.jpg") as found:
        if leased(found.fd) is None:
            pytest.skip("this file system knows no leases")
        with open(path, "ab"):
            assert leased(found.fd) is False
        assert leased(found.fd) is True


def test_without_leases_nothing_is_claimed() -> None:
    folder = os.open("/", os.O_RDONLY)  # as on a network share, the kernel knows no leases for it
    assert leased(folder) is None
    os.close(folder)


def test_a_reader_that_opens_the_file_at_that_moment_does_not_end_the_worker(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"cat")
    script = (
        "import os, sys\n"
        "from pipeline.files.safe_open import leased\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "for _ in range(60_000): leased(fd)\n"
    )
    asker = subprocess.Popen([sys.executable, "-c", script, str(path)])
    while asker.poll() is None:
        with contextlib.suppress(BlockingIOError):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    assert asker.returncode == 0
