from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import calibration
from models.bundle.manifest import Archive, Detector, MultiCrop
from models.bundle.replay import PARTS, Features, joined
from models.data.dataset import scan
from models.inference import collect_replay
from models.inference.box_crops import Box, CropInference
from models.inference.outputs import NetworkOutputs
from models.inference.photo_features import features_of, predict
from models.types import Float32, Pixels, Probabilities

SIZE = 16
RNG = np.random.default_rng(1)
PHOTOS = RNG.integers(0, 255, (60, 64, 64, 3)).astype(np.uint8)
KERNEL = RNG.normal(0, 6, (3, 3)).astype(np.float32)
CORNERS = MultiCrop(below=0.9, zoom=1.5, whole=0.2, parts=0.4, strongest=0.4)
RULE = Detector(
    network=Archive(sha256="0" * 64, bytes=1, file="a.zip"), labels=["a", "b"], side=64, score=0.2, crops=3,
    margin=0.1, second_above=0.01, both=0.5,
)  # fmt: skip


def run(images: Pixels) -> tuple[Float32, Float32]:
    """Give the spread of each channel as the features: the crops of noise have other spreads."""
    features = (images[:, :, ::2].astype(np.float32).mean(axis=(1, 2)) - 127) / 8
    return features @ KERNEL, features


def load(row: int, side: int) -> Pixels:
    step = PHOTOS.shape[1] / side
    places = (np.arange(side) * step).astype(int)
    return PHOTOS[row][places][:, places]


def detect(photo: Pixels) -> list[Box]:
    found = int(photo[0, 0, 0]) % 4  # from none to three boxes
    return [Box("a", 0.9, (0.1 * i, 0.1 * i, 0.4 + 0.1 * i, 0.5 + 0.1 * i)) for i in range(found)]


def inference(boxes: bool) -> CropInference:
    rule = (RULE, detect) if boxes else (None, None)
    return CropInference(CORNERS, SIZE, 2, (0, 1), *rule)


@pytest.mark.parametrize("boxes", [True, False])
def test_photos_predicted_from_features_are_as_those_predicted_from_pixels(boxes: bool):
    outputs, crops = NetworkOutputs("float32", SIZE, run), inference(boxes)
    whole = np.stack([load(row, SIZE) for row in range(len(PHOTOS))])
    features = joined(list(features_of(outputs, crops, 1.3, [whole[:25], whole[25:]], load)))
    probabilities = calibration.softmax(run(whole)[0], 1.3).astype(np.float32)

    def predict_pixels(images: Pixels) -> Probabilities:
        return calibration.softmax(run(images)[0], 1.3).astype(np.float32)

    expected = crops.refine(predict_pixels, probabilities, load)
    found = predict(features, lambda values: values @ KERNEL, 1.3, replace(crops, detect=None))
    assert 10 < len(set(features.crop_rows.tolist())) < len(PHOTOS)
    assert (expected.probabilities != probabilities).any()
    np.testing.assert_allclose(found.refined.probabilities, expected.probabilities, atol=1e-6)
    assert found.refined.both.tolist() == expected.both.tolist()
    assert found.without_crops == 0


def test_photos_that_lack_crops_are_counted():
    whole = np.stack([load(row, SIZE) for row in range(len(PHOTOS))])
    features = Features(run(whole)[1], np.zeros((0, 3), np.float32), np.zeros(0, np.int32), np.zeros(0, bool))
    found = predict(features, lambda values: values @ KERNEL, 1.3, inference(boxes=True))
    assert found.without_crops > 5


def test_a_replay_has_photos_of_each_part_balanced_by_label_and_source(
    photos: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(collect_replay, "MOST", {"train": 30, "calibration": 9, "test": 7})
    found = scan([photos / "pets", photos / "neither"], 1, hold_out=False)
    outputs = NetworkOutputs("float32", SIZE, run)
    counted: list[tuple[int, int]] = []
    replay = collect_replay.collect(
        outputs, inference(boxes=False), 1.0, found, 1, lambda *counts: counted.append(counts)
    )
    assert [len(replay.part(part)) for part in PARTS] == [30, 9, 7] and counted[-1] == (46, 46)
    trained = replay.part("train")
    assert np.bincount(trained.labels).tolist() == [10, 10, 10] and not len(trained.features.crops)
    neither = [source for source in trained.sources if source]
    assert len(neither) == 10 and max(map(neither.count, neither)) - min(map(neither.count, neither)) <= 1
    assert (trained.labels[[bool(source) for source in trained.sources]] == 2).all()
