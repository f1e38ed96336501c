from __future__ import annotations

import importlib.util
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from models.bundle.bundle import Bundle, load, read_weights
from models.bundle.weights import pack
from models.bundle.write_bundle import compose, write
from models.errors import BundleError
from models.inference import engines, openvino_engine, self_test_images
from models.inference.engines import open_engine

# Not importorskip, which would import it, telemetry and all.
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set a cache folder of its own for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/pawsort/engines"


@pytest.fixture(scope="session")
def once_converted(trained: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cache of a bundle after opening it with OpenVINO once, without a trial."""
    folder = tmp_path_factory.mktemp("converted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        assert open_engine(trained, "openvino").name == "openvino"
    return folder / "pawsort/engines"


@pytest.fixture
def kept(once_converted: Path, own_cache: Path) -> Path:
    """Return a copy of that cache, since converting takes a second."""
    return Path(shutil.copytree(once_converted, own_cache))


@pytest.fixture
def copied(trained: Bundle, tmp_path: Path) -> Path:
    """Return a copy of the trained bundle that a test may damage."""
    return Path(shutil.copytree(trained.path, tmp_path / "copy"))


def rewritten(path: Path, arrays: dict[str, np.ndarray], **changes: object) -> Bundle:
    """Put other arrays, with the right hash, and other settings into a bundle."""
    content = yaml.safe_load((path / "bundle.yaml").read_text())
    content.pop("weights")
    packed = pack(arrays)
    return write(compose(path, content | changes, packed), packed)


def test_probabilities_are_float32_sum_to_one_and_do_not_depend_on_the_batch(trained: Bundle):
    engine = open_engine(trained, "tensorflow")
    images = self_test_images.images(5, 9, 32)
    whole = engine.predict(images)
    assert whole.shape == (9, 3) and whole.dtype == np.float32
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([engine.predict(i[None]) for i in images]), whole, atol=1e-5)
    assert engine.predict(images[:0]).shape == (0, 3)


by_each_engine = pytest.mark.parametrize("name", [pytest.param("openvino", marks=needs_openvino)])


@by_each_engine
def test_engines_agree(trained: Bundle, name: engines.Kind):
    reference, candidate = open_engine(trained, "tensorflow"), open_engine(trained, name)
    assert (reference.name, candidate.name) == ("tensorflow", name)
    for count in (1, 7, 64):
        images = self_test_images.images(count, count, 32)
        np.testing.assert_allclose(candidate.predict(images), reference.predict(images), atol=1e-4)
        assert candidate.predict(images).dtype == np.float32


@needs_openvino
def test_photos_are_scaled_before_they_are_turned(kept: Path):
    (path,) = kept.glob("*/model.xml")
    nodes = openvino_engine.import_openvino().Core().read_model(path).get_ordered_ops()
    kinds = [node.get_type_name() for node in nodes if node.get_type_name() != "Constant"]
    assert kinds[:6] == ["Parameter", "Convert", "Multiply", "Add", "Transpose", "Convolution"]


@needs_openvino
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("lie", ["read-only", "every other", "columns first"])
def test_openvino_takes_photos_however_they_lie_in_memory(trained: Bundle, lie: str):
    engine, images = open_engine(trained, "openvino"), self_test_images.images(2, 14, 32)
    expected = engine.predict(images)
    laid = {
        "read-only": images.copy(),
        "every other": images[::2],
        "columns first": np.asfortranarray(images),
    }
    laid["read-only"].flags.writeable = False
    np.testing.assert_array_equal(
        engine.predict(laid[lie]), expected[::2] if lie == "every other" else expected
    )


@needs_openvino
@pytest.mark.usefixtures("kept")
def test_auto_logs_its_choice_and_the_rates(trained: Bundle, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "models.inference.engines"):
        engine = open_engine(trained, "auto")
    assert f"engine {engine.name}" in caplog.text and "images a second" in caplog.text


@needs_openvino
@pytest.mark.usefixtures("kept")
def test_auto_takes_the_faster(trained: Bundle, monkeypatch: pytest.MonkeyPatch):
    for faster in ("tensorflow", "openvino"):
        monkeypatch.setattr(
            engines, "_seconds", lambda engine, images, f=faster: 1.0 if engine.name == f else 2.0
        )
        assert open_engine(trained, "auto").name == faster


@needs_openvino
def test_second_start_uses_the_cache_of_the_first(
    trained: Bundle, own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(engines, "_seconds", lambda engine, images: 1.0 if engine.name == "openvino" else 2.0)
    images = self_test_images.images(3, 5, 32)
    first = open_engine(trained, "auto").predict(images)
    assert len(list(own_cache.iterdir())) == 1
    monkeypatch.setattr(engines, "_frozen", lambda *_: pytest.fail("no network is built again"))
    with caplog.at_level(logging.INFO, "models.inference.engines"):
        again = open_engine(trained, "auto")
    assert again.name == "openvino" and "8 images a second in an earlier trial, tensorflow 4" in caplog.text
    np.testing.assert_array_equal(again.predict(images), first)
    assert open_engine(trained, "openvino").name == "openvino"


@needs_openvino
@pytest.mark.parametrize("harm", ["cut off", "another network's", "no trial"])
def test_a_damaged_cache_is_replaced(trained: Bundle, kept: Path, harm: str, monkeypatch: pytest.MonkeyPatch):
    images = self_test_images.images(3, 5, 32)
    first = open_engine(trained, "openvino").predict(images)
    (folder,) = kept.iterdir()
    weights = folder / "model.bin"
    if harm == "cut off":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif harm == "no trial":
        (folder / "trial.json").write_text("[]")
    else:
        places = re.findall(r'offset="(\d+)" size="(\d+)"', (folder / "model.xml").read_text())
        size, start = max((int(size), int(start)) for start, size in places)  # a kernel, and no shape
        values = np.fromfile(weights, np.float32, size // 4, offset=start) * 9
        with open(weights, "r+b") as file:
            file.seek(start)
            file.write(values.tobytes())
    np.testing.assert_array_equal(open_engine(trained, "openvino").predict(images), first)
    monkeypatch.setattr(engines, "_frozen", lambda *_: pytest.fail("the repaired cache is used"))
    np.testing.assert_array_equal(open_engine(trained, "openvino").predict(images), first)


@needs_openvino
@pytest.mark.usefixtures("kept")  # by a forced OpenVINO
def test_choice_of_tensorflow_and_a_forced_openvino_do_not_bind_auto(
    trained: Bundle, monkeypatch: pytest.MonkeyPatch
):
    for faster in ("tensorflow", "openvino"):
        monkeypatch.setattr(
            engines, "_seconds", lambda engine, images, f=faster: 1.0 if engine.name == f else 2.0
        )
        assert open_engine(trained, "auto").name == faster


@needs_openvino
@pytest.mark.usefixtures("kept")
def test_a_trial_is_decided_by_the_best_round_of_each(trained: Bundle, monkeypatch: pytest.MonkeyPatch):
    spans = {"tensorflow": iter([3.0] * 8), "openvino": iter([9.0] * 7 + [2.0])}
    monkeypatch.setattr(engines, "_seconds", lambda engine, images: next(spans[engine.name]))
    assert open_engine(trained, "auto").name == "openvino", "other programs slowed seven of its rounds"


@needs_openvino
def test_without_a_writable_cache_the_engine_still_works(
    trained: Bundle, own_cache: Path, caplog: pytest.LogCaptureFixture
):
    own_cache.parent.mkdir(parents=True)
    own_cache.write_text("a file where the folder should be")
    with caplog.at_level(logging.INFO, "models.inference.openvino_engine"):
        assert open_engine(trained, "openvino").name == "openvino"
    assert "is not kept" in caplog.text


def test_without_openvino_auto_is_tensorflow_and_openvino_is_refused(
    trained: Bundle, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert open_engine(trained, "auto").name == "tensorflow"
    with pytest.raises(BundleError, match="OpenVINO"):
        open_engine(trained, "openvino")


@by_each_engine
def test_an_engine_that_disagrees_is_not_used(
    trained: Bundle, name: engines.Kind, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engines, "AGREEMENT", -1.0)
    assert open_engine(trained, "auto").name == "tensorflow"
    with pytest.raises(BundleError, match="differs from TensorFlow"):
        open_engine(trained, name)


@needs_openvino
def test_a_signal_is_survived_after_networks_of_openvino_are_gone():
    code = """
import os, signal
import numpy as np
from models.inference.openvino_engine import import_openvino, runner
ov = import_openvino()
from openvino import opset8 as ops
images = ops.parameter([1, 4], np.uint8)
model = ov.Model([ops.convert(images, "f32")], [images])
first, second = runner(model, 1), runner(model, 1)
assert first(np.zeros((3, 4), np.uint8)).shape == (3, 4)
del first
del second
signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGUSR1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


@needs_openvino
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core")
@pytest.mark.parametrize("compiled", ["runner(model, 1)", "single(model, 1)"])
def test_fewer_threads_than_cores_are_not_pinned(compiled: str):
    """OpenVINO pins the only thread of each process to the first core, where all of them then run."""
    code = f"""
import contextlib, os, threading
import numpy as np
from models.inference.openvino_engine import import_openvino, runner, single
ov = import_openvino()
from openvino import opset8 as ops
images = ops.parameter([1, 4], np.uint8)
run = {compiled.replace("model", 'ov.Model([ops.convert(images, "f32")], [images])')}
def used():
    found = [len(os.sched_getaffinity(0))]
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            found.append(len(os.sched_getaffinity(int(thread))))
    return min(found)
# A thread is pinned as long as it computes.
working = threading.Thread(target=lambda: [run(np.zeros((1, 4), np.uint8)) for _ in range(20_000)])
working.start()
least = used()
while working.is_alive():
    least = min(least, used())
print(least)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(os.sched_getaffinity(0))


@needs_openvino
def test_telemetry_is_never_imported():
    code = "import sys; from models.inference.openvino_engine import import_openvino; ov = import_openvino();"
    code += "import openvino.tools.ovc.telemetry_utils as t; print(t.tm.__name__, 'requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "False"]


def test_telemetry_that_is_there_already_keeps_openvino_out(trained: Bundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openvino_telemetry", sys)
    assert open_engine(trained, "auto").name == "tensorflow"


def test_temperature_softens(copied: Path, trained: Bundle):
    images = self_test_images.images(1, 4, 32)
    calibration = trained.calibration.model_dump() | {"temperature": trained.calibration.temperature * 10}
    test = trained.self_test.model_dump() | {"tolerance": 1.0}
    soft = open_engine(
        rewritten(copied, read_weights(trained), calibration=calibration, self_test=test), "tensorflow"
    )
    sharp = open_engine(trained, "tensorflow").predict(images)
    expected = sharp**0.1 / (sharp**0.1).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(soft.predict(images), expected, atol=1e-4)


@needs_openvino
@pytest.mark.parametrize(("alone", "kind"), [("int8", "tensorflow"), ("int8", "auto"), ("float32", "int8")])
def test_a_learnt_version_answers_in_the_precision_that_it_was_learnt_in_alone(
    plain_bundle: Bundle, alone: str, kind: engines.Kind
):
    manifest = plain_bundle.manifest.model_copy(update={"answers_in": alone})
    with pytest.raises(BundleError, match=f"learnt in {alone}, and answers in it alone"):
        engines.answering(replace(plain_bundle, manifest=manifest), kind)
    assert engines.answering(plain_bundle, "tensorflow").precision == "float32"


@pytest.mark.fault(100)
def test_self_test_catches_weights_of_the_right_shape(copied: Path, trained: Bundle):
    arrays = read_weights(trained) | {"head/bias": np.array([3.0, -3.0, 0.0], np.float32)}
    with pytest.raises(BundleError, match="self-test failed"):
        open_engine(rewritten(copied, arrays), "tensorflow")


@pytest.mark.parametrize("change", ["missing", "extra", "reshaped", "labels", "architecture", "unknown"])
@pytest.mark.fault(100)
def test_weights_of_another_network_are_refused(copied: Path, trained: Bundle, change: str):
    arrays, settings = dict(read_weights(trained)), {}
    if change == "missing":
        del arrays["head/bias"]
    elif change == "extra":
        arrays["more/kernel"] = np.zeros((2, 2), np.float16)
    elif change == "reshaped":
        arrays["head/kernel"] = arrays["head/kernel"].T.copy()
    elif change == "labels":
        test = trained.self_test.model_dump() | {"probabilities": [[0.5, 0.5]]}
        settings = {"labels": ["cat", "dog"], "self_test": test}
    else:
        settings = {"architecture": "mobilenet_v2" if change == "architecture" else "lambda"}
    with pytest.raises(BundleError, match=r"head/|more/kernel|array|lambda"):
        open_engine(rewritten(copied, arrays, **settings), "tensorflow")


@pytest.mark.fault(99)
def test_keras_archive_with_code_in_it_is_never_run(copied: Path, tmp_path: Path):
    """A .keras file is an archive too; a Lambda layer in it would run on load."""
    canary = tmp_path / "ran"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(
            "config.json", f'{{"class_name": "Lambda", "config": "open({str(canary)!r}, chr(119))"}}'
        )
        file.writestr("__reduce__.pkl", b"cbuiltins\nopen\n(V" + str(canary).encode() + b"\nVw\ntR.")
    content = yaml.safe_load((copied / "bundle.yaml").read_text())
    content.pop("weights")
    with pytest.raises(BundleError, match="cannot be read"):
        open_engine(write(compose(copied, content, archive.getvalue()), archive.getvalue()), "tensorflow")
    with pytest.raises(BundleError):
        load(copied)
    assert not canary.exists()


def test_tensorflow_sees_a_few_images_at_a_time_and_answers_for_all(plain_bundle: Bundle):
    from models.networks.tf_runtime import tf

    seen: list[int] = []

    def function(images):
        seen.append(len(images))
        light = images.numpy().astype(np.float32).mean(axis=(1, 2, 3))
        return (tf.constant(np.stack([light, 1 - light, 0 * light], axis=1)),)

    images = np.repeat(np.arange(70, dtype=np.uint8), 4 * 4 * 3).reshape(70, 4, 4, 3)
    answers = engines._tensorflow(plain_bundle, function).predict(images)
    assert seen == [32, 32, 6]
    np.testing.assert_array_equal(answers[:, 0], np.arange(70))
