"""Tiny photos and bundles, made on the spot."""

from __future__ import annotations

import copyreg
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from models.bundle.bundle import Bundle
from models.bundle.weights import pack
from models.bundle.write_bundle import compose, write

COLOURS = {"cat": (200, 40, 40), "dog": (40, 40, 200), "neither": (40, 200, 40)}
FEW_STEPS = 200

# A bundle has such mappings, and goes from one test process to the others.
copyreg.pickle(MappingProxyType, lambda mapping: (MappingProxyType, (dict(mapping),)))


def make_photos(
    root: Path, name: str, count: int, seed: int = 0, colour: tuple[int, int, int] | None = None
) -> None:
    """Write `count` noisy photos of one colour into root/name."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, sum(name.encode())])
    base = np.array(colour or COLOURS.get(name.split("/")[0], (128, 128, 128)))
    for index in range(count):
        pixels = np.clip(base + rng.normal(0, 25, (24, 30, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")


def manifest(**changes: Any) -> dict[str, Any]:
    """Return the content of a small, valid bundle.yaml without `weights`."""
    entries = [(0.9, 0.5, 0.99, True), (0.99, 0.8, 0.9, True), (0.999, 0.97, 0.4, False)]
    content: dict[str, Any] = {
        "schema_version": 1,
        "name": "tiny",
        "architecture": "small_cnn",
        "labels": ["cat", "dog", "neither"],
        "folders": {"cat": "cats", "dog": "dogs"},
        "input_size": 32,
        "calibration": {
            "temperature": 1.0,
            "photos": 100,
            "bound": 0.9,
            "thresholds": [
                {"target_precision": t, "threshold": c, "precision": t, "coverage": v, "proven": p}
                for t, c, v, p in entries
            ],
        },
        "self_test": {"recipe": "blocks-1", "seed": 1, "tolerance": 0.01, "probabilities": [[0.2, 0.3, 0.5]]},
        "figures": {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "count": 100}},
        "made": {
            "command": "pawsort train photos --out tiny",
            "at": "2026-01-01T00:00:00+00:00",
            "seed": 1,
            "data": {"cat": {"train": 3}},
            "set_aside": 0,
            "held_out_sources": {},
            "versions": {"numpy": "2"},
        },
    }
    return content | changes


@pytest.fixture
def plain_bundle(tmp_path: Path) -> Bundle:
    """Return a valid bundle whose arrays fit no network."""
    packed = pack({"head/kernel": np.ones((4, 3)), "head/bias": np.zeros(3)})
    return write(compose(tmp_path / "tiny", manifest(), packed), packed)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> Any:
    """Return what `make` returned for a folder, in whichever of the test processes came first."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once" / name
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "made.pickle"
    with FileLock(f"{folder}.lock"):
        if not made.exists():
            made.write_bytes(pickle.dumps(make(folder)))
    return pickle.loads(made.read_bytes())


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return photos of three classes that a small network learns within seconds, and a file that is none."""
    return made_once(tmp_path_factory, "photos", lambda folder: make_pets(folder / "photos"))


def make_pets(root: Path) -> Path:
    for name in ("cat", "dog"):
        make_photos(root / "pets", name, 40)
    for source in ("sea", "street", "forest", "desk"):
        make_photos(root, f"neither/{source}", 14, seed=len(source), colour=COLOURS["neither"])
    (root / "pets" / "cat" / "note.jpg").write_text("no photo")
    return root


@pytest.fixture(scope="session")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle made from those photos by `train`."""
    return made_once(tmp_path_factory, "trained", lambda out: quickly(options(photos, out)))


@pytest.fixture(scope="session")
def trained_int8(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle as `trained`, with an int8 network beside its float weights."""
    return made_once(tmp_path_factory, "int8", lambda out: quickly(options(photos, out, int8=True)))


def quickly(options: Any) -> Bundle:
    from models.training import linear_probe
    from models.training.train import train

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_probe, "_STEPS", FEW_STEPS)
        return train(options)


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit last layers in fewer steps: a training fits one for each source of neither, a second each."""
    from models.training import linear_probe

    monkeypatch.setattr(linear_probe, "_STEPS", FEW_STEPS)


_frozen: dict[Any, Any] = {}


@pytest.fixture(autouse=True)
def frozen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build and freeze the network of each bundle once in a test process: Keras takes a second or two for it.

    A frozen function keeps nothing of what it was asked before. A bundle is known by its hash.
    """
    from models.inference import engines

    freeze = engines._frozen

    def frozen(bundle: Bundle, threads: int | None) -> Any:
        key = (bundle.sha256, bundle.architecture, len(bundle.labels), bundle.input_size,
               bundle.calibration.temperature, threads)  # fmt: skip
        if key not in _frozen:
            _frozen[key] = freeze(bundle, threads)
        return _frozen[key]

    monkeypatch.setattr(engines, "_frozen", frozen)


@pytest.fixture
def one_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give small networks one layer: TensorFlow takes seconds to trace each training of the whole ones."""
    from models.networks import architectures, backbones

    def backbone(images: Any, _: int) -> Any:
        values = backbones.layers.Conv2D(24, 2, strides=2, use_bias=False, name=backbones.WHITENING)(images)
        values = backbones.layers.BatchNormalization(momentum=0.9, name="norm")(values)
        return backbones.layers.GlobalAveragePooling2D(name="average")(values)

    for name in ("small_cnn", "cifar_cnn"):
        own = architectures.ARCHITECTURES[name]
        monkeypatch.setitem(architectures.ARCHITECTURES, name, replace(own, backbone=backbone))


def options(photos: Path, out: Path, **changes: Any) -> Any:
    """Return the options of a training run of a few seconds."""
    from models.training.train import TrainOptions

    chosen: dict[str, Any] = {
        "folders": [photos / "pets", photos / "neither"],
        "out": out / "tiny",
        "architecture": "small_cnn",
        "input_size": 32,
        "folder_names": {"cat": "cats"},
        "work": out / "work",
        "int8": False,
    }
    from models.networks.recipes import KEYS

    recipe = {"epochs": 3, "batch": 8} | {key: changes.pop(key) for key in KEYS if key in changes}
    chosen["changes"] = {key: value for key, value in recipe.items() if value is not None}
    return TrainOptions(**(chosen | changes))
