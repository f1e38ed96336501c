from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from models.data import downloads
from models.data.dataset import read
from models.data.labelled_files import find_files
from models.errors import DatasetError
from models.images.decode import decode


def packed(path: Path) -> str:
    """Write an archive of the form of CIFAR-10's, of two photos, and return its SHA-256."""
    with tarfile.open(path, "w:gz") as archive:
        for name, label, level in (("data_batch_1.bin", 3, 200), ("test_batch.bin", 5, 10)):
            data = bytes([label]) + np.repeat([level, 0, 0], 1024).astype(np.uint8).tobytes()
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_download_becomes_photos_with_their_levels_and_is_kept(tmp_path: Path):
    digest = packed(tmp_path / "c.tar.gz")
    kept = downloads.fetch("cifar10", tmp_path / "cache", (tmp_path / "c.tar.gz").as_uri(), digest)
    classes, found, _ = find_files([kept])
    assert classes == ("cat", "dog") and [p.level for p in found] == ["train", "test"]
    assert (decode(read(found[0].path), 32) == [200, 0, 0]).all()
    assert downloads.fetch("cifar10", tmp_path / "cache", "file:///nowhere", "") == kept
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["cifar10.tar"]


@pytest.mark.parametrize(
    ("name", "url", "says"),
    [
        ("cifar10", "file:///nowhere/c.tar.gz", "cannot be downloaded"),
        ("cifar10", "self", "another checksum"),
        ("mnist", "self", "expected one of cifar10"),
    ],
)
def test_failed_downloads_and_other_checksums_are_one_error(tmp_path: Path, name: str, url: str, says: str):
    packed(tmp_path / "c.tar.gz")
    there = (tmp_path / "c.tar.gz").as_uri() if url == "self" else url
    with pytest.raises(DatasetError, match=says):
        downloads.fetch(name, tmp_path / "cache", there)
    assert not list((tmp_path / "cache").glob("*")) if (tmp_path / "cache").exists() else True
