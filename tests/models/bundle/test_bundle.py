from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from models.bundle import bundle as bundles
from models.bundle import write_bundle
from models.bundle.bundle import Bundle, load, locate
from models.bundle.weights import WeightsError, pack, unpack
from models.bundle.write_bundle import compose, write
from models.errors import BundleError
from tests.models.conftest import manifest


def weights_of(bundle: Bundle) -> Path:
    return bundle.path / bundle.manifest.weights.file


def edit(bundle: Bundle, change: str, value: object) -> None:
    """Set one dotted key of bundle.yaml."""
    file = bundle.path / "bundle.yaml"
    content = yaml.safe_load(file.read_text())
    *parents, last = change.split(".")
    section = content
    for parent in parents:
        section = section[parent]
    section[last] = value
    file.write_text(yaml.safe_dump(content))


def test_written_bundle_reads_back(plain_bundle: Bundle):
    again = load(plain_bundle.path)
    assert again == plain_bundle
    assert again.labels == ("cat", "dog", "neither") and again.with_folder == (0, 1)


def test_loading_needs_no_tensorflow(plain_bundle: Bundle):
    code = "import sys, pathlib; from models.bundle.bundle import load; load(pathlib.Path(sys.argv[1]));"
    code += "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, plain_bundle.path], check=False).returncode == 0


@pytest.mark.parametrize(
    ("target", "threshold"),
    [(0.0, 0.5), (0.9, 0.5), (0.95, 0.8), (0.99, 0.8), (0.995, 0.97), (0.9999, 1.0), (1.0, 1.0)],
)
def test_threshold_rounds_up_to_the_stricter_entry(plain_bundle: Bundle, target: float, threshold: float):
    assert plain_bundle.threshold(target) == threshold


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
@pytest.mark.fault(98)
def test_truncated_weights_are_refused_with_both_hashes(plain_bundle: Bundle, keep: int):
    file = weights_of(plain_bundle)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BundleError, match="empty" if keep == 0 else plain_bundle.sha256) as refused:
        load(plain_bundle.path)
    assert str(file) in str(refused.value) and "pawsort train" in str(refused.value)


