from __future__ import annotations

import numpy as np
import pytest

from models.looking import PARTS, CloserLook, combined, fit, look_closer, parts, unsure

LOOK = CloserLook(below=0.9, zoom=2.0, whole=1.0, parts=1.0)


def test_parts_are_the_corners_and_the_middle():
    photo = np.arange(6 * 6 * 3, dtype=np.uint8).reshape(6, 6, 3)
    cut = parts(photo, 4)
    assert cut.shape == (PARTS, 4, 4, 3)
    np.testing.assert_array_equal(cut[0], photo[:4, :4])
    np.testing.assert_array_equal(cut[3], photo[2:, 2:])
    np.testing.assert_array_equal(cut[4], photo[1:5, 1:5])


def test_weights_of_one_and_nothing_leave_the_first_look():
    first = np.float32([[0.2, 0.3, 0.5]])
    of_parts = np.float32([[[0.9, 0.05, 0.05]] * PARTS])
    np.testing.assert_allclose(combined(first, of_parts, CloserLook(0.9, 2.0, 1.0, 0.0)), first, atol=1e-6)
    np.testing.assert_allclose(
        combined(first, of_parts, CloserLook(0.9, 2.0, 0.0, 1.0)), of_parts[:, 0], atol=1e-6
    )


def test_combined_is_the_normalised_product_at_equal_weights():
    first, second = np.float32([[0.5, 0.3, 0.2]]), np.float32([0.1, 0.6, 0.3])
    result = combined(first, np.tile(second, (1, PARTS, 1)), LOOK)
    product = first * second
    np.testing.assert_allclose(result, product / product.sum(), rtol=1e-5)


def test_probabilities_of_nothing_stay_finite():
    sure = np.float32([[1.0, 0.0, 0.0]])
    result = combined(sure, np.float32([[[0.0, 1.0, 0.0]] * PARTS]), LOOK)
    assert np.isfinite(result).all() and result.sum() == pytest.approx(1.0)


def test_only_unsure_photos_are_looked_at_again_at_the_larger_size():
    asked: list[tuple[int, int]] = []

    def load(index, side):
        asked.append((index, side))
        return np.zeros((side, side, 3), np.uint8)

    first = np.float32([[0.95, 0.05], [0.6, 0.4], [0.2, 0.8]])
    result = look_closer(
        lambda images: np.tile(np.float32([0.0, 1.0]), (len(images), 1)), first, LOOK, 8, load
    )
    assert asked == [(1, 16), (2, 16)]
    np.testing.assert_array_equal(result[0], first[0])
    assert result[1, 1] > 0.99 and first[1, 1] == np.float32(0.4)  # the first answers are left alone


def test_photo_that_cannot_be_read_again_keeps_its_answer():
    first = np.float32([[0.6, 0.4]])
    result = look_closer(lambda images: pytest.fail("nothing to look at"), first, LOOK, 8, lambda *_: None)
    np.testing.assert_array_equal(result, first)


def test_no_photos_have_no_unsure_ones():
    assert unsure(np.zeros((0, 3), np.float32), 0.9) == []


def test_fit_trusts_parts_that_know_and_not_those_that_guess():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    vague = np.full((400, 2), 0.5, np.float32)
    knowing = np.tile(np.eye(2, dtype=np.float32)[labels][:, None] * 0.8 + 0.1, (1, PARTS, 1))
    guessing = np.tile(
        np.eye(2, dtype=np.float32)[rng.integers(0, 2, 400)][:, None] * 0.8 + 0.1, (1, PARTS, 1)
    )
    assert fit(vague, knowing, labels.tolist(), 0.9, 1.5).parts > 1.0
    assert fit(vague, guessing, labels.tolist(), 0.9, 1.5).parts < 0.2


def test_few_photos_fit_nothing():
    look = fit(np.full((9, 2), 0.5, np.float32), np.full((9, PARTS, 2), 0.5, np.float32), [0] * 9, 0.9, 1.5)
    assert (look.whole, look.parts) == (1.0, 0.0)
