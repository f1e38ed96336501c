from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from models.bundle import write_bundle
from models.bundle.bundle import Bundle, load, read_detector
from models.bundle.openvino_archive import Network, pack
from models.bundle.weights import pack as pack_weights
from models.bundle.write_bundle import compose, write, write_detector
from models.errors import BundleError
from tests.models.conftest import manifest

NETWORK = Network(b"<net/>", b"\x00\x01" * 100)
RULE: dict[str, Any] = {
    "labels": ["cat", "dog"], "side": 600, "score": 0.2, "crops": 3, "margin": 0.1,
    "second_above": 0.002, "both": 0.7,
}  # fmt: skip


@pytest.fixture
def with_detector(plain_bundle: Bundle) -> Bundle:
    return write_detector(plain_bundle, pack(NETWORK), RULE)


def file_of(bundle: Bundle) -> Path:
    assert bundle.manifest.detector is not None
    return bundle.path / bundle.manifest.detector.network.file


def test_a_bundle_without_a_detector_loads_as_before(plain_bundle: Bundle) -> None:
    assert "detector" not in (plain_bundle.path / "bundle.yaml").read_text()
    assert read_detector(load(plain_bundle.path)) is None


def test_a_written_detector_reads_back_beside_the_same_weights(
    plain_bundle: Bundle, with_detector: Bundle
) -> None:
    again = load(plain_bundle.path)
    assert read_detector(again) == NETWORK
    assert again.sha256 == plain_bundle.sha256
    assert again.manifest.model_copy(update={"detector": None}) == plain_bundle.manifest


def test_another_detector_replaces_the_first(with_detector: Bundle) -> None:
    second = write_detector(with_detector, pack(Network(b"<other/>", b"2")), RULE)
    assert read_detector(load(second.path)) == Network(b"<other/>", b"2")
    assert [file.name for file in second.path.glob("detector-*")] == [file_of(second).name]


def test_interrupted_writing_leaves_the_old_bundle(
    plain_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> Bundle:
        raise KeyboardInterrupt

    monkeypatch.setattr(write_bundle, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        write_detector(plain_bundle, pack(NETWORK), RULE)
    assert load(plain_bundle.path) == plain_bundle


def test_a_new_bundle_without_one_removes_the_detector(with_detector: Bundle) -> None:
    packed = pack_weights({})
    new = write(compose(with_detector.path, manifest(), packed), packed)
    assert {file.name for file in new.path.iterdir()} == {"bundle.yaml", new.manifest.weights.file}


@pytest.mark.fault(98)
def test_one_flipped_bit_is_refused(with_detector: Bundle) -> None:
    data = bytearray(file_of(with_detector).read_bytes())
    data[-30] ^= 1
    file_of(with_detector).write_bytes(data)
    with pytest.raises(BundleError, match=r"this is not the file that bundle\.yaml describes.*SHA-256"):
        load(with_detector.path)


@pytest.mark.fault(98)
def test_a_missing_detector_is_refused(with_detector: Bundle) -> None:
    file_of(with_detector).unlink()
    with pytest.raises(BundleError, match="No such file"):
        load(with_detector.path)


@pytest.mark.fault(102)
def test_an_oversized_detector_is_refused_before_it_is_read_whole(with_detector: Bundle) -> None:
    with open(file_of(with_detector), "r+b") as file:
        file.truncate(50_000_000_000)
    with pytest.raises(BundleError, match="larger than 16,000,000 bytes"):
        load(with_detector.path)


def test_a_file_that_is_no_archive_is_refused(plain_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="the network cannot be read"):
        write_detector(plain_bundle, b"no archive", RULE)
    assert load(plain_bundle.path) == plain_bundle


@pytest.mark.fault(102)
def test_an_archive_that_unpacks_to_gigabytes_is_refused(plain_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="unpacks to more"):
        write_detector(plain_bundle, pack(Network(b"<net/>", bytes(65_000_000))), RULE)


@pytest.mark.parametrize(
    ("key", "value"),
    [("network", {"file": "../detector.zip"}), ("labels", ["cat", "neither"]), ("labels", []), ("both", 1.1),
     ("crops", 0), ("surprise", 1)],
)  # fmt: skip
def test_an_entry_that_makes_no_sense_is_refused_by_name(
    with_detector: Bundle, key: str, value: object
) -> None:
    file = with_detector.path / "bundle.yaml"
    content = yaml.safe_load(file.read_text())
    content["detector"][key] = value
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(BundleError, match=key):
        load(with_detector.path)
