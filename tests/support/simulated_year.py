"""A seeded year of figures of days as an installation has them, with one shift or none.

Photos come in bursts of one animal under one light. Days differ: 0 to 500 photos, more at weekends (with more
dogs, outdoors), seasons and weather in brightness and doubt, growth, holidays without a photo, folders of old
photos, and folders of documents, which fail. Weather of neighbouring days is correlated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from db.queries.day_figures import DayFigures, Moments

DAYS = 365
FIRST = date(2026, 1, 5)  # a Monday
KINDS = ("uncertain", "brightness", "classes", "failed", "size")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Year:
    """The days in order; the shift of `kind` begins on the day with the number `shift`."""

    days: list[tuple[date, DayFigures]]
    kind: str | None
    shift: int


def year(seed: int, kind: str | None = None, typical: float = 150.0) -> Year:
    """Simulate a year with `typical` photos on a weekday.

    A shift begins on a day with photos, from the 60th to the 330th: uncertain +15 points, brightness -30%,
    cats from 60% to 10%, 11% failed (before 1%), or a camera of 3 megapixels (before 12).
    """
    random = np.random.default_rng(seed)
    volumes = _volumes(random, typical)
    shift = int(np.random.default_rng(seed + 1_000_000).integers(60, 330))
    while volumes[shift] == 0:
        shift += 1
    levels = _levels(random)
    if kind:
        _move(levels, kind, shift)
    counts = np.minimum(random.poisson(volumes), 500)
    days = [
        (
            FIRST + timedelta(days=day),
            _figures(random, int(count), {k: float(v[day]) for k, v in levels.items()}),
        )
        for day, count in enumerate(counts)
    ]
    return Year(days, kind, shift)


def _volumes(random: np.random.Generator, typical: float) -> Floats:
    day = np.arange(DAYS)
    growth = np.exp(np.linspace(0, random.uniform(-0.3, 0.7), DAYS))
    season = 1 + 0.3 * np.sin(2 * math.pi * day / DAYS + random.uniform(0, 2 * math.pi))
    volumes = typical * growth * season * np.where(day % 7 >= 5, 1.8, 1.0) * random.gamma(4, 0.25, DAYS)
    for _ in range(3):  # holidays
        start = random.integers(0, DAYS - 6)
        volumes[start : start + random.integers(2, 6)] = 0
    volumes[random.integers(0, DAYS, 4)] = 500  # folders of old photos
    return np.minimum(volumes, 500)


def _levels(random: np.random.Generator) -> dict[str, Floats]:
    day = np.arange(DAYS)
    weekend = day % 7 >= 5
    season = np.sin(2 * math.pi * day / DAYS + random.uniform(0, 2 * math.pi))
    weather = _correlated(random, 0.6)
    failed = np.full(DAYS, 0.01)
    failed[random.integers(0, DAYS, 3)] = random.uniform(0.1, 0.4, 3)  # folders of documents
    doubt = 0.08 - 0.015 * season + 0.01 * _correlated(random, 0.5) + 0.01 * weekend - 0.006 * weather
    return {
        "failed": failed,
        "uncertain": np.clip(doubt, 0.01, 0.6),
        "brightness": 0.45 + 0.04 * season + 0.02 * weather,
        "classes": np.clip(
            0.6 - 0.12 * weekend + 0.05 * _correlated(random, 0.5) + 0.05 * season, 0.05, 0.95
        ),
        "camera": np.clip(0.8 - 0.05 * weekend + 0.05 * _correlated(random, 0.4), 0.05, 0.98),
        "size": np.full(DAYS, 12.2),
    }


def _correlated(random: np.random.Generator, share: float) -> Floats:
    values = random.normal(size=DAYS)
    for day in range(1, DAYS):
        values[day] = share * values[day - 1] + math.sqrt(1 - share * share) * values[day]
    return values


def _move(levels: dict[str, Floats], kind: str, shift: int) -> None:
    after = levels[kind][shift:]  # a view
    if kind == "uncertain":
        after += 0.15
    elif kind == "brightness":
        after *= 0.7
    elif kind == "classes":
        after /= 6
    elif kind == "failed":
        after[:] = np.maximum(after, 0.11)
    else:
        after[:] = 3.0


def _figures(random: np.random.Generator, count: int, level: dict[str, float]) -> DayFigures:
    bursts = max(1, math.ceil(count / 3))
    burst = random.integers(0, bursts, count)
    answered = random.random(count) >= level["failed"]
    kept, burst = int(answered.sum()), burst[answered]
    doubt = np.clip(level["uncertain"] * random.gamma(1.5, 1 / 1.5, bursts), 0, 0.9)[burst]
    uncertain = random.random(kept) < doubt
    confidence = np.where(uncertain, random.uniform(0.4, 0.985, kept), 1 - random.beta(1, 120, kept))
    cats = int((random.random(bursts) < level["classes"])[burst].sum())
    light = level["brightness"] + random.normal(0, 0.08, bursts)[burst] + random.normal(0, 0.085, kept)
    own = (random.random(bursts) < level["camera"])[burst]
    size = np.where(own, math.log2(level["size"]), random.normal(0.4, 0.7, kept))
    return DayFigures(
        kept, count - kept, int(uncertain.sum()), {"cat": cats, "dog": kept - cats},
        _moments(confidence), _moments(np.clip(light, 0.02, 0.98)), _moments(size), "cats_dogs",
    )  # fmt: skip


def _moments(values: npt.NDArray[Any]) -> Moments:
    if not len(values):
        return Moments(0, 0.0, 0.0)
    return Moments(len(values), float(values.mean()), float(values.var()))


def photos(days: Sequence[tuple[date, DayFigures]]) -> list[int]:
    """Return the number of answered photos of each day."""
    return [figures.answered for _, figures in days]
