"""Write bundles: each file whole and durably, bundle.yaml last."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from models.bundle import bundle as bundles
from models.bundle import openvino_archive
from models.bundle.bundle import MANIFEST, Bundle, Precision, described, validated
from models.bundle.manifest import LARGEST_FILE, LARGEST_UNPACKED
from models.errors import BundleError

_OWN = re.compile(r"((weights|replay)-[0-9a-f]{12}\.npz|(int8|detector)-[0-9a-f]{12}\.zip)")
"""Names that `_entry` gives; other files in the folder of a bundle belong to its user."""


def compose(
    path: Path,
    content: Mapping[str, Any],
    packed: bytes,
    int8: bytes | None = None,
    detector: bytes | None = None,
    replay: bytes | None = None,
) -> Bundle:
    """Return the bundle that `write` would put at `path`, from Manifest's content without its files.

    `packed` are its arrays, the networks archives by `openvino_archive.pack`, `replay` is by `replay.pack`;
    each has a section in `content`. Raises BundleError.
    """
    files: dict[str, Any] = {"weights": _entry("weights", ".npz", packed), "replay": None}
    if replay is not None:
        files["replay"] = {**content["replay"], **_entry("replay", ".npz", replay)}
    for name, archive in (("int8", int8), ("detector", detector)):
        if archive is not None:
            _check(path, archive)
            files[name] = {**content[name], "network": _entry(name, ".zip", archive)}
    return described(path, validated(path / MANIFEST, {**content, **files}))


def _entry(stem: str, suffix: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {"file": f"{stem}-{digest[:12]}{suffix}", "sha256": digest, "bytes": len(data)}


def _check(path: Path, archive: bytes) -> None:
    """Raise BundleError for an archive that would be refused when it is read."""
    try:
        openvino_archive.unpack(archive, LARGEST_UNPACKED)
    except openvino_archive.ArchiveError as error:
        raise BundleError(f"{path}: the network cannot be read: {error}") from error


def write(
    bundle: Bundle,
    packed: bytes,
    int8: bytes | None = None,
    detector: bytes | None = None,
    replay: bytes | None = None,
) -> Bundle:
    """Write a composed bundle atomically: a reader finds the old one or the new one, never a mixture.

    The rename of bundle.yaml switches over: it names the other files, whose names contain their hashes.
    """
    path, manifest = bundle.path, bundle.manifest
    files = {manifest.weights.file: packed}
    if manifest.int8 and int8:
        files[manifest.int8.network.file] = int8
    if manifest.detector and detector:
        files[manifest.detector.network.file] = detector
    if manifest.replay and replay:
        files[manifest.replay.file] = replay
    path.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        replace(path / name, data)
    content = manifest.model_dump(exclude_none=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    replace(path / MANIFEST, text.encode())
    for old in path.iterdir():
        if _OWN.fullmatch(old.name) and old.name not in files:
            old.unlink()
    return bundles.load(path)


def files_of(bundle: Bundle) -> tuple[bytes, bytes | None, bytes | None, bytes | None]:
    """Return the bytes of a bundle's files, as `write` takes them: arrays, int8 network, detector, replay."""
    manifest = bundle.manifest
    networks = [section.network if section else None for section in (manifest.int8, manifest.detector)]
    weights, int8, detector, replay = (
        bundles.read_file(bundle.path / entry.file, LARGEST_FILE) if entry else None
        for entry in (manifest.weights, *networks, manifest.replay)
    )
    assert weights is not None
    return weights, int8, detector, replay


def content_of(bundle: Bundle) -> dict[str, Any]:
    """Return the content of a bundle's manifest as `compose` takes it, with the sections of its files."""
    return bundle.manifest.model_dump(exclude={"weights"}, exclude_none=True)


def write_detector(bundle: Bundle, archive: bytes, rule: Mapping[str, Any]) -> Bundle:
    """Put a detector into a written bundle, in place of an earlier one; atomic like `write`.

    `rule` is the manifest's Detector without its network. Raises BundleError.
    """
    weights, int8, _, replay = files_of(bundle)
    files = (weights, int8, archive, replay)
    return write(compose(bundle.path, content_of(bundle) | {"detector": dict(rule)}, *files), *files)


def write_replay(bundle: Bundle, packed: bytes, precision: Precision) -> Bundle:
    """Put a replay into a written bundle, in place of an earlier one; atomic like `write`.

    `precision` is that of the network that gave its features. Raises BundleError.
    """
    files = (*files_of(bundle)[:3], packed)
    content = content_of(bundle) | {"replay": {"precision": precision}}
    return write(compose(bundle.path, content, *files), *files)


def replace(path: Path, data: bytes) -> None:
    """Replace a file atomically and durably."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:  # of a write, it names no file
        error.filename = error.filename or str(path)
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
