"""The bfloat16 check counts changed decisions on photos, and the bundle keeps the counts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from models.bundle.bundle import Bundle, load
from models.bundle.manifest import MultiCrop
from models.inference import openvino_engine
from models.training import bfloat16_check
from models.training.bfloat16_check import check, compare
from scripts.prove_sketches import write_into

CERTAIN, OTHER, CLOSE = [0.999, 0.0005, 0.0005], [0.0005, 0.999, 0.0005], [0.7, 0.2, 0.1]


def test_only_photos_that_the_first_pass_settles_can_be_flips(plain_bundle: Bundle):
    exact = np.float32([CERTAIN, CERTAIN, CLOSE, OTHER])
    sketch = np.float32([CERTAIN, OTHER, CERTAIN, CLOSE])
    found = compare(plain_bundle, exact, sketch, 0.9)
    assert (found.photos, found.again) == (4, 0.25)
    assert (found.flips, found.confident_flips) == (2, 1)
    assert found.difference == pytest.approx(0.9985)


def test_a_multi_crop_that_bfloat16_would_skip_is_a_flip(plain_bundle: Bundle):
    look = MultiCrop(below=0.97, zoom=1.5, whole=1.0, parts=1.0, strongest=0.0)
    looked = replace(plain_bundle, manifest=plain_bundle.manifest.model_copy(update={"closer_look": look}))
    stranger, unsure = [0.001, 0.001, 0.998], [0.2, 0.05, 0.75]
    for bundle, flips in ((plain_bundle, 0), (looked, 1)):
        assert compare(bundle, np.float32([unsure]), np.float32([stranger]), 0.9).flips == flips


def test_few_photos_or_a_processor_without_bfloat16_give_no_check(
    plain_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bfloat16_check, "open_engine", lambda *_: pytest.fail("no engine is needed for that"))
    assert check(plain_bundle, [b"photo"] * 999, 0.9) is None
    monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda: False)
    assert check(plain_bundle, [b"photo"] * 1000, 0.9) is None


@pytest.mark.skipif(not openvino_engine.has_bfloat16(), reason="the processor has no bfloat16")
def test_the_check_runs_both_engines(trained: Bundle, photos, monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(bfloat16_check, "FEWEST", 0)
    paths = [bytes(path) for path in sorted((photos / "pets" / "dog").iterdir())]
    heard: list[int] = []
    found = check(trained, paths, 0.9, heard.append)
    assert found is not None and found.photos == len(paths) == heard[-1]
    assert 0 < found.difference < 0.2 or found.again == 1


def answering(monkeypatch: pytest.MonkeyPatch, exact, sketch) -> None:
    """Have the engines give these answers, whatever the photos are."""
    monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda: True)
    for name, answers in (("open_engine", exact), ("bfloat16_engine", sketch)):
        engine = SimpleNamespace(predict=lambda images, answers=answers: np.float32(answers))
        monkeypatch.setattr(bfloat16_check, name, lambda *_, engine=engine: engine)
    monkeypatch.setattr(bfloat16_check, "batches", lambda *_: [np.zeros((len(exact), 4, 4, 3), np.uint8)])


def test_too_few_settled_photos_give_no_check(plain_bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    for plain, proven in ((1000, True), (999, False)):
        rows = [CERTAIN] * plain + [CLOSE] * (1000 - plain)
        answering(monkeypatch, rows, rows)
        assert (check(plain_bundle, [b"photo"] * 1000, 0.9) is not None) == proven


def test_changes_at_another_threshold_count_too(plain_bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    thresholds = [replace_threshold(plain_bundle, value) for value in (0.9, 0.6)]
    manifest = plain_bundle.manifest
    table = manifest.calibration.model_copy(update={"thresholds": thresholds})
    bundle = replace(plain_bundle, manifest=manifest.model_copy(update={"calibration": table}))
    nearly = [0.9, 0.05, 0.05]  # stands where photos are filed from 0.6 on, and not from 0.9 on
    answering(monkeypatch, [CERTAIN] * 1000 + [[0.4, 0.5, 0.1]], [CERTAIN] * 1000 + [nearly])
    found = check(bundle, [b"photo"] * 1001, 0.995)
    assert found is not None and found.flips == 1
    assert found.again == pytest.approx(1 / 1001)


def replace_threshold(bundle: Bundle, value: float):
    entry = bundle.calibration.thresholds[0]
    return entry.model_copy(update={"threshold": value, "target_precision": 0.995 if value == 0.9 else 0.5})


def test_the_check_is_written_into_a_bundle_that_stays_the_same_otherwise(plain_bundle: Bundle):
    found = compare(plain_bundle, np.float32([CERTAIN]), np.float32([CERTAIN]), 0.9)
    before = plain_bundle.manifest
    for _ in range(2):
        write_into(load(plain_bundle.path), found)
    after = load(plain_bundle.path).manifest
    assert after.sketches == found
    assert after.model_copy(update={"sketches": None}) == before
