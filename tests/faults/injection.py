"""Bad worlds that only the kernel can make, each put right at the end; where they cannot be made, a skip."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to mount and to change users")
UNPRIVILEGED = 65534


def call(*command: str | Path) -> None:
    """Run a program; skip the test where it is missing or is not allowed to do this."""
    try:
        subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not here")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{' '.join(map(str, command))}: {error.stderr.strip()}")


def others_read(path: Path) -> bool:
    """Return whether the unprivileged user may read a file; below `/root` nearly none. Needs root."""
    run = subprocess.run(
        ["test", "-r", path], user=UNPRIVILEGED, group=UNPRIVILEGED, extra_groups=[], check=False
    )
    return run.returncode == 0


@contextlib.contextmanager
def tmpfs(folder: Path, options: str = "size=1m") -> Iterator[Path]:
    """Mount a file system in memory on a folder, which is made if it is missing."""
    folder.mkdir(exist_ok=True)
    call("mount", "-t", "tmpfs", "-o", options, "none", folder)
    try:
        yield folder
    finally:
        unmount(folder)


def unmount(folder: Path) -> None:
    """Unmount a folder, if it is mounted; a worker that looks at it just now is waited for."""
    end = time.monotonic() + 5.0
    while _is_mounted(folder):
        lazily = ["-l"] if time.monotonic() > end else []  # no test leaves a mount to others
        subprocess.run(["umount", *lazily, folder], capture_output=True, check=False)
        time.sleep(0.01)


def _is_mounted(folder: Path) -> bool:
    # `os.path.ismount` does not know a bind mount on the same file system.
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(folder) for line in lines)


@contextlib.contextmanager
def ext4(image: Path, folder: Path, megabytes: int = 16) -> Iterator[Path]:
    """Make an ext4 file system in a file and mount it; what is not synced is written only minutes later."""
    image.touch()
    os.truncate(image, megabytes << 20)
    call("mkfs.ext4", "-q", "-F", image)
    with mounted_image(image, folder):
        yield folder


@contextlib.contextmanager
def mounted_image(image: Path, folder: Path) -> Iterator[Path]:
    """Mount the file system in a file."""
    folder.mkdir(exist_ok=True)
    call("mount", "-o", "loop,commit=300", image, folder)
    try:
        yield folder
    finally:
        unmount(folder)


@contextlib.contextmanager
def loop_device(image: Path) -> Iterator[str]:
    """Make a file a block device; give the device's path."""
    call("losetup", "--version")
    run = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip(f"losetup: {run.stderr.strip()}")
    device = run.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextlib.contextmanager
def bind(folder: Path, onto: Path) -> Iterator[None]:
    """Mount a folder onto another of the same file system."""
    for place in (folder, onto):
        place.mkdir(exist_ok=True)
    call("mount", "--bind", folder, onto)
    try:
        yield
    finally:
        unmount(onto)


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Fill a small file system to its last byte."""
    filler = folder / ".filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def no_inode(folder: Path) -> Iterator[None]:
    """Use up the inodes of a small file system."""
    fillers = folder / ".fillers"
    fillers.mkdir()
    with contextlib.suppress(OSError):
        for number in range(10_000):
            (fillers / str(number)).touch()
    try:
        yield
    finally:
        shutil.rmtree(fillers)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Remount a file system read-only."""
    call("mount", "-o", "remount,ro", folder)
    try:
        yield
    finally:
        call("mount", "-o", "remount,rw", folder)


@contextlib.contextmanager
def immutable(*paths: Path | str) -> Iterator[None]:
    """Let not even root change these files."""
    call("chattr", "+i", *paths)
    try:
        yield
    finally:
        call("chattr", "-i", *paths)


@contextlib.contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    """Change the rights to a file or folder."""
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the lock that a writer needs."""
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()
