"""Measure the limit of the machine: decoding and the network share its cores, and nothing else runs.

A photo costs d seconds of core time to read and decode, and i seconds to classify. Alone, with all c cores,
decoding reaches D = c / d photos a second and inference I = c / i; sharing the cores, both together reach at
most c / (d + i) = 1 / (1 / D + 1 / I). Multi-crop adds u x (1 / D' + CROPS / I) to a photo,
where u is the share of low-confidence photos, and D' the rate of decoding at the larger size.

Core time is measured beside wall time, because other programs affect only the latter. The machine's speed
varies, so `around` measures the limit before and after what is compared with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from statistics import harmonic_mean
from typing import TypeVar

import numpy as np

from benchmarks.apart import apart
from models.bundle.bundle import Bundle, load
from models.inference import multi_crop
from models.inference.engines import answering, open_engine
from models.inference.multi_crop import CROPS
from pipeline import config
from pipeline.classifier import image_loader
from pipeline.processes import usable_cpus

T = TypeVar("T")

BUNDLE = Path(config.__file__).parents[1] / "models" / "cats_dogs"
LIMITS = config.LimitSettings()

_BATCHES = (8, 16, 64)
_SECONDS = 1.5
_JUDGED = 800


@dataclass(frozen=True, slots=True)
class Limit:
    """Rates in photos a second, each alone with all cores; `unsure` is a share, 0 to 1."""

    decoding: float
    decoding_larger: float
    inference: float
    engine: str
    batch: int
    unsure: float
    decoding_cost: float  # seconds of core time a photo, here and below
    decoding_larger_cost: float
    inference_cost: float

    @property
    def without_crops(self) -> float:
        """Photos a second without multi-crop inference."""
        return 1 / (1 / self.decoding + 1 / self.inference)

    @property
    def with_crops(self) -> float:
        """Photos a second with multi-crop inference for low-confidence photos."""
        return 1 / (1 / self.without_crops + self.unsure * self.crop_seconds)

    @property
    def crop_seconds(self) -> float:
        """Seconds of all cores that multi-crop inference adds to a low-confidence photo."""
        return 1 / self.decoding_larger + CROPS / self.inference

    @property
    def core_seconds(self) -> float:
        """Core time that a photo needs, its share of multi-crop inference included."""
        look = self.decoding_larger_cost + CROPS * self.inference_cost
        return self.decoding_cost + self.inference_cost + self.unsure * look


@dataclass(frozen=True, slots=True)
class Pace:
    """Photos a second of the wall's time, and seconds of core time a photo."""

    rate: float
    cost: float


class _Watch:
    def __init__(self) -> None:
        self._wall, self._cores = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self._wall

    def pace(self, photos: int) -> Pace:
        return Pace(photos / self.seconds(), (time.process_time() - self._cores) / photos)


def limit(paths: Sequence[bytes]) -> Limit:
    """Measure on these photos with the shipped model, decoding and inference one after the other."""
    bundle = shipped()
    look = bundle.multi_crop
    decoding = apart(decoding_pace, paths, bundle.input_size)
    larger = apart(decoding_pace, paths[::2], look.side(bundle.input_size)) if look else decoding
    found = apart(inference, paths)
    batch, best = max(found.first.items(), key=lambda item: item[1].rate)
    return Limit(
        decoding.rate, larger.rate, best.rate, found.engine, batch,
        found.unsure, decoding.cost, larger.cost, best.cost,
    )  # fmt: skip


def around(paths: Sequence[bytes], work: Callable[[], T]) -> tuple[T, Limit]:
    """Do some work, and return what comes of it with the mean of the limits before and after."""
    before, result, after = limit(paths), work(), limit(paths)
    pairs = {field.name: (getattr(before, field.name), getattr(after, field.name)) for field in fields(Limit)}
    assert before.engine == after.engine, f"the limits are of {before.engine} and of {after.engine}"
    means = {name: harmonic_mean(pair) for name, pair in pairs.items() if isinstance(pair[0], float)}
    return result, replace(before, **means)


def decoding_pace(paths: Sequence[bytes], size: int) -> Pace:
    """Read, check, decode and resize photos, with a thread on each core."""
    with ThreadPoolExecutor(usable_cpus()) as pool:
        for _ in range(usable_cpus()):
            pool.submit(_read_all, paths[:8], size)
        pool.submit(_read_all, paths[:8], size).result()  # what decoding needs is loaded now
        watch = _Watch()
        parts = [paths[start : start + 16] for start in range(0, len(paths), 16)]
        for _ in pool.map(_read_all, parts, [size] * len(parts)):
            pass
        return watch.pace(len(paths))


def pixels(paths: Sequence[bytes], size: int) -> np.ndarray:
    """Return photos as the network takes them, uint8 (n, size, size, 3)."""
    return np.stack(
        [image for path in paths if (image := image_loader.load((0, path), size, LIMITS)[1]) is not None]
    )


def _read_all(paths: Sequence[bytes], size: int) -> None:
    for path in paths:
        assert image_loader.load((0, path), size, LIMITS)[1] is not None, os.fsdecode(path)


@dataclass(frozen=True, slots=True)
class Inference:
    """Paces of the network on ready photos; `first` by size of batch, `unsure` is a share."""

    engine: str
    first: dict[int, Pace]
    unsure: float


def inference(paths: Sequence[bytes]) -> Inference:
    """Measure on photos that lie ready, with all cores and the engine that a trial chooses.

    They are a few hundred, taken from all of them, since how hard they are depends on where they come from.
    """
    bundle = shipped()
    ready = pixels(paths[:: -(-len(paths) // _JUDGED)], bundle.input_size)
    engine, look = open_engine(bundle, "auto", usable_cpus()), bundle.multi_crop
    again = multi_crop.low_confidence(engine.predict(ready), look, bundle.neither) if look else []
    return Inference(
        engine.name,
        {n: _pace(partial(_in_parts, engine.predict, ready, n), len(ready)) for n in _BATCHES},
        len(again) / len(ready),
    )


def shipped() -> Bundle:
    """Return the shipped model in the precision that it answers in."""
    return answering(load(BUNDLE))


def _in_parts(work: Callable[[np.ndarray], object], images: np.ndarray, size: int) -> None:
    for start in range(0, len(images), size):
        work(images[start : start + size])


def _pace(work: Callable[[], object], photos: int) -> Pace:
    work()
    watch, calls = _Watch(), 0
    while watch.seconds() < _SECONDS:
        work()
        calls += 1
    return watch.pace(photos * calls)
