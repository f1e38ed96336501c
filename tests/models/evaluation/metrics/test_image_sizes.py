from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from models.evaluation.metrics import image_sizes
from tests.models.conftest import make_photos


def test_sizes_are_read_from_files_and_from_archives(tmp_path: Path):
    make_photos(tmp_path, "cat", 1)
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(tmp_path / "cat/0.png", "cat/0.png")
    (tmp_path / "note.jpg").write_text("no photo")
    names = ("cat/0.png", "photos.tar/cat/0.png", "note.jpg", "gone.jpg")
    found = image_sizes.dimensions([bytes(tmp_path / name) for name in names])
    assert found.tolist() == [[30, 24], [30, 24], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("width", "height", "size", "shape"),
    [
        (128, 128, "1 to 128 px", "square"),
        (129, 128, "129 to 256 px", "square"),
        (3000, 4000, "2049 to 4096 px", "to 7:5"),
        (1920, 1080, "1025 to 2048 px", "to 9:5"),
        (9000, 1000, "over 4096 px", "longer"),
        (0, 0, "", ""),
    ],
)
def test_photos_are_grouped_by_longest_side_and_by_shape(width: int, height: int, size: str, shape: str):
    groups = image_sizes.groups(np.array([[width, height]], dtype=np.int32))
    assert groups == {"size": [size], "shape": [shape]}


def test_groups_stand_in_their_natural_order():
    sides = [8, 200, 300, 600, 1500, 3000, 5000]
    names = image_sizes.groups(np.array([[s, s] for s in sides], dtype=np.int32))["size"]
    assert [image_sizes.place(name) for name in names] == list(range(7))
    assert [image_sizes.place(name) for name in ("square", "to 7:5", "to 9:5", "longer", "cat/web")] == [
        0,
        1,
        2,
        3,
        0,
    ]
