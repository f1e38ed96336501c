from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle.bundle import Bundle, load, locate
from models.bundle.openvino_archive import Network, pack
from models.bundle.write_bundle import write_detector
from models.errors import BundleError
from models.images.decode import decode
from models.inference import openvino_engine
from models.inference.box_crops import Box
from models.inference.detector import MOST_BOXES, boxes_of, intersection_over_union, open_detector
from tests.models.bundle.test_detector_entry import RULE

SIDE = 32


def network(outputs: np.ndarray, side: int = SIDE) -> Network:
    """Return a network that gives `outputs` (n, 6), the first score times the photo's mean brightness."""
    openvino = openvino_engine.import_openvino()
    from openvino import opset13 as ops

    image = ops.parameter([1, side, side, 3], np.uint8, name="image")
    brightness = ops.reduce_mean(ops.convert(image, "f32"), ops.constant([1, 2, 3]), keep_dims=False)
    factor = np.zeros_like(outputs)
    factor[0, 0] = 1 / 255
    varying = ops.multiply(
        ops.constant(factor[None]), ops.reshape(brightness, ops.constant([1, 1, 1]), False)
    )
    model = openvino.Model([ops.add(varying, ops.constant(outputs[None]))], [image], "tiny")
    return serialised(model)


def serialised(model: Any) -> Network:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        openvino_engine.import_openvino().save_model(model, f"{folder}/model.xml", compress_to_fp16=False)
        return Network(Path(folder, "model.xml").read_bytes(), Path(folder, "model.bin").read_bytes())


OUTPUTS = np.float32([[0.0, 0.1, 0.1, 0.2, 0.3, 0.4], [0.0, 0.6, 0.5, 0.5, 1.2, 0.9]])


def test_a_bundle_without_a_detector_opens_none(plain_bundle: Bundle) -> None:
    assert open_detector(plain_bundle) is None


def test_boxes_follow_the_photo_of_any_size(plain_bundle: Bundle) -> None:
    detect = open_detector(write_detector(plain_bundle, pack(network(OUTPUTS)), RULE))
    assert detect is not None
    dark, bright = (np.full((50, 70, 3), value, np.uint8) for value in (0, 204))
    low, high = detect(dark), detect(bright)
    assert [(box.label, round(box.score, 3)) for box in high] == [("cat", 0.8), ("dog", 0.6)]
    assert [(box.label, round(box.score, 3)) for box in low] == [("dog", 0.6), ("dog", 0.1)]
    assert high[1].area == pytest.approx((0.5, 0.5, 1.0, 0.9))


def test_threads_find_their_own_boxes(plain_bundle: Bundle) -> None:
    detect = open_detector(write_detector(plain_bundle, pack(network(OUTPUTS)), RULE))
    assert detect is not None
    photos = [np.full((SIDE, SIDE, 3), value, np.uint8) for value in range(150, 250)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detect, photos)) == list(map(detect, photos))


