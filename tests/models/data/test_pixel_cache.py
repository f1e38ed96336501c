from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.data import pixel_cache
from models.data.dataset import Photos, scan
from models.networks.recipes import CIFAR_CNN, SMALL_CNN, Recipe
from tests.models.conftest import make_photos


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    root = tmp_path_factory.mktemp("quick")
    for name in ("cat", "dog"):
        make_photos(root, name, 20)
    return scan([root], 1)


def epoch(
    found: Photos, recipe: Recipe, number: int = 1, size: int = 32
) -> list[tuple[np.ndarray, np.ndarray]]:
    store = pixel_cache.store_for(found, size, recipe)
    return list(pixel_cache.augmented_epoch(found, store, recipe, size, 16, seed=3, epoch=number))


@pytest.mark.parametrize("recipe", [SMALL_CNN, CIFAR_CNN])
def test_epochs_are_full_batches_that_repeat_by_seed_and_differ_by_epoch(found: Photos, recipe: Recipe):
    first, again, second = (epoch(found, recipe, number) for number in (1, 1, 2))
    assert [(images.shape, images.dtype, targets.shape) for images, targets in first] == [
        ((16, 32, 32, 3), np.uint8, (16, 2))
    ] * 2
    for (a, x), (b, y) in zip(first, again, strict=True):
        assert np.array_equal(a, b) and np.array_equal(x, y)
    assert not np.array_equal(first[0][0], second[0][0])


def test_photos_keep_their_labels_and_mixed_ones_share_them(found: Photos):
    plain = Recipe(learning_rate=1, augmentation="shift")
    for images, targets in epoch(found, plain):
        assert np.array_equal(images[..., 0].mean((1, 2)) > images[..., 2].mean((1, 2)), targets[:, 0] == 1)
    mixed = Recipe(learning_rate=1, augmentation="shift", mixup=1.0)
    for images, targets in epoch(found, mixed):
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        share = (images[..., 0].mean((1, 2)) - 40) / 160  # cats are red 200, dogs 40
        np.testing.assert_allclose(share, targets[:, 0], atol=0.05)


def test_shift_moves_whole_pixels_with_the_edge_mirrored():
    photo = np.arange(32 * 32, dtype=np.int64).reshape(1, 32, 32, 1) % 251
    photo = np.broadcast_to(photo, (1, 32, 32, 3)).astype(np.uint8)
    seen = {pixel_cache._shifted(photo, np.random.default_rng(seed)).tobytes() for seed in range(400)}
    assert len(seen) > 100 and photo.tobytes() in seen  # 9 x 9 places, both ways round
    padded = np.pad(photo[0], ((4, 4), (4, 4), (0, 0)), mode="reflect")
    allowed = {
        padded[y : y + 32, x : x + 32][:, ::turn].tobytes()
        for y in range(9)
        for x in range(9)
        for turn in (1, -1)
    }
    assert seen <= allowed


def test_cutout_blanks_a_square_of_its_share():
    recipe = Recipe(learning_rate=1, augmentation="shift", cutout=0.5)
    pixels = np.full((64, 32, 32, 3), 200, np.uint8)
    images, _ = pixel_cache._variants(
        pixels, np.eye(2, dtype=np.float32)[[0] * 64], recipe, 32, np.random.default_rng(1)
    )
    blanked = (images == 128).all(axis=-1).mean(axis=(1, 2))
    assert 0.24 < blanked.max() <= 0.26 and blanked.min() < 0.2  # some squares leave the frame


def test_store_decodes_a_photo_once_where_it_fits_and_each_time_where_not(
    found: Photos, monkeypatch: pytest.MonkeyPatch
):
    decoded: list[bytes] = []
    real = pixel_cache.decoded
    monkeypatch.setattr(pixel_cache, "decoded", lambda path, side: decoded.append(path) or real(path, side))
    indices = np.array([3, 1, 2])
    with ThreadPoolExecutor(2) as pool:
        for held, times in ((10**6, 1), (10, 2)):
            decoded.clear()
            store = pixel_cache.PixelStore(found.paths, 24, held_bytes=held)
            first, second = store.take(indices, pool), store.take(indices[::-1], pool)
            assert np.array_equal(first, second[::-1]) and first.shape == (3, 24, 24, 3)
            assert sorted(decoded) == sorted([found.paths[i] for i in indices] * times)


def test_memory_is_bounded_however_many_photos_there_are():
    paths = [os.fsencode(f"/nowhere/{i}.jpg") for i in range(200_000)]
    store = pixel_cache.PixelStore(paths, 96)
    assert store._held is None  # 5.5 GB would not fit


def test_photo_that_vanished_is_named(tmp_path: Path):
    store = pixel_cache.PixelStore([os.fsencode(tmp_path / "gone.jpg")], 32)
    with ThreadPoolExecutor(1) as pool, pytest.raises(Exception, match="gone"):
        store.take(np.array([0]), pool)
