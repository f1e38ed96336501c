from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.bundle.manifest import Archive, Detector
from models.data.dataset import Photos, scan
from models.inference import multi_crop
from models.inference.box_crops import Box
from models.training.multi_crop_fit import SYNTHETIC_WEIGHT, MultiCropFit

SIZE = 16


def by_redness(images: np.ndarray) -> np.ndarray:
    """Predict a cat with confidence where more than 3/8 of the side is red, else neither without it."""
    red = (images[..., 0] > 100).mean(axis=(1, 2)) > 0.14
    return np.where(red[:, None], np.float32([0.98, 0.02]), np.float32([0.4, 0.6])).astype(np.float32)


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    for name, count, colour in (("cat", 20, (200, 0, 0)), ("neither", 4, (0, 200, 0))):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("RGB", (40 + i, 40), colour).save(tmp_path / name / f"{i}.png")
    return scan([tmp_path], 1)


def a_fit(neither: int | None = 1) -> MultiCropFit:
    return MultiCropFit(by_redness, SIZE, zoom=1.6, with_folder=[0], neither=neither)


def test_small_animals_give_weight_to_the_strongest_crop(photos: Photos):
    first = by_redness(np.zeros((len(photos), 4, 4, 3), np.uint8))  # all of low confidence
    crop, seen = a_fit().fitted(photos, first)
    assert crop is not None and crop.strongest > 0
    cats = photos.labels == 0
    assert (seen[cats, 0] > first[cats, 0]).all() and (seen[~cats, 0] < 0.5).all()
    assert np.allclose(seen.sum(axis=1), 1)


def test_with_a_detector_the_weights_are_fitted_to_the_crops_of_its_boxes(
    photos: Photos, monkeypatch: pytest.MonkeyPatch
):
    given: list[list[np.ndarray]] = []
    monkeypatch.setattr(multi_crop, "fit", lambda whole, crops, *rest: given.append(crops))
    rule = Detector(
        network=Archive(file="d.zip", sha256="0" * 64, bytes=1), labels=["cat"], side=64, score=0.5, crops=3,
        margin=0.0, second_above=1.0, both=1.0,
    )  # fmt: skip
    boxes = [Box("cat", 0.9, (0.0, 0.0, 1.0, 1.0)), Box("cat", 0.8, (0.5, 0.5, 1.0, 1.0))]
    fitted = MultiCropFit(by_redness, SIZE, 1.6, [0], 1, rule, lambda photo: boxes)
    fitted.fitted(photos, np.tile(np.float32([0.4, 0.6]), (len(photos), 1)))
    assert len(given[0]) >= len(photos) and {len(seen) for seen in given[0]} == {2}


def test_confident_photos_keep_their_probabilities(photos: Photos):
    confident = np.tile(np.float32([0.99, 0.01]), (len(photos), 1))
    _, seen = a_fit().fitted(photos, confident)
    np.testing.assert_array_equal(seen, confident)


def test_a_synthetic_scene_counts_for_less_than_a_real_photo(photos: Photos, monkeypatch: pytest.MonkeyPatch):
    given: list[np.ndarray] = []
    monkeypatch.setattr(multi_crop, "fit", lambda whole, parts, targets, *rest: given.append(targets))
    a_fit().fitted(photos, np.tile(np.float32([0.4, 0.6]), (len(photos), 1)))
    weights = given[0].sum(axis=1)
    assert (weights[: len(photos)] == 1).all() and len(weights) > len(photos)
    np.testing.assert_allclose(weights[len(photos) :], SYNTHETIC_WEIGHT)
    assert (given[0][len(photos) :, 0] > 0).all(), "a small animal in a scene of neither keeps its label"


def test_without_neither_no_scene_is_made(photos: Photos, monkeypatch: pytest.MonkeyPatch):
    given: list[np.ndarray] = []
    monkeypatch.setattr(multi_crop, "fit", lambda whole, parts, targets, *rest: given.append(targets))
    a_fit(neither=None).fitted(photos, np.tile(np.float32([0.4, 0.6]), (len(photos), 1)))
    assert len(given[0]) == len(photos)