@pytest.mark.fault(98)
def test_one_flipped_bit_is_refused(plain_bundle: Bundle):
    data = bytearray(weights_of(plain_bundle).read_bytes())
    data[len(data) // 2] ^= 1
    weights_of(plain_bundle).write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256"):
        load(plain_bundle.path)


def test_weights_of_another_bundle_are_refused(plain_bundle: Bundle):
    weights_of(plain_bundle).write_bytes(pack({"head/kernel": np.zeros((4, 3))}))
    with pytest.raises(BundleError, match="not the file"):
        load(plain_bundle.path)


@pytest.mark.fault(102)
def test_oversized_weights_are_refused_before_they_are_read_whole(plain_bundle: Bundle):
    with open(weights_of(plain_bundle), "r+b") as file:
        file.truncate(50_000_000_000)  # sparse; reading it all would take the memory of the machine
    with pytest.raises(BundleError, match="larger than 16,000,000 bytes"):
        load(plain_bundle.path)


@pytest.mark.fault(98)
def test_missing_weights_missing_manifest_and_missing_folder_are_refused(
    plain_bundle: Bundle, tmp_path: Path
):
    weights_of(plain_bundle).unlink()
    with pytest.raises(BundleError, match="No such file"):
        load(plain_bundle.path)
    (plain_bundle.path / "bundle.yaml").unlink()
    with pytest.raises(BundleError, match=r"no bundle here: expected a folder with bundle\.yaml"):
        load(plain_bundle.path)
    with pytest.raises(BundleError, match="no bundle here"):
        load(tmp_path / "nowhere")


def test_a_file_where_a_bundle_should_be_is_refused(tmp_path: Path):
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04")
    with pytest.raises(BundleError, match="expected a folder"):
        load(tmp_path / "model.keras")


@pytest.mark.fault(98)
def test_weights_that_are_a_directory_are_refused(plain_bundle: Bundle):
    weights_of(plain_bundle).unlink()
    weights_of(plain_bundle).mkdir()
    with pytest.raises(BundleError, match="directory"):
        load(plain_bundle.path)


@pytest.mark.fault(24)
@pytest.mark.parametrize("name", ["bundle.yaml", "weights"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(plain_bundle: Bundle, name: str):
    file = weights_of(plain_bundle) if name == "weights" else plain_bundle.path / name
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(BundleError, match="not a regular file"):
        load(plain_bundle.path)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("surprise", 1, "surprise"),
        ("schema_version", 2, "schema_version"),
        ("labels", ["cat", "cat", "dog"], "labels"),
        ("folders", {"bird": "birds"}, "folders"),
        ("folders", {"cat": "../cats"}, "plain name"),
        ("input_size", "32", "input_size"),
        ("weights.file", "../../etc/passwd", "weights.file"),
        ("calibration.temperature", float("nan"), "temperature"),
        ("calibration.thresholds", [], "thresholds"),
        ("self_test.probabilities", [[0.5, 0.5]], "self_test"),
        ("self_test.recipe", "other", "recipe"),
        ("self_test.seed", -1, "seed"),
        ("self_test.seed", 10**400, "seed"),
        ("closer_look", {"below": 0.9, "zoom": 1.5, "whole": 1.0, "parts": 1.0}, "strongest"),
        ("closer_look", {"below": 0.9, "zoom": 2.1, "whole": 1, "parts": 1, "strongest": 1}, "zoom"),
    ],
)
def test_manifest_that_makes_no_sense_is_refused_by_name(
    plain_bundle: Bundle, key: str, value: object, says: str
):
    edit(plain_bundle, key, value)
    with pytest.raises(BundleError, match=says):
        load(plain_bundle.path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just text",
        "[1, 2",
        "\x00",
        "name: a\nname: b",
        "a: &x [1]\nb: [*x, *x]",
        "!!python/object/apply:os.system [exit 1]",
    ],
)  # fmt: skip
def test_manifest_that_is_not_plain_yaml_is_refused(plain_bundle: Bundle, text: str):
    (plain_bundle.path / "bundle.yaml").write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.yaml"):
        load(plain_bundle.path)


@pytest.mark.fault(102)
def test_aliases_that_could_stand_for_gigabytes_are_refused(plain_bundle: Bundle):
    file = plain_bundle.path / "bundle.yaml"
    text = (
        file.read_text()
        .replace("name: tiny", "name: &name tiny")
        .replace("architecture: small_cnn", "architecture: *name")
    )
    assert yaml.safe_load(text)["architecture"] == "tiny"
    file.write_text(text)
    with pytest.raises(BundleError, match="aliases"):
        load(plain_bundle.path)


@pytest.mark.fault(100)
def test_arrays_that_are_not_finite_are_neither_written_nor_read():
    with pytest.raises(WeightsError, match="head/bias"):
        pack({"head/bias": np.array([np.nan])})
    with pytest.raises(WeightsError, match="not finite"):
        pack({"head/kernel": np.full((2, 2), 1e6)})  # too large for float16
    buffer = io.BytesIO()
    np.savez(buffer, bias=np.array([np.inf], np.float32))
    with pytest.raises(WeightsError, match="not finite"):
        unpack(buffer.getvalue())


@pytest.mark.fault(99)
def test_pickles_are_never_loaded():
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, bad=np.array([print], dtype=object))
    with pytest.raises(WeightsError, match="object"):
        unpack(buffer.getvalue())


@pytest.mark.fault(102)
def test_compressed_arrays_are_refused_unread():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, bomb=np.zeros((1000, 1000), np.float16))
    with pytest.raises(WeightsError, match="compressed"):
        unpack(buffer.getvalue())


@pytest.mark.fault(102)
def test_header_of_a_larger_array_than_the_file_takes_no_memory():
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("huge.npy", header.getvalue())
    with pytest.raises(WeightsError, match="huge"):
        unpack(buffer.getvalue())


def with_header(text: str, flags: int = 0) -> bytes:
    """Return an archive of one array whose header is that text, in NumPy's format 1.0."""
    header = text.encode() + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("odd.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(4))
    data = bytearray(buffer.getvalue())
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + place] |= flags
    return bytes(data)


