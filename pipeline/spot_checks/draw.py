"""Draw filed photos at random, stratified, and record them as spot checks."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from sqlalchemy import Engine

from db.ledger.spot_checks import Sampled, forget_undone, record_draw
from db.queries import spot_checks
from pipeline.files.exclusive_lock import exclusive
from pipeline.settings.config import Settings
from pipeline.spot_checks.strata import AGES, allocate, name_of

LOCK_NAME = "spot_checks.lock"
LOCK_SECONDS = 10.0

_STEP = timedelta(microseconds=1)
"""Between two times that differ: an age excludes the upper end of its range, a query the end of its time."""


def draw(
    engine: Engine,
    settings: Settings,
    outcomes: Collection[str],
    sample: int,
    now: datetime,
    rng: random.Random,
) -> int:
    """Draw about `sample` photos of folders that were neither judged nor drawn before; return how many.

    They wait for an answer in random order, so that those answered first are a random sample too. Raises
    LockError if another draw takes longer than 10 seconds, DatabaseError.
    """
    problem = "another draw of spot checks is under way; try again later"
    with exclusive(settings.state / LOCK_NAME, LOCK_SECONDS, problem):
        forget_undone(engine)
        chosen = list(_sample(engine, outcomes, sample, now, rng))
        rng.shuffle(chosen)
        return record_draw(engine, chosen, now)


def _sample(
    engine: Engine, outcomes: Collection[str], sample: int, now: datetime, rng: random.Random
) -> Iterator[Sampled]:
    photos = {
        name_of(outcome, age): spot_checks.undrawn(
            engine, outcome, None if age.most is None else now - age.most + _STEP, now - age.least + _STEP
        )
        for outcome in dict.fromkeys(outcomes)
        for age in AGES
    }
    sizes = {stratum: len(ids) for stratum, ids in photos.items()}
    for stratum, count in allocate(sizes, sample).items():
        for id in rng.sample(photos[stratum], count):
            yield Sampled(id, stratum, sizes[stratum] / count)
