"""A trained model as a folder: `bundle.yaml` describes it, one `.npz` file holds its float weights.

Archives in OpenVINO's form may hold the network in int8, and a detector, which finds animals in a photo.
Reading a bundle runs no code from it: the weights are plain arrays, assigned by name to a network built here,
and an archive only names operations that OpenVINO has. Nothing in this module imports TensorFlow.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError

from models import calibration, regular_files
from models.bundle import openvino_archive
from models.bundle.manifest import (
    LARGEST_FILE,
    LARGEST_UNPACKED,
    SCHEMA_VERSION,
    Archive,
    Calibration,
    Figure,
    Int8,
    Manifest,
    MultiCrop,
    ReplayFile,
    SelfTest,
    Weights,
)
from models.bundle.openvino_archive import Network
from models.bundle.replay import Replay
from models.bundle.replay import unpack as unpack_replay
from models.bundle.weights import Arrays, WeightsError, unpack
from models.errors import BundleError
from models.labels import NEITHER
from models.plain_yaml import PlainLoader

MANIFEST = "bundle.yaml"
LARGEST_MANIFEST = 1_000_000  # bytes

Precision = Literal["float32", "int8"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files have been checked. `labels` is the order of the network's outputs.

    Calibration, multi-crop weights, self-test and figures are those of its `precision`.
    """

    path: Path
    manifest: Manifest
    name: str
    labels: tuple[str, ...]
    folders: Mapping[str, str]
    input_size: int
    sha256: str
    architecture: str
    precision: Precision = "float32"

    def in_precision(self, precision: Precision) -> Bundle:
        """Return this bundle with what was measured in that precision. Raises BundleError if it lacks it."""
        if precision == "int8" and self.manifest.int8 is None:
            raise BundleError(
                f"{self.path}: the model has no int8 network. Use engine: auto, or make the model again with "
                "`pawsort train`."
            )
        return dataclasses.replace(self, precision=precision)

    @property
    def _section(self) -> Manifest | Int8:
        int8 = self.manifest.int8
        return int8 if int8 and self.precision == "int8" else self.manifest

    @property
    def calibration(self) -> Calibration:
        """Temperature and the table of thresholds."""
        return self._section.calibration

    @property
    def multi_crop(self) -> MultiCrop | None:
        """The weights of multi-crop inference; None where the bundle does without."""
        return self._section.closer_look

    @property
    def self_test(self) -> SelfTest:
        """The probabilities that the network must give for a fixed input."""
        return self._section.self_test

    @property
    def neither(self) -> int | None:
        """The column of `neither`, None where the model has no such label."""
        return self.labels.index(NEITHER) if NEITHER in self.labels else None

    @property
    def figures(self) -> Mapping[str, Figure]:
        """The figures on photos that took part in no choice, by name."""
        return self._section.figures

    @property
    def with_folder(self) -> tuple[int, ...]:
        """Indices of the labels that have a folder."""
        return tuple(index for index, label in enumerate(self.labels) if label in self.folders)

    def unproven(self, target_precision: float) -> str | None:
        """Return a warning if the calibration does not prove this precision, 0 to 1; None if it does."""
        return calibration.unproven(self.calibration.thresholds, self.calibration.photos, target_precision)

    def threshold(self, target_precision: float) -> float:
        """Return the lowest confidence to file at, so that this share, 0 to 1, of filed photos is right.

        Takes the next stricter entry of the calibration table; 1.0 above the strictest.
        """
        table = sorted(self.calibration.thresholds, key=lambda entry: entry.target_precision)
        return next((entry.threshold for entry in table if entry.target_precision >= target_precision), 1.0)


def locate(name_or_path: str, *bases: Path) -> Path:
    """Return the folder of a bundle; it may not exist.

    A bare name is a shipped bundle, else one in a base or in its `models/`, the first base first. Anything
    else is a path from the first base.
    """
    if name_or_path in ("", ".", "..") or "/" in name_or_path:
        return bases[0] / name_or_path
    shipped = Path(__file__).parents[1] / name_or_path
    own = [folder / name_or_path for base in bases for folder in (base, base / "models")]
    bundles = (path for path in (shipped, *own) if os.path.exists(path / MANIFEST))
    folders = (path for path in own if os.path.isdir(path))
    return next(bundles, None) or next(folders, own[-1])


def load(path: Path) -> Bundle:
    """Read a bundle and check its files in full, SHA-256 included. Raises BundleError."""
    bundle = described(path, read_manifest(path))
    read_weights(bundle)
    if bundle.manifest.int8:
        read_int8(bundle)
    read_detector(bundle)
    if bundle.manifest.replay:  # unpacked only to learn
        _checked(path / bundle.manifest.replay.file, bundle.manifest.replay)
    return bundle


