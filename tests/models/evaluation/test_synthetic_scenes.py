from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.bundle.bundle import Bundle
from models.data.dataset import Photos, scan
from models.errors import DatasetError
from models.evaluation.evaluate import relabelled
from models.evaluation.synthetic_scenes import SHARES, beside, measure, placed

RED, GREEN = (np.full((40, 40, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 200, 0)))


@pytest.mark.parametrize("share", SHARES)
def test_a_photo_covers_its_share_of_the_scene_wherever_it_lies(share: Fraction):
    for spot in ((0.0, 0.0), (1.0, 1.0), (0.3, 0.7)):
        seen = placed(RED, GREEN, share, np.array(spot))
        red = seen[..., 0] > 100
        assert red.sum() == round(40 * share) ** 2 and seen.shape == (40, 40, 3)
        assert red[0, 0] == (spot == (0.0, 0.0)) and red[-1, -1] == (spot == (1.0, 1.0))


def test_two_photos_share_one_picture():
    seen = beside(RED, GREEN)
    assert seen.shape == RED.shape
    assert (seen[:, :20] == RED[:, :20]).all() and (seen[:, 20:] == GREEN[:, 20:]).all()


def by_redness(images: np.ndarray) -> np.ndarray:
    """Predict cat where over a tenth is red (a third of the side), dog where all is blue, else neither."""
    red, blue = ((images[..., channel] > 100).mean(axis=(1, 2)) for channel in (0, 2))
    cat, dog = red > 0.1, blue > 0.9
    scores = np.stack([cat & ~dog, dog, ~cat & ~dog], axis=1) + 0.01
    return scores / scores.sum(axis=1, keepdims=True)


def photos_of(folder: Path, bundle: Bundle, **colours: tuple[int, int, int]) -> Photos:
    for name, colour in colours.items():
        (folder / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (50 + i, 40), colour).save(folder / name / f"{i}.png")
    return relabelled(scan([folder], 1), bundle)


def test_figures_fall_with_the_size(plain_bundle: Bundle, tmp_path: Path):
    photos = photos_of(tmp_path / "photos", plain_bundle, cat=(200, 0, 0), neither=(0, 200, 0))
    found = measure(plain_bundle, by_redness, photos, 0.9)
    for kind in ("accuracy", "filed"):
        names = [f"{kind}_by_composition/{share} of the side, in a photo of neither" for share in SHARES]
        assert [found[name].value for name in names] == [1.0, 1.0, 0.0]
    assert len(found) == 6, "one class alone makes no pairs"


def test_two_classes_together_are_right_if_they_are_left_alone(plain_bundle: Bundle, tmp_path: Path):
    photos = photos_of(tmp_path / "photos", plain_bundle, cat=(200, 0, 0), dog=(0, 0, 200))
    filed = measure(plain_bundle, by_redness, photos, 0.9)
    name = "composition/two classes side by side"
    assert (filed[f"accuracy_by_{name}"].value, filed[f"filed_by_{name}"].value) == (0.0, 1.0)
    left = measure(plain_bundle, by_redness, photos, 0.999)
    assert (left[f"accuracy_by_{name}"].value, left[f"filed_by_{name}"].value) == (1.0, 0.0)


def test_the_error_names_the_photos_missing_for_synthetic_scenes(plain_bundle: Bundle, tmp_path: Path):
    photos = photos_of(tmp_path / "photos", plain_bundle, cat=(200, 0, 0), dog=(0, 0, 200))
    alone = dataclasses.replace(photos, labels=np.zeros_like(photos.labels))
    with pytest.raises(DatasetError, match="photos of neither"):
        measure(plain_bundle, by_redness, alone, 0.9)
