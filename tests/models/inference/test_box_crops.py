from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.bundle.manifest import Archive, Detector, MultiCrop
from models.inference.box_crops import (
    Area,
    Box,
    CropInference,
    Refined,
    box_areas,
    corner_areas,
    cut,
    enlarged,
    of_bundle,
    two_labels,
)
from models.types import Pixels, Probabilities, TryLoadFn

CORNERS = MultiCrop(below=0.9, zoom=2.0, whole=0.0, parts=0.0, strongest=1.0)
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
CAT, DOG, NOTHING = (0.96, 0.02, 0.02), (0.02, 0.96, 0.02), (0.05, 0.05, 0.9)
SIZE = 4


def rule(**changes: Any) -> Detector:
    values: dict[str, Any] = {
        "network": Archive(file="d.zip", sha256="0" * 64, bytes=1), "labels": ["cat", "dog"], "side": 64,
        "score": 0.3, "crops": 2, "margin": 0.0, "second_above": 0.01, "both": 0.8,
    }  # fmt: skip
    return Detector(**(values | changes))


def box(area: Area, score: float = 0.9) -> Box:
    return Box("cat", score, area)


class Networks:
    """Fake networks: a crop's brightness is the place of its probabilities, and each photo has its boxes."""

    def __init__(self, answers: Sequence[tuple[float, float, float]], boxes: Sequence[Box]) -> None:
        self.answers = answers
        self.boxes = boxes
        self.seen: list[int] = []  # brightness of each crop
        self.loaded: list[tuple[int, int]] = []  # row, side

    def predict(self, crops: Pixels) -> Probabilities:
        assert crops.shape[1:] == (SIZE, SIZE, 3)
        places = [int(crop[0, 0, 0]) for crop in crops]
        self.seen += places
        return np.array([self.answers[place] for place in places], np.float32).reshape(-1, 3)

    def load(self, row: int, side: int) -> Pixels | None:
        """Return a photo whose left half has brightness 0 and whose right half has 1."""
        self.loaded.append((row, side))
        photo = np.zeros((side, side, 3), np.uint8)
        photo[:, side // 2 :] = 1
        return photo

    def refine(
        self, first: Probabilities, load: TryLoadFn | None = None, pool: Executor | None = None
    ) -> Refined:
        crops = CropInference(CORNERS, SIZE, 2, (0, 1), rule(), lambda photo: self.boxes)
        return crops.refine(self.predict, first, load or self.load, pool)


def rows(*values: tuple[float, float, float]) -> Probabilities:
    return np.array(values, np.float32)


def test_a_confident_photo_is_neither_decoded_nor_changed() -> None:
    networks = Networks([CAT, DOG], [box(LEFT), box(RIGHT)])
    first = rows((0.99, 0.005, 0.005), (0.005, 0.99, 0.005))
    refined = networks.refine(first)
    np.testing.assert_array_equal(refined.probabilities, first)
    assert networks.loaded == [] and not refined.both.any()


def test_a_photo_of_low_confidence_is_decided_by_the_crop_of_its_box() -> None:
    networks = Networks([CAT, NOTHING], [box(LEFT)])
    sure = (0.985, 0.005, 0.01)
    refined = networks.refine(rows(sure, (0.3, 0.3, 0.4)))
    np.testing.assert_allclose(refined.probabilities, rows(sure, CAT), atol=1e-6)
    assert networks.loaded == [(1, 64)] and networks.seen == [0] and not refined.both.any()


def test_without_a_box_the_corners_are_cropped() -> None:
    networks = Networks([CAT, DOG], [box(LEFT, 0.2)])
    refined = networks.refine(rows((0.3, 0.3, 0.4)))
    assert sorted(networks.seen) == [0, 0, 1, 1]
    np.testing.assert_allclose(refined.probabilities, [[0.48 / 0.98, 0.48 / 0.98, 0.01 / 0.49]], atol=0.02)
    assert not refined.both.any()  # though one corner shows a cat and another a dog


def test_a_photo_of_high_confidence_whose_second_label_is_possible_is_checked_for_both() -> None:
    networks = Networks([CAT, DOG], [box(LEFT), box(RIGHT)])
    refined = networks.refine(rows((0.96, 0.03, 0.01)))
    np.testing.assert_allclose(refined.probabilities, [[0.495, 0.495, 0.01]], atol=1e-6)
    assert refined.both.tolist() == [True]


@pytest.mark.parametrize("boxes", [[], [box(LEFT)]])
def test_fewer_than_two_boxes_cost_a_confident_photo_no_crops(boxes: list[Box]) -> None:
    networks = Networks([DOG, DOG], boxes)
    first = rows((0.96, 0.03, 0.01))
    refined = networks.refine(first)
    np.testing.assert_array_equal(refined.probabilities, first)
    assert len(networks.loaded) == 1 and networks.seen == [] and not refined.both.any()


def test_two_boxes_of_one_label_leave_a_confident_photo_as_it_was() -> None:
    networks = Networks([CAT, CAT], [box(LEFT), box(RIGHT)])
    first = rows((0.96, 0.03, 0.01))
    refined = networks.refine(first)
    np.testing.assert_array_equal(refined.probabilities, first)
    assert networks.seen == [0, 1] and not refined.both.any()


def test_a_photo_of_low_confidence_with_two_labels_shows_both() -> None:
    networks = Networks([CAT, DOG], [box(LEFT), box(RIGHT)])
    refined = networks.refine(rows((0.7, 0.2, 0.1)))
    cat, dog, neither = refined.probabilities[0]
    assert cat == dog and cat + dog + neither == pytest.approx(1) and cat > 0.4
    assert refined.both.tolist() == [True]


def test_a_photo_that_is_surely_neither_is_decided_by_a_box_but_never_by_corners() -> None:
    empty = rows((0.04, 0.04, 0.92))
    found = Networks([CAT, DOG], [box(LEFT)]).refine(empty)
    np.testing.assert_allclose(found.probabilities, rows(CAT), atol=1e-6)
    without = Networks([CAT, DOG], [])
    np.testing.assert_array_equal(without.refine(empty).probabilities, empty)
    assert without.seen == []


def test_a_photo_that_is_neither_almost_without_doubt_costs_no_time_of_the_detector() -> None:
    networks = Networks([CAT, DOG], [box(LEFT), box(RIGHT)])
    networks.refine(rows((0.004, 0.004, 0.992)))
    assert networks.loaded == []


@pytest.mark.parametrize("pool", [None, ThreadPoolExecutor(2)])
def test_a_photo_that_is_gone_keeps_its_row_and_the_others_keep_their_places(
    pool: ThreadPoolExecutor | None,
) -> None:
    networks = Networks([CAT, DOG], [box(RIGHT)])
    first = rows(*[(0.4, 0.3, 0.3)] * 20)

    def load(row: int, side: int) -> Pixels | None:
        return None if row == 3 else networks.load(row, side)

    refined = networks.refine(first, load, pool)
    np.testing.assert_array_equal(refined.probabilities[3], first[3])
    np.testing.assert_allclose(np.delete(refined.probabilities, 3, axis=0), rows(*[DOG] * 19), atol=1e-6)


def test_the_detector_runs_in_the_pool_and_not_where_the_network_waits() -> None:
    threads: set[int] = set()

    def detect(photo: Pixels) -> list[Box]:
        threads.add(threading.get_ident())
        return [box(LEFT)]

    networks = Networks([CAT, DOG], [])
    crops = CropInference(CORNERS, SIZE, 2, (0, 1), rule(), detect)
    with ThreadPoolExecutor(2) as pool:
        crops.refine(networks.predict, rows(*[(0.3, 0.3, 0.4)] * 9), networks.load, pool)
    assert threads and threading.get_ident() not in threads


def test_a_bundle_with_one_folder_is_never_asked_for_two_labels() -> None:
    networks = Networks([CAT, DOG], [box(LEFT), box(RIGHT)])
    crops = CropInference(CORNERS, SIZE, 2, (0,), rule(), lambda photo: networks.boxes)
    assert not crops.refine(networks.predict, rows((0.4, 0.3, 0.3)), networks.load).both.any()


@pytest.mark.parametrize(
    ("detector", "corners", "expected", "crops"),
    [(True, True, "by a box", 1), (False, True, "by corners", 4), (True, False, "as it was", 0)],
)
def test_a_bundle_is_refined_by_what_it_has(
    plain_bundle: Bundle, detector: bool, corners: bool, expected: str, crops: int
) -> None:
    networks = Networks([CAT, CAT], [box(LEFT)])
    parts = {"detector": rule(), "closer_look": CORNERS if corners else None}
    manifest = plain_bundle.manifest.model_copy(update=parts)
    bundle = replace(plain_bundle, manifest=manifest, input_size=SIZE)
    first = rows((0.05, 0.06, 0.89))
    detect = (lambda photo: networks.boxes) if detector else None
    refined = of_bundle(bundle, detect).refine(networks.predict, first, networks.load)
    np.testing.assert_allclose(
        refined.probabilities, first if expected == "as it was" else rows(CAT), atol=1e-6
    )
    assert len(networks.seen) == crops and refined.both.tolist() == [False]


TWO: Callable[[Sequence[tuple[float, float, float]]], list[int]] = lambda seen: two_labels(  # noqa: E731
    rows(*seen), (0, 1), 0.8
)


def test_two_labels_take_two_crops_that_both_reach_the_least_probability() -> None:
    assert TWO([CAT, DOG]) == [0, 1]
    assert TWO([DOG, NOTHING, CAT]) == [0, 1]
    assert TWO([CAT, CAT]) == []
    assert TWO([CAT, (0.2, 0.79, 0.01)]) == []
    assert TWO([CAT]) == []
    assert two_labels(rows((0.9, 0.9, 0.0)), (0, 1), 0.8) == []  # one crop alone shows nothing of two animals


def test_of_more_labels_the_two_that_are_shown_best_count() -> None:
    seen = np.float32([[0.9, 0.05, 0.05, 0], [0.0, 0.15, 0.85, 0], [0.1, 0.82, 0.0, 0.08]])
    assert two_labels(seen, (0, 1, 2), 0.8) == [0, 2]


def test_boxes_of_the_highest_scores_are_cropped() -> None:
    boxes = [box(LEFT, 0.9), box(RIGHT, 0.5), box(LEFT, 0.4), box(RIGHT, 0.2)]
    assert box_areas(boxes, rule(crops=8)) == [LEFT, RIGHT, LEFT]
    assert box_areas(boxes, rule(crops=1)) == [LEFT]
    assert box_areas(boxes[3:], rule()) == []


def test_a_margin_grows_on_all_sides_and_stays_inside() -> None:
    assert enlarged((0.4, 0.2, 0.6, 0.6), 0.5) == pytest.approx((0.35, 0.1, 0.65, 0.7))
    assert enlarged((0.0, 0.5, 0.5, 1.0), 0.2) == pytest.approx((0.0, 0.45, 0.55, 1.0))


def test_corners_overlap_in_the_middle_and_touch_the_edges() -> None:
    assert corner_areas(2.0) == [(0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1)]


def test_a_part_is_stretched_to_a_square() -> None:
    photo = np.zeros((8, 16, 3), np.uint8)
    photo[:4, 12:] = 200
    middle = cut(photo, (0.75, 0.0, 1.0, 0.5), 6)[1:-1, 1:-1]  # the edges are mixed with what lies beside
    np.testing.assert_array_equal(middle, np.full((4, 4, 3), 200))
    assert cut(photo, (0.0, 0.0, 1.0, 1.0), 6).shape == (6, 6, 3)
