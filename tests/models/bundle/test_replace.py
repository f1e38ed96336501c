"""Files of a bundle are replaced whole, and an error of the disk names the file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from models.bundle.write_bundle import replace


def test_a_full_disk_leaves_the_old_file_and_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.npz"
    replace(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        replace(path, b"new")
    assert raised.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]
