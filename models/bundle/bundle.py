"""A trained model as a folder: `bundle.yaml` describes it, one `.npz` file holds its arrays.

Reading a bundle runs no code from it: the weights are plain arrays, assigned by name to a network built here.
Nothing in this module imports TensorFlow.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from models import calibration
from models.bundle.manifest import (
    LARGEST_WEIGHTS,
    SCHEMA_VERSION,
    Calibration,
    Figure,
    Manifest,
    MultiCrop,
)
from models.bundle.weights import Arrays, WeightsError, unpack
from models.errors import BundleError
from models.labels import NEITHER

MANIFEST = "bundle.yaml"
LARGEST_MANIFEST = 1_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files have been checked. `labels` is the order of the network's outputs."""

    path: Path
    manifest: Manifest
    name: str
    labels: tuple[str, ...]
    folders: Mapping[str, str]
    input_size: int
    sha256: str
    architecture: str

    @property
    def calibration(self) -> Calibration:
        """Temperature and the table of thresholds."""
        return self.manifest.calibration

    @property
    def multi_crop(self) -> MultiCrop | None:
        """The weights of multi-crop inference; None if the bundle does not use it."""
        return self.manifest.closer_look

    @property
    def neither(self) -> int | None:
        """The column of `neither`, None where the model has no such label."""
        return self.labels.index(NEITHER) if NEITHER in self.labels else None

    @property
    def figures(self) -> Mapping[str, Figure]:
        """The figures on test photos, by name."""
        return self.manifest.figures

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
    bundles = (path for path in (shipped, *own) if (path / MANIFEST).exists())
    folders = (path for path in own if path.is_dir())
    return next(bundles, None) or next(folders, own[-1])


def load(path: Path) -> Bundle:
    """Read a bundle and check its files in full, SHA-256 included. Raises BundleError."""
    bundle = _bundle(path, _read_manifest(path))
    read_weights(bundle)
    return bundle


def _bundle(path: Path, manifest: Manifest) -> Bundle:
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
    weights, path = bundle.manifest.weights, bundle.path / bundle.manifest.weights.file
    data = _read(path, LARGEST_WEIGHTS)
    actual = hashlib.sha256(data).hexdigest()
    if actual != weights.sha256:
        raise BundleError(
            f"{path}: these are not the weights that {MANIFEST} describes: expected {weights.bytes} bytes "
            f"with SHA-256 {weights.sha256}, found {len(data)} bytes with {actual}. {_REMEDY}"
        )
    try:
        return unpack(data)
    except WeightsError as error:
        raise BundleError(f"{path}: the weights cannot be read: {error}. {_REMEDY}") from error


def compose(path: Path, content: Mapping[str, Any], packed: bytes) -> Bundle:
    """Return the bundle that `write` would put at `path`, from Manifest's content without `weights`.

    Raises BundleError.
    """
    digest = hashlib.sha256(packed).hexdigest()
    weights = {"file": f"weights-{digest[:12]}.npz", "sha256": digest, "bytes": len(packed)}
    return _bundle(path, _validated(path / MANIFEST, {**content, "weights": weights}))


def write(bundle: Bundle, packed: bytes) -> Bundle:
    """Write a composed bundle atomically: a reader finds the old one or the new one, never a mixture.

    The rename of bundle.yaml switches over: it names its weights file, whose name contains its hash.
    """
    path, name = bundle.path, bundle.manifest.weights.file
    path.mkdir(parents=True, exist_ok=True)
    replace(path / name, packed)
    text = yaml.safe_dump(
        bundle.manifest.model_dump(exclude_none=True), sort_keys=False, allow_unicode=True, width=120
    )
    replace(path / MANIFEST, text.encode())
    for old in path.glob("weights-*.npz"):
        if old.name != name:
            old.unlink()
    return load(path)


def replace(path: Path, data: bytes) -> None:
    """Replace a file atomically and durably."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


_REMEDY = "Restore the bundle from its source, or make it again with `pawsort train`."


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, which can expand a few lines to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    if not os.path.lexists(file) and (not path.is_dir() or os.access(path, os.X_OK)):
        raise BundleError(f"{path}: no bundle here: expected a folder with {MANIFEST} in it. {_REMEDY}")
    try:
        text = _read(file, LARGEST_MANIFEST).decode()
        content = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        detail = " ".join(str(error).split())
        raise BundleError(f"{file}: not readable as YAML: {detail}. {_REMEDY}") from error
    return _validated(file, content)


def _validated(file: Path, content: object) -> Manifest:
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'all'}: {e['msg']}" for e in error.errors()[:5])
        raise BundleError(f"{file}: not a bundle of schema {SCHEMA_VERSION}: {wrong}. {_REMEDY}") from error


def _read(path: Path, limit: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}. {_REMEDY}") from error
    if not data:
        raise BundleError(f"{path}: the file is empty. {_REMEDY}")
    if len(data) > limit:
        raise BundleError(f"{path}: larger than {limit:,} bytes, the most that is allowed. {_REMEDY}")
    return data
