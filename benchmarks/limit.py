"""What the machine could do at most: decoding and the network's arithmetic share its cores, and nothing else.

A photo costs d seconds of core time to read and decode, and i seconds to classify. Alone, with all c cores,
decoding reaches D = c / d photos a second and inference I = c / i; sharing the cores, both together reach at
most c / (d + i) = 1 / (1 / D + 1 / I). With the closer look a photo costs u x (1 / D' + PARTS / I) more,
where u is the share of photos that are unsure and D' the rate of decoding at the larger size.

Core time is measured beside the wall's: other programs on the machine take of the one and not the other.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.apart import apart
from models import looking
from models.bundle import load
from models.engines import open_engine
from models.looking import PARTS
from pipeline import batching, config
from pipeline.inference import usable_cpus

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
    def without_look(self) -> float:
        """Photos a second if no photo were looked at more closely."""
        return 1 / (1 / self.decoding + 1 / self.inference)

    @property
    def with_look(self) -> float:
        """Photos a second if those that are unsure are looked at again."""
        return 1 / (1 / self.without_look + self.unsure * self.look_seconds)

    @property
    def look_seconds(self) -> float:
        """What a closer look at one photo costs, in seconds of all cores."""
        return 1 / self.decoding_larger + PARTS / self.inference

    @property
    def core_seconds(self) -> float:
        """Core time that a photo needs, its share of closer looks included."""
        look = self.decoding_larger_cost + PARTS * self.inference_cost
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
    bundle = load(BUNDLE)
    look = bundle.closer_look
    decoding = apart(decoding_pace, paths, bundle.input_size)
    larger = apart(decoding_pace, paths[::2], look.side(bundle.input_size)) if look else decoding
    engine, paces, unsure = apart(inference, paths)
    batch, best = max(paces.items(), key=lambda item: item[1].rate)
    return Limit(
        decoding.rate, larger.rate, best.rate, engine, batch, unsure,
        decoding.cost, larger.cost, best.cost,
    )  # fmt: skip


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
    return np.stack([image for path in paths if (image := batching.load(path, size, LIMITS)[1]) is not None])


def _read_all(paths: Sequence[bytes], size: int) -> None:
    for path in paths:
        assert batching.load(path, size, LIMITS)[1] is not None, os.fsdecode(path)


def inference(paths: Sequence[bytes]) -> tuple[str, dict[int, Pace], float]:
    """Measure sizes of batch on photos that lie ready, with all cores and the engine that a trial chooses.

    Returns its name, that, and the share of these photos that are looked at again: judged by a few hundred,
    taken from all of them, since how hard they are depends on where they come from.
    """
    bundle = load(BUNDLE)
    ready = pixels(paths[:: -(-len(paths) // _JUDGED)], bundle.input_size)
    engine = open_engine(bundle, "auto", usable_cpus())
    paces = {n: _pace(functools.partial(engine.predict, ready[:n]), n) for n in _BATCHES}
    look = bundle.closer_look
    again = looking.doubtful(engine.predict(ready), look, bundle.neither) if look else []
    return engine.name, paces, len(again) / len(ready)


def _pace(work: Callable[[], object], photos: int) -> Pace:
    work()
    watch, calls = _Watch(), 0
    while watch.seconds() < _SECONDS:
        work()
        calls += 1
    return watch.pace(photos * calls)
