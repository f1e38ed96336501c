from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.bundle.manifest import MultiCrop
from models.inference import multi_crop
from models.inference.box_crops import CropInference
from models.inference.multi_crop import CROPS, combine, corner_crops, fit, low_confidence, rows_below

LOOK = MultiCrop(below=0.9, zoom=2.0, whole=1.0, parts=1.0, strongest=0.0)


def refine(predict, first, load, pool=None):
    return CropInference(LOOK, 8, None, (0, 1)).refine(predict, first, load, pool).probabilities


def test_crops_are_the_corners():
    photo = np.arange(6 * 6 * 3, dtype=np.uint8).reshape(6, 6, 3)
    cut = corner_crops(photo, 4)
    assert cut.shape == (CROPS, 4, 4, 3)
    for corner, expected in zip(
        cut, (photo[:4, :4], photo[:4, 2:], photo[2:, :4], photo[2:, 2:]), strict=True
    ):
        np.testing.assert_array_equal(corner, expected)


def test_a_weight_of_1_alone_gives_those_probabilities():
    first = np.float32([[0.2, 0.3, 0.5]])
    of_parts = np.float32([[[0.9, 0.05, 0.05]] * CROPS])
    np.testing.assert_allclose(
        combine(first, of_parts, MultiCrop(below=0.9, zoom=2.0, whole=1.0, parts=0.0, strongest=0.0)),
        first,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        combine(first, of_parts, MultiCrop(below=0.9, zoom=2.0, whole=0.0, parts=1.0, strongest=0.0)),
        of_parts[:, 0],
        atol=1e-6,
    )


STRONGEST = MultiCrop(below=0.9, zoom=2.0, whole=0.0, parts=0.0, strongest=1.0)
NOTHING = [0.05, 0.05, 0.9]


def test_an_animal_in_one_crop_wins_by_that_crop():
    first = np.float32([[0.1, 0.1, 0.8]])
    of_parts = np.float32([[NOTHING] * (CROPS - 1) + [[0.7, 0.1, 0.2]]])
    np.testing.assert_allclose(combine(first, of_parts, STRONGEST, neither=2), of_parts[:, -1], atol=1e-6)
    with_no_neither = combine(first, of_parts, STRONGEST)  # where all labels are ones to look for
    np.testing.assert_allclose(with_no_neither, np.float32([[0.7, 0.1, 0.9]]) / 1.7, atol=1e-6)


def test_two_animals_in_different_crops_leave_low_confidence():
    first = np.float32([[0.6, 0.3, 0.1]])
    two = np.float32([[NOTHING] * (CROPS - 2) + [[0.96, 0.02, 0.02], [0.02, 0.9, 0.08]]])
    cat, dog, _ = combine(first, two, STRONGEST, neither=2)[0]
    assert cat < 0.55 and dog > 0.45


def test_combined_is_the_normalised_product_at_equal_weights():
    first, second = np.float32([[0.5, 0.3, 0.2]]), np.float32([0.1, 0.6, 0.3])
    result = combine(first, np.tile(second, (1, CROPS, 1)), LOOK)
    product = first * second
    np.testing.assert_allclose(result, product / product.sum(), rtol=1e-5)


def test_probabilities_of_nothing_stay_finite():
    sure = np.float32([[1.0, 0.0, 0.0]])
    result = combine(sure, np.float32([[[0.0, 1.0, 0.0]] * CROPS]), LOOK)
    assert np.isfinite(result).all() and result.sum() == pytest.approx(1.0)


def test_only_photos_of_low_confidence_are_decoded_again_at_the_larger_size():
    asked: list[tuple[int, int]] = []

    def load(index, side):
        asked.append((index, side))
        return np.zeros((side, side, 3), np.uint8)

    first = np.float32([[0.95, 0.05], [0.6, 0.4], [0.2, 0.8]])
    result = refine(lambda images: np.tile(np.float32([0.0, 1.0]), (len(images), 1)), first, load)
    assert asked == [(1, 16), (2, 16)]
    np.testing.assert_array_equal(result[0], first[0])
    assert result[1, 1] > 0.99 and first[1, 1] == np.float32(0.4)  # the first answers are left alone


def test_a_photo_that_cannot_be_read_again_keeps_its_probabilities():
    first = np.float32([[0.6, 0.4]])
    result = refine(lambda images: pytest.fail("no photo to predict"), first, lambda *_: None)
    np.testing.assert_array_equal(result, first)


def test_photos_that_are_clearly_neither_are_not_cropped():
    first = np.float32([[0.3, 0.3, 0.4], [0.05, 0.05, 0.9], [0.05, 0.06, 0.89], [0.95, 0.0, 0.05]])
    look = MultiCrop(below=0.97, zoom=2.0, whole=1.0, parts=1.0, strongest=0.0, neither_below=0.9)
    assert low_confidence(first, look, neither=2) == [0, 2, 3]
    assert low_confidence(first, look, neither=None) == [0, 1, 2, 3]