def described(path: Path, manifest: Manifest) -> Bundle:
    """Return the bundle of a checked manifest; its other files are not read."""
    return Bundle(
        path=path,
        manifest=manifest,
        name=manifest.name,
        labels=tuple(manifest.labels),
        folders=manifest.folders,
        input_size=manifest.input_size,
        sha256=manifest.weights.sha256,
        architecture=manifest.architecture,
    )


def read_weights(bundle: Bundle) -> Arrays:
    """Read a bundle's arrays in their stored types, after checking their SHA-256.

    Raises BundleError for anything but a plain, complete, finite set of arrays.
    """
    data = _checked(bundle.path / bundle.manifest.weights.file, bundle.manifest.weights)
    try:
        return unpack(data)
    except WeightsError as error:
        path = bundle.path / bundle.manifest.weights.file
        raise BundleError(f"{path}: the weights cannot be read: {error}. {REMEDY}") from error


def read_int8(bundle: Bundle) -> Network:
    """Read the int8 network, after checking its SHA-256. Raises BundleError."""
    section = bundle.in_precision("int8").manifest.int8
    assert section is not None
    return _network(bundle, section.network)


def read_detector(bundle: Bundle) -> Network | None:
    """Read a bundle's detector, after checking its SHA-256; None where the bundle has none.

    Raises BundleError for anything but a network in one plain archive.
    """
    return _network(bundle, bundle.manifest.detector.network) if bundle.manifest.detector else None


def read_replay(bundle: Bundle) -> Replay | None:
    """Read a bundle's replay, after checking its SHA-256; None where it has none. Raises BundleError."""
    entry = bundle.manifest.replay
    if entry is None:
        return None
    path = bundle.path / entry.file
    try:
        return unpack_replay(_checked(path, entry), len(bundle.labels))
    except WeightsError as error:
        raise BundleError(f"{path}: the replay cannot be read: {error}. {REMEDY}") from error


def _network(bundle: Bundle, described: Archive) -> Network:
    path = bundle.path / described.file
    try:
        return openvino_archive.unpack(_checked(path, described), LARGEST_UNPACKED)
    except openvino_archive.ArchiveError as error:
        raise BundleError(f"{path}: the network cannot be read: {error}. {REMEDY}") from error


def _checked(path: Path, described: Weights | Archive | ReplayFile) -> bytes:
    data = read_file(path, LARGEST_FILE)
    actual = hashlib.sha256(data).hexdigest()
    if actual != described.sha256:
        raise BundleError(
            f"{path}: this is not the file that {MANIFEST} describes: expected {described.bytes} bytes "
            f"with SHA-256 {described.sha256}, found {len(data)} bytes with {actual}. {REMEDY}"
        )
    return data


REMEDY = "Restore the bundle from its source, or make it again with `pawsort train`."


class _PlainLoader(PlainLoader):
    """YAML without aliases, which can expand a few lines to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def parse_manifest(text: str) -> object:
    """Return the content of a bundle.yaml, not validated. Raises YAMLError, ValueError and RecursionError."""
    return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader


def read_manifest(path: Path) -> Manifest:
    """Read and validate the bundle.yaml in a folder; no other file is read. Raises BundleError."""
    file = path / MANIFEST
    if not os.path.lexists(file) and (not os.path.isdir(path) or os.access(path, os.X_OK)):
        raise BundleError(f"{path}: no bundle here: expected a folder with {MANIFEST} in it. {REMEDY}")
    try:
        text = read_file(file, LARGEST_MANIFEST).decode()
        content = parse_manifest(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        detail = " ".join(str(error).split())
        raise BundleError(f"{file}: not readable as YAML: {detail}. {REMEDY}") from error
    return validated(file, content)


def validated(file: Path, content: object) -> Manifest:
    """Return the content of a bundle.yaml. Raises BundleError that names `file`."""
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'all'}: {e['msg']}" for e in error.errors()[:5])
        raise BundleError(f"{file}: not a bundle of schema {SCHEMA_VERSION}: {wrong}. {REMEDY}") from error


def read_file(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes. Raises BundleError."""
    try:
        data = regular_files.read(path, limit)
    except OSError as error:
        closed = isinstance(error, PermissionError)
        remedy = "Let the user that runs Pawsort read it and enter its folders." if closed else REMEDY
        raise BundleError(f"{path}: cannot be read: {error.strerror}. {remedy}") from error
    if not data:
        raise BundleError(f"{path}: the file is empty. {REMEDY}")
    return data
