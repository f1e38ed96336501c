"""A bundle says of sketches what was counted on photos."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import converted, proving
from models.bundle import Bundle, Look, load
from models.proving import judge, looked, prove
from scripts.prove_sketches import write_into

SURE, OTHER, CLOSE = [0.999, 0.0005, 0.0005], [0.0005, 0.999, 0.0005], [0.7, 0.2, 0.1]
NONE = (np.zeros((0, 3), np.float32),) * 2


def test_only_what_stands_can_be_a_flip(plain_bundle: Bundle):
    exact = np.float32([SURE, SURE, CLOSE, OTHER])
    sketch = np.float32([SURE, OTHER, SURE, CLOSE])
    found = judge(plain_bundle, exact, sketch, NONE, 0.9)
    assert (found.photos, found.again) == (4, 0.25)
    assert (found.flips, found.confident_flips) == (2, 1)
    assert found.difference == pytest.approx(0.9985)


def test_a_closer_look_that_a_sketch_would_spare_is_a_flip(plain_bundle: Bundle):
    look = Look(below=0.97, zoom=1.5, whole=1.0, parts=1.0)
    looked = replace(plain_bundle, manifest=plain_bundle.manifest.model_copy(update={"closer_look": look}))
    stranger, unsure = [0.001, 0.001, 0.998], [0.2, 0.05, 0.75]
    for bundle, flips in ((plain_bundle, 0), (looked, 1)):
        assert judge(bundle, np.float32([unsure]), np.float32([stranger]), NONE, 0.9).flips == flips


def test_flips_after_a_closer_look_count_too(plain_bundle: Bundle):
    first = np.float32([SURE] * 4)
    looks = np.float32([SURE, CLOSE, OTHER]), np.float32([OTHER, SURE, CLOSE])
    found = judge(plain_bundle, first, first, looks, 0.9)
    assert (found.photos, found.looks, found.again) == (4, 3, 0)
    assert (found.flips, found.confident_flips) == (2, 1)
    assert found.difference == pytest.approx(0.9985)


def test_what_is_unsure_is_looked_at_in_both_ways(plain_bundle: Bundle, tmp_path: Path):
    look = Look(below=0.97, zoom=1.5, whole=0.0, parts=1.0)
    bundle = replace(plain_bundle, manifest=plain_bundle.manifest.model_copy(update={"closer_look": look}))
    paths = []
    for name, colour in (("sure", 0), ("dark", 10), ("light", 200)):
        Image.new("RGB", (300, 300), (colour,) * 3).save(tmp_path / f"{name}.png")
        paths.append(os.fsencode(tmp_path / f"{name}.png"))

    def by(factor: float):
        return lambda images: np.float32([[v := i.mean() / 255 * factor, 1 - v, 0] for i in images])

    exact, sketched = looked(bundle, np.float32([SURE, CLOSE, CLOSE]), paths, by(1.0), by(0.5))
    np.testing.assert_allclose(exact[:, 0], [10 / 255, 200 / 255], atol=1e-3)
    np.testing.assert_allclose(sketched[:, 0], [5 / 255, 100 / 255], atol=1e-3)
    assert looked(plain_bundle, np.float32([CLOSE]), paths, by(1.0), by(1.0))[0].shape == (0, 3)


def test_few_photos_or_a_processor_without_bfloat16_prove_nothing(
    plain_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(proving, "open_engine", lambda *_: pytest.fail("no engine is needed for that"))
    assert prove(plain_bundle, [b"photo"] * 999, 0.9) is None
    monkeypatch.setattr(converted, "can_sketch", lambda: False)
    assert prove(plain_bundle, [b"photo"] * 1000, 0.9) is None


@pytest.mark.skipif(not converted.can_sketch(), reason="the processor has no bfloat16")
def test_photos_prove_it_with_the_engines_themselves(
    trained: Bundle, photos, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(proving, "FEWEST", 20)
    paths = [bytes(path) for path in sorted((photos / "pets" / "dog").iterdir())]
    heard: list[int] = []
    found = prove(trained, paths, 0.9, heard.append)
    assert found is not None and found.photos == len(paths) == heard[-1]
    assert 0 < found.difference < 0.2 or found.again == 1


def test_it_is_written_into_a_bundle_that_stays_the_same_otherwise(plain_bundle: Bundle):
    found = judge(plain_bundle, np.float32([SURE]), np.float32([SURE]), NONE, 0.9)
    before = plain_bundle.manifest
    for _ in range(2):
        write_into(load(plain_bundle.path), found)
    after = load(plain_bundle.path).manifest
    assert after.sketches == found
    assert after.model_copy(update={"sketches": None}) == before
