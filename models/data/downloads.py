"""Public data sets by name, downloaded once, checked by SHA-256 and kept as a tar of photos."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from models.bundle.cache import cache_folder
from models.data import tar_archives
from models.errors import DatasetError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NAMES = ("cifar10",)

_RECORD = 1 + 3 * 32 * 32  # a label, then the planes red, green and blue
_SECONDS = 60


def fetch(name: str, cache: Path | None = None, url: str = URL, sha256: str = SHA256) -> Path:
    """Return a tar with `train/` and `test/` of a data set: cifar10 (Krizhevsky 2009), 60,000 photos, 170 MB.

    Downloaded on first use. Raises DatasetError where the download fails or its checksum differs.
    """
    if name not in NAMES:
        raise DatasetError(f"--dataset {name}: expected one of {', '.join(NAMES)}")
    kept = (cache or cache_folder()) / f"{name}.tar"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            packed = Path(folder, "download.tar.gz")
            _download(url, sha256, packed)
            _as_photos(packed, Path(folder, "photos.tar"))
            os.replace(Path(folder, "photos.tar"), kept)
    return kept


def _download(url: str, sha256: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer, open(path, "wb") as file:  # noqa: S310
            shutil.copyfileobj(answer, file)
    except OSError as error:  # URLError is one
        raise DatasetError(
            f"{url}: cannot be downloaded: {getattr(error, 'reason', error)}. Download it elsewhere, "
            "or name a folder or a .tar of photos instead of --dataset"
        ) from error
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise DatasetError(f"{url}: the download has another checksum: SHA-256 {found}, expected {sha256}")


def _as_photos(packed: Path, path: Path) -> None:
    archive = tar_archives.open_archive(bytes(packed))
    with tarfile.open(path, "w") as photos:
        for name in sorted(archive.members):
            if name.endswith(b".bin"):
                level = "test" if b"test" in name else "train"
                for number, (label, image) in enumerate(_records(archive.read(name))):
                    _add(
                        photos, f"cifar10/{level}/{label}/{Path(os.fsdecode(name)).stem}-{number}.png", image
                    )


def _records(data: bytes) -> Iterator[tuple[str, Image.Image]]:
    for record in np.frombuffer(data, np.uint8).reshape(-1, _RECORD):
        yield CLASSES[record[0]], Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0))


def _add(photos: tarfile.TarFile, name: str, image: Image.Image) -> None:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    info = tarfile.TarInfo(name)
    info.size = buffer.tell()
    buffer.seek(0)
    photos.addfile(info, buffer)