def test_weights_in_the_working_folder_are_not_read(
    plain_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_detector(plain_bundle, pack(network(OUTPUTS)), RULE)
    (tmp_path / ".bin").write_bytes(network(OUTPUTS / 2).weights)
    monkeypatch.chdir(tmp_path)
    detect = open_detector(path)
    assert detect is not None
    assert detect(np.zeros((50, 70, 3), np.uint8))[0].area == pytest.approx((0.5, 0.5, 1.0, 0.9))


def test_a_detector_of_another_kind_is_refused_by_its_shapes(plain_bundle: Bundle) -> None:
    other = write_detector(plain_bundle, pack(network(OUTPUTS[:, :5])), RULE)
    with pytest.raises(BundleError, match=r"expected \[1, s, s, 3\] to \[1, n, 6\]"):
        open_detector(other)


def batch_of_two() -> Network:
    """Return a network for two photos at once, whose shapes fit otherwise."""
    from openvino import opset13 as ops

    images = ops.parameter([2, SIDE, SIDE, 3], np.uint8)
    mean = ops.reduce_mean(ops.convert(images, "f32"), ops.constant([0, 1, 2, 3]), False)
    rows = ops.add(ops.constant(np.zeros((1, 2, 6), np.float32)), mean)
    return serialised(openvino_engine.import_openvino().Model([rows], [images], "two"))


@pytest.mark.fault(100)
def test_a_detector_for_more_than_one_photo_or_of_a_huge_input_is_refused(plain_bundle: Bundle) -> None:
    for odd, words in ((batch_of_two(), r"expected \[1, s, s, 3\]"), (network(OUTPUTS, 4096), "4096 pixels")):
        with pytest.raises(BundleError, match=words):
            open_detector(write_detector(plain_bundle, pack(odd), RULE))


@pytest.mark.fault(100)
def test_a_detector_that_fails_when_it_runs_is_refused_at_the_start(
    plain_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_detector(plain_bundle, pack(network(OUTPUTS)), RULE)

    def failing(model: Any, threads: int | None) -> Any:
        def run(image: Any) -> Any:
            raise RuntimeError("an operation failed")

        return run

    monkeypatch.setattr(openvino_engine, "single", failing)
    with pytest.raises(BundleError, match=r"an operation failed.*remove `detector`"):
        open_detector(bundle)


@pytest.mark.fault(100)
def test_a_detector_that_answers_in_another_shape_than_it_declares_is_refused(
    plain_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_detector(plain_bundle, pack(network(OUTPUTS)), RULE)
    monkeypatch.setattr(
        openvino_engine, "single", lambda model, threads: lambda image: np.zeros((1, 2, 5), np.float32)
    )
    with pytest.raises(BundleError, match=r"answers \[1, 2, 5\]"):
        open_detector(bundle)


def test_a_network_that_openvino_cannot_read_is_refused_with_a_way_out(plain_bundle: Bundle) -> None:
    damaged = write_detector(plain_bundle, pack(Network(b"<net/>", b"")), RULE)
    with pytest.raises(BundleError, match=r"detector-.*remove `detector`"):
        open_detector(damaged)


def test_without_openvino_the_detector_is_refused_with_a_way_out(
    plain_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_detector(plain_bundle, pack(network(OUTPUTS)), RULE)
    openvino_engine._core.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    try:
        with pytest.raises(BundleError, match="remove `detector`"):
            open_detector(bundle)
    finally:
        monkeypatch.undo()
        openvino_engine._core.cache_clear()


def test_of_overlapping_boxes_the_best_is_kept_whatever_their_labels() -> None:
    rows = np.float32(
        [
            [0.5, 0.1, 0, 0, 0.5, 1],
            [0.2, 0.7, 0.05, 0, 0.5, 1],
            [0.4, 0.3, 0.5, 0, 1, 1],
            [0.05, 0.09, 0, 0, 1, 1],
        ]
    )
    assert boxes_of(rows, ["cat", "dog"]) == [
        Box("dog", pytest.approx(0.7), pytest.approx((0.05, 0, 0.5, 1))),  # type: ignore[arg-type]
        Box("cat", pytest.approx(0.4), (0.5, 0, 1, 1)),  # type: ignore[arg-type]
    ]


def test_boxes_are_limited_and_end_at_the_edges_of_the_photo() -> None:
    step = 1 / 20
    rows = np.float32([[0.9, 0, i * step, -1, (i + 1) * step, 2] for i in range(20)])
    found = boxes_of(rows, ["cat", "dog"])
    assert len(found) == MOST_BOXES and all(box.area[1::2] == (0, 1) for box in found)


@pytest.mark.parametrize(
    "row",
    [[np.nan, 0.9, 0, 0, 1, 1], [0.9, 0, 0, 0, np.inf, 1], [0.9, 0, 1.5, 0, 2, 1], [0.9, 0, 0.5, 0, 0.4, 1]],
)
def test_what_is_no_area_of_the_photo_is_no_box(row: list[float]) -> None:
    assert boxes_of(np.float32([row]), ["cat", "dog"]) == []
    assert len(boxes_of(np.float32([row, [0.5, 0, 0, 0, 1, 1]]), ["cat", "dog"])) == 1


def test_intersection_over_union() -> None:
    others = np.float32([[0, 0, 1, 1], [0.5, 0, 1.5, 1], [2, 2, 3, 3]])
    np.testing.assert_allclose(intersection_over_union(np.float32([0, 0, 1, 1]), others), [1, 1 / 3, 0])


def test_the_shipped_detector_finds_cats_and_dogs_and_nothing_in_documents(shared_data: Path) -> None:
    bundle = load(locate("cats_dogs", Path("unused")))
    detect = open_detector(bundle)
    if detect is None:
        pytest.skip("the shipped bundle has no detector")

    def best(folder: str) -> list[Box | None]:
        files = sorted(
            (shared_data / folder).glob("[pkw]_*") if "cats" in folder else (shared_data / folder).iterdir()
        )
        photos = (decode(file.read_bytes(), 300) for file in files[:: max(1, len(files) // 20)])
        return [next(iter(detect(photo)), None) for photo in photos]

    for label in ("cat", "dog"):
        found = best(f"cats_dogs/{label}")
        assert np.mean([box is not None and box.label == label and box.score > 0.2 for box in found]) >= 0.85
    assert all(box is None or box.score < 0.2 for box in best("neither/documents"))
