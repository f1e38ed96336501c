"""Measure the limit of the machine: decoding and the network share its cores, and nothing else runs.

A photo costs d seconds of core time to read and decode, and i seconds to classify. Alone, with all c cores,
decoding reaches D = c / d photos a second and inference I = c / i; sharing the cores, both together reach at
most c / (d + i) = 1 / (1 / D + 1 / I). Multi-crop inference (decoding at the larger size, the detector, the
network on the crops) adds m seconds of core time, on average over all photos, so m / c to a photo.

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
from models.inference.box_crops import of_bundle
from models.inference.detector import open_detector
from models.inference.engines import answering, open_engine
from pipeline.classifier import image_loader
from pipeline.processes import usable_cpus
from pipeline.settings import config

T = TypeVar("T")

BUNDLE = Path(config.__file__).parents[2] / "models" / "cats_dogs"
LIMITS = config.LimitSettings()

_BATCHES = (8, 16, 64)
_SECONDS = 1.5
_JUDGED = 800


@dataclass(frozen=True, slots=True)
class Limit:
    """Rates in photos a second, each alone with all cores; costs in seconds of core time a photo."""

    decoding: float
    inference: float
    engine: str
    batch: int
    cores: int
    again: float  # share of the photos that are predicted again in crops, 0 to 1
    decoding_cost: float
    inference_cost: float
    again_cost: float  # of multi-crop inference, on average over all photos

    @property
    def without_crops(self) -> float:
        """Photos a second without multi-crop inference."""
        return 1 / (1 / self.decoding + 1 / self.inference)

    @property
    def with_crops(self) -> float:
        """Photos a second with multi-crop inference, were it spread evenly over the cores."""
        return 1 / (1 / self.without_crops + self.again_cost / self.cores)

    @property
    def core_seconds(self) -> float:
        """Core time that a photo needs."""
        return self.decoding_cost + self.inference_cost + self.again_cost


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
    decoding = apart(decoding_pace, paths, shipped().input_size)
    found = apart(inference, paths)
    batch, best = max(found.first.items(), key=lambda item: item[1].rate)
    return Limit(
        decoding.rate, best.rate, found.engine, batch, usable_cpus(), found.again,
        decoding.cost, best.cost, found.again_cost,
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
    """Paces of the network on ready photos, by size of batch, and the share and cost of multi-crop."""

    engine: str
    first: dict[int, Pace]
    again: float  # share of the photos
    again_cost: float  # seconds of core time, on average over all photos


def inference(paths: Sequence[bytes]) -> Inference:
    """Measure on photos that lie ready, with all cores and the engine that a trial chooses.

    They are a few hundred, taken from all of them, since how hard they are depends on where they come from.
    """
    bundle, chosen = shipped(), paths[:: -(-len(paths) // _JUDGED)]
    ready = pixels(chosen, bundle.input_size)
    engine = open_engine(bundle, "auto", usable_cpus())
    crops, first = of_bundle(bundle, open_detector(bundle)), engine.predict(ready)

    def load(row: int, side: int) -> np.ndarray | None:
        return image_loader.load((row, chosen[row]), side, LIMITS)[1]

    with ThreadPoolExecutor(usable_cpus()) as pool:
        again = sum(1 for _ in crops.seen(engine.predict, first, load, pool))
        refining = _pace(lambda: crops.refine(engine.predict, first, load, pool), len(ready))
    return Inference(
        engine.name,
        {n: _pace(partial(_in_parts, engine.predict, ready, n), len(ready)) for n in _BATCHES},
        again / len(ready),
        refining.cost,
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
