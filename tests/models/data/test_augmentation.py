from __future__ import annotations

import numpy as np

from models.data.augmentation import augment, pair

RED = np.full((40, 40, 3), (220, 20, 20), np.uint8)
GREEN = np.full((40, 40, 3), (20, 220, 20), np.uint8)


def red_share(image: np.ndarray) -> float:
    return float((image[..., 0].astype(int) > image[..., 1].astype(int) + 15).mean())


def test_variant_has_the_size_asked_for_and_repeats_by_seed():
    first, again = (augment(RED, None, 32, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (32, 32, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)


def test_photo_fills_the_frame_without_a_scene_and_a_part_of_it_with_one():
    alone = [red_share(augment(RED, None, 32, np.random.default_rng(i))) for i in range(60)]
    placed = [red_share(augment(RED, GREEN, 32, np.random.default_rng(i))) for i in range(60)]
    assert np.median(alone) > 0.95
    assert 0.03 < np.median(placed) < 0.6


def test_a_pair_shows_much_of_both_in_either_order():
    pictures = [pair(RED, GREEN, 32, np.random.default_rng(i)) for i in range(60)]
    assert {picture.shape for picture in pictures} == {(32, 32, 3)}
    shares = [red_share(picture) for picture in pictures]
    assert np.quantile(shares, 0.1) > 0.1 and np.quantile(shares, 0.9) < 0.9
    corners = {(red_share(p[:4, :4]) > 0.5, red_share(p[-4:, :4]) > 0.5) for p in pictures}
    assert len(corners) == 4  # beside, above and on each other, either of them first
