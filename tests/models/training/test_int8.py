"""The int8 network of a bundle: made, calibrated, measured and used in that precision."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from models.bundle import openvino_archive
from models.bundle.bundle import Bundle, load, read_int8, read_weights
from models.bundle.weights import pack
from models.bundle.write_bundle import compose, files_of, write
from models.errors import BundleError, PackageMissing
from models.evaluation.evaluate import evaluate
from models.inference import openvino_engine, outputs, self_test_images
from models.inference.engines import answering, open_engine
from models.inference.openvino_engine import import_openvino
from models.training import export
from models.training.train import train
from tests.models.conftest import options
from tests.models.inference.test_detector import serialised

pytestmark = [
    pytest.mark.usefixtures("few_steps"),
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="NNCF is not installed"),
]


@pytest.fixture
def copied(trained_int8: Bundle, tmp_path: Path) -> Path:
    """Return a copy of the bundle that a test may damage."""
    return Path(shutil.copytree(trained_int8.path, tmp_path / "copy"))


def test_auto_answers_in_int8_and_the_others_in_float32(trained_int8: Bundle):
    bundle, images = load(trained_int8.path), self_test_images.images(1, 8, 32)
    assert [answering(bundle, kind).precision for kind in ("auto", "int8", "openvino", "tensorflow")] == [
        "int8", "int8", "float32", "float32",
    ]  # fmt: skip
    quick, exact = (open_engine(answering(bundle, kind), kind) for kind in ("auto", "tensorflow"))
    assert (quick.name, exact.name) == ("int8", "tensorflow")
    found = quick.predict(images)
    assert found.shape == (8, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found, exact.predict(images), atol=0.2)
    assert quick.predict(images[:0]).shape == (0, 3)


def test_an_answer_does_not_depend_on_the_batch(trained_int8: Bundle):
    engine, images = open_engine(answering(load(trained_int8.path))), self_test_images.images(5, 9, 32)
    alone = np.concatenate([engine.predict(image[None]) for image in images])
    np.testing.assert_array_equal(engine.predict(images), alone)


def test_each_precision_has_its_own_calibration_and_figures(trained_int8: Bundle):
    exact = load(trained_int8.path)
    int8 = answering(exact)
    section = exact.manifest.int8
    assert section is not None
    assert int8.calibration is section.calibration is not exact.calibration
    assert int8.calibration.photos == exact.calibration.photos > 0
    assert int8.multi_crop is section.closer_look
    assert int8.self_test.probabilities != exact.self_test.probabilities
    assert int8.figures.keys() == exact.figures.keys() and int8.figures != exact.figures


def test_evaluate_gives_the_figures_of_the_precision(trained_int8: Bundle, photos: Path):
    folders = [photos / "pets", photos / "neither"]
    for precision in ("int8", "float32"):
        bundle = load(trained_int8.path).in_precision(precision)  # type: ignore[arg-type]
        found = evaluate(bundle, folders, split="test").figures()
        assert found["log_loss"].value == pytest.approx(bundle.figures["log_loss"].value, abs=1e-6)


def test_the_outputs_are_logits_and_what_the_last_layer_gets(trained_int8: Bundle):
    arrays = read_weights(trained_int8)
    logits, features = outputs.of_int8(read_int8(trained_int8), 32).run(self_test_images.images(2, 4, 32))
    again = features @ arrays["head/kernel"].astype(np.float32) + arrays["head/bias"]
    np.testing.assert_allclose(logits, again, atol=0.05 * np.abs(again).max())


def test_without_openvino_auto_answers_in_float32(trained_int8: Bundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    bundle = answering(load(trained_int8.path))
    assert bundle.precision == "float32" and open_engine(bundle, "auto").name == "tensorflow"
    with pytest.raises(BundleError, match=r"OpenVINO cannot run it.*engine: tensorflow"):
        open_engine(answering(load(trained_int8.path), "int8"))


def test_a_bundle_without_int8_says_so(trained: Bundle):
    assert answering(trained).precision == "float32"
    with pytest.raises(BundleError, match=r"no int8 network.*engine: auto"):
        answering(trained, "int8")


@pytest.mark.parametrize("harm", ["changed", "missing", "empty"])
def test_a_damaged_file_is_refused(copied: Path, harm: str):
    (path,) = copied.glob("int8-*.zip")
    data = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data if harm == "changed" else b"")
    with pytest.raises(BundleError, match=f"{path.name}.*Restore the bundle"):
        load(copied)


def test_a_graph_that_is_none_is_refused(copied: Path):
    content = yaml.safe_load((copied / "bundle.yaml").read_text())
    content.pop("weights")
    packed = pack(read_weights(load(copied)))
    wrong = openvino_archive.pack(openvino_archive.Network(b"<net/>", b"1"))
    with pytest.raises(BundleError, match="OpenVINO cannot run it"):
        open_engine(answering(write(compose(copied, content, packed, wrong), packed, wrong)))


def constant(size: int, labels: int) -> openvino_archive.Network:
    """Return a network for photos of that size that gives the same logits for each."""
    from openvino import opset13 as ops

    image = ops.parameter([1, size, size, 3], np.uint8)
    mean = ops.reduce_mean(ops.convert(image, "f32"), ops.constant([0, 1, 2, 3]), False)
    rows = ops.add(ops.constant(np.zeros((1, labels), np.float32)), mean)
    return serialised(import_openvino().Model([rows], [image], "constant"))


@pytest.mark.fault(100)
@pytest.mark.parametrize(
    ("size", "labels", "words"), [(32, 2, r"answers \[4, 2\]"), (40, 3, "cannot run it")]
)
def test_a_network_of_other_shapes_is_refused(copied: Path, size: int, labels: int, words: str):
    content = yaml.safe_load((copied / "bundle.yaml").read_text())
    content.pop("weights")
    packed, wrong = pack(read_weights(load(copied))), openvino_archive.pack(constant(size, labels))
    with pytest.raises(BundleError, match=words):
        open_engine(answering(write(compose(copied, content, packed, wrong), packed, wrong)))


@pytest.mark.fault(100)
def test_another_network_in_int8_is_refused_by_the_self_test(copied: Path):
    content = yaml.safe_load((copied / "bundle.yaml").read_text())
    content.pop("weights")
    rows = content["int8"]["self_test"]["probabilities"]
    content["int8"]["self_test"]["probabilities"] = [[row[1], row[2], row[0]] for row in rows]
    content["int8"]["self_test"]["tolerance"] = 0.001
    packed, int8, *_ = files_of(load(copied))
    with pytest.raises(BundleError, match="self-test failed"):
        open_engine(answering(write(compose(copied, content, packed, int8), packed, int8)))


def test_older_files_go_with_a_new_network(copied: Path):
    content = yaml.safe_load((copied / "bundle.yaml").read_text())
    content.pop("weights")
    packed = pack(read_weights(load(copied)))
    without = {key: value for key, value in content.items() if key != "int8"}
    write(compose(copied, without, packed), packed)
    assert not list(copied.glob("int8-*")) and answering(load(copied)).precision == "float32"


@pytest.mark.usefixtures("one_layer")
def test_int8_that_loses_too_much_is_left_out_with_a_warning(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    real = export.calibrated

    def worse(found, **rest):
        from dataclasses import replace

        fit = real(found, **rest)
        return replace(fit, accuracy_with_folder=0.9 if found.precision == "int8" else 0.904)

    monkeypatch.setattr(export, "calibrated", worse)
    with caplog.at_level(logging.WARNING, "models.training.export"):
        bundle = train(options(photos, tmp_path, int8=True, epochs=1))
    assert bundle.manifest.int8 is None and not list(bundle.path.glob("int8-*"))
    assert "has no int8 network: it gets 0.4% more photos wrong than float32, of 0.3% allowed" in caplog.text


@pytest.mark.usefixtures("one_layer")
def test_without_nncf_training_says_what_to_do(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(PackageMissing, match=r"nncf is not installed.*--no-int8"):
        train(options(photos, tmp_path, int8=True, epochs=1))
    assert not (tmp_path / "tiny" / "bundle.yaml").exists()


def test_no_network_is_kept_in_the_cache(
    trained_int8: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(openvino_engine, "convert", lambda *_: pytest.fail("the network is stored converted"))
    open_engine(answering(load(trained_int8.path)))
    assert not list(tmp_path.iterdir())
