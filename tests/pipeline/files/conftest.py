"""Folders on two file systems, and helpers of the tests of files."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.files import renames


@pytest.fixture
def home(tmp_path: Path) -> bytes:
    return os.fsencode(tmp_path)


@pytest.fixture
def abroad(tmp_path: Path) -> Iterator[bytes]:
    """A folder on another file system than `home`."""
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("needs /dev/shm on another file system than the temporary folder")
    folder = tempfile.mkdtemp(dir="/dev/shm")
    yield os.fsencode(folder)
    shutil.rmtree(folder)


def put(path: bytes, content: bytes = b"cat") -> bytes:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(os.fsdecode(path)).write_bytes(content)
    return path


def read(path: bytes) -> bytes:
    return Path(os.fsdecode(path)).read_bytes()


def listing(folder: bytes) -> list[bytes]:
    return sorted(os.listdir(folder))


def refuse(code: int) -> Callable[..., None]:
    def call(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.fixture(params=["renameat2", "link", "placeholder"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the three ways of renaming, the better ones taken away."""
    if request.param != "renameat2":
        monkeypatch.setattr(renames, "_rename_noreplace", refuse(errno.EINVAL))
    if request.param == "placeholder":
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    return str(request.param)