class Brightness:
    """Predicts the brightness of a photo, and records the sizes of its batches."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, images):
        self.asked.append(len(images))
        light = images.mean(axis=(1, 2, 3)).astype(np.float32) / 255
        return np.stack([light, 1 - light], axis=1)


def photo_of(row, side):
    """Return row n with a brightness of 4 n at any size; each seventh cannot be read again."""
    return None if row % 7 == 6 else np.full((side, side, 3), 4 * row, np.uint8)


def test_probabilities_are_the_same_in_groups_with_a_pool_and_one_by_one():
    photos = np.stack([np.full((8, 8, 3), 4 * n, np.uint8) for n in range(60)])
    alone, together = Brightness(), Brightness()
    expected = np.concatenate(
        [refine(alone, alone(photo[None]), lambda _, s, n=n: photo_of(n, s))
         for n, photo in enumerate(photos)]
    )  # fmt: skip
    first = Brightness()(photos)
    with ThreadPoolExecutor(3) as pool:
        seen = refine(together, first, photo_of, pool)
    np.testing.assert_allclose(seen, expected, rtol=1e-6)
    assert max(together.asked) == multi_crop.GROUP * CROPS
    assert len(together.asked) < len(alone.asked) / 4
    one_by_one = refine(Brightness(), first, photo_of)
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-6)


def test_photos_are_decoded_while_the_network_predicts_others():
    begun = threading.Event()

    def load(row, side):
        if row >= multi_crop.GROUP:
            begun.set()
        return photo_of(1, side)

    def predict(images):
        assert begun.wait(10), "the next group waits until this one is done"
        return np.full((len(images), 2), 0.5, np.float32)

    with ThreadPoolExecutor(1) as pool:
        refine(predict, np.full((2 * multi_crop.GROUP, 2), 0.5, np.float32), load, pool)


def test_the_number_of_decoded_photos_in_memory_is_limited():
    decoded, used, most = [], [0], [0]

    def load(row, side):
        decoded.append(row)
        return photo_of(1, side)

    def predict(images):
        most[0] = max(most[0], len(decoded) - used[0])
        used[0] += len(images) // CROPS
        return np.full((len(images), 2), 0.5, np.float32)

    with ThreadPoolExecutor(4) as pool:
        refine(predict, np.full((200, 2), 0.5, np.float32), load, pool)
    assert len(decoded) == 200 and most[0] <= multi_crop.AHEAD + multi_crop.GROUP


def test_an_error_of_the_decoder_is_not_hidden():
    def load(row, side):
        raise MemoryError

    with ThreadPoolExecutor(1) as pool, pytest.raises(MemoryError):
        refine(Brightness(), np.full((1, 2), 0.5, np.float32), load, pool)


def test_no_photos_have_no_rows_below():
    assert rows_below(np.zeros((0, 3), np.float32), 0.9) == []


def test_fit_gives_weight_to_informative_crops_and_none_to_random_ones():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    vague = np.full((400, 2), 0.5, np.float32)
    knowing = np.tile(np.eye(2, dtype=np.float32)[labels][:, None] * 0.8 + 0.1, (1, CROPS, 1))
    guessing = np.tile(
        np.eye(2, dtype=np.float32)[rng.integers(0, 2, 400)][:, None] * 0.8 + 0.1, (1, CROPS, 1)
    )
    trusted, doubted = (fit(vague, seen, np.eye(2)[labels], 0.9, 1.5) for seen in (knowing, guessing))
    assert trusted is not None and trusted.parts + trusted.strongest > 1.0
    assert doubted is None or doubted.parts + doubted.strongest < 0.2


def test_fit_weights_the_strongest_crop_for_small_animals_and_less_for_empty_scenes():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 300)
    empty = np.tile(np.float32([0.1, 0.1, 0.8]), (300, CROPS, 1))
    seen = empty.copy()
    seen[np.arange(300), rng.integers(0, CROPS, 300)] = np.eye(3, dtype=np.float32)[labels] * 0.7 + 0.1
    far = fit(empty[:, 0], seen, np.eye(3)[labels], 0.9, 1.5, neither=2)
    assert far is not None and far.strongest > far.parts
    targets = np.concatenate([np.eye(3)[labels] * 0.01, np.eye(3)[[2] * 300]])
    mostly_nothing = fit(
        np.tile(empty[:, 0], (2, 1)), np.concatenate([seen] * 2), targets, 0.9, 1.5, neither=2
    )
    assert mostly_nothing is None or mostly_nothing.strongest < far.strongest


def test_few_photos_fit_no_crops():
    few = fit(
        np.full((9, 2), 0.5, np.float32),
        np.full((9, CROPS, 2), 0.5, np.float32),
        np.eye(2)[[0] * 9],
        0.9,
        1.5,
    )
    assert few is None


def test_misleading_crops_are_not_used():
    labels = np.arange(200) % 2
    knowing = np.eye(2, dtype=np.float32)[labels] * 0.8 + 0.1
    opposite = np.tile(knowing[:, None, ::-1], (1, CROPS, 1))
    assert fit(knowing, opposite, np.eye(2)[labels], 0.97, 1.5) is None