@pytest.mark.fault(102)
@pytest.mark.parametrize(
    "data",
    [
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (((("),
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (True, True)}"),
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",)}"),
        with_header("(" * 9000),
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", flags=1),
    ],
    ids=["unclosed", "booleans", "5000 digits", "9000 levels", "encrypted"],
)
def test_a_header_that_no_numpy_writes_is_refused_in_few_words(data: bytes) -> None:
    with pytest.raises(WeightsError) as refused:
        unpack(data)
    assert len(str(refused.value)) < 300


def test_files_that_are_not_archives_are_refused():
    for data in (b"plain text", b"PK\x03\x04 nothing more"):
        with pytest.raises(WeightsError):
            unpack(data)


def test_kernels_shrink_to_float16_and_vectors_stay():
    kernel, vector = np.full((2, 2), 1 / 3, np.float32), np.array([1e6], np.float32)
    arrays = unpack(pack({"kernel": kernel, "variance": vector}))
    assert arrays["kernel"].dtype == np.float16 and arrays["variance"][0] == 1e6


def test_replaced_bundle_leaves_one_weights_file_and_keeps_its_neighbours(plain_bundle: Bundle):
    theirs = {
        "README.md",
        "weights-mine.npz",
        "int8-old.zip",
        "detector-x.zip",
        "weights-0123456789ab.npz.bak",
    }
    for name in theirs:
        (plain_bundle.path / name).write_text("of the user")
    (plain_bundle.path / "int8-0123456789ab.zip").write_text("of an earlier bundle")
    packed = pack({"head/kernel": np.zeros((4, 3))})
    new = write(compose(plain_bundle.path, manifest(name="newer"), packed), packed)
    assert new.name == "newer" and new.sha256 != plain_bundle.sha256
    assert {p.name for p in new.path.iterdir()} == {*theirs, "bundle.yaml", new.manifest.weights.file}


def test_interrupted_replacement_leaves_the_old_bundle(plain_bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    real = write_bundle.replace

    def stop_at_manifest(path: Path, data: bytes) -> None:
        if path.name == "bundle.yaml":
            raise KeyboardInterrupt
        real(path, data)

    monkeypatch.setattr(write_bundle, "replace", stop_at_manifest)
    packed = pack({"head/kernel": np.zeros((4, 3))})
    with pytest.raises(KeyboardInterrupt):
        write(compose(plain_bundle.path, manifest(name="newer"), packed), packed)
    assert load(plain_bundle.path) == plain_bundle


@pytest.mark.parametrize("name", ["x" * 300, "./" + "x" * 300, "x/" * 2500, "a\0b"], ids=lambda n: n[:5])
def test_a_name_that_no_folder_can_have_is_refused_as_no_bundle(tmp_path: Path, name: str):
    with pytest.raises(BundleError, match="no bundle here"):
        load(locate(name, tmp_path))


def test_names_are_found_among_the_shipped_and_paths_from_the_base(tmp_path: Path):
    shipped = Path(bundles.__file__).parents[1]
    assert locate("cats_dogs", tmp_path) == shipped / "cats_dogs"
    assert locate("mine/model", tmp_path) == tmp_path / "mine/model"
    assert locate("/elsewhere/model", tmp_path) == Path("/elsewhere/model")
    (tmp_path / "mine").mkdir()
    assert locate("mine", tmp_path) == tmp_path / "mine"
    assert locate("mine", tmp_path / "elsewhere", tmp_path) == tmp_path / "mine"
    (tmp_path / "models/second").mkdir(parents=True)
    (tmp_path / "models/second/bundle.yaml").touch()
    assert locate("second", tmp_path / "elsewhere", tmp_path) == tmp_path / "models/second"
    (tmp_path / "second").mkdir()  # no bundle
    assert locate("second", tmp_path) == tmp_path / "models/second"
    (tmp_path / "cats_dogs").mkdir()
    assert locate("cats_dogs", tmp_path) == shipped / "cats_dogs"
