"""A user who corrects, undoes and retries files at random, until the process is killed."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Engine

from db.connection.engine import open_database
from db.connection.errors import DatabaseError, DatabaseUnavailable
from db.queries.listing import results
from db.queries.workers import name_of
from pipeline import errors
from pipeline.corrections import correct_undo_retry
from pipeline.errors import LockError
from pipeline.settings import config
from pipeline.settings.config import Settings
from pipeline.worker.identity import own_rows
from tests.support.stub_classifier import BUNDLE


def correct_at_random(folder: Path, seed: int) -> NoReturn:
    """Correct, undo and retry what the worker of a folder has filed."""
    settings, chance = config.load(folder / "config.yaml"), random.Random(seed)
    with own_rows(open_database(settings.database_url, "write"), settings, "write") as own:
        while True:
            with contextlib.suppress(LockError, DatabaseUnavailable):
                _mend_some(own, settings, chance)
            time.sleep(chance.uniform(0, 0.02))


def change_all(folder: Path, how: str) -> int:
    """Undo the filing of all that a worker has filed, or correct it; return the exit code."""
    settings = config.load(folder / "config.yaml")
    try:
        _change_all(settings, how)
    except DatabaseError as error:  # as the commands do
        print(f"pawsort: {error}", file=sys.stderr)
        return errors.DatabaseError.exit_code
    return 0


def _change_all(settings: Settings, how: str) -> None:
    engine = open_database(settings.database_url, "write")
    filed = [os.fsencode(row["path"]) for row in results(engine) if row["state"] == "filed"]
    if how == "undo":
        correct_undo_retry.undo(engine, settings, "people", filed)
    else:
        correct_undo_retry.correct(engine, settings, filed, "neither", "people", BUNDLE.folders)


def _mend_some(engine: Engine, settings: Settings, chance: random.Random) -> None:
    own = name_of(engine)  # None where there is one worker
    filed = [row for row in results(engine) if row["state"] == "filed" and own in (None, row["worker"])]
    some = [os.fsencode(row["path"]) for row in chance.sample(filed, min(3, len(filed)))]
    failed = [os.fsencode(row["path"]) for row in filed if row["outcome"] == "failed"]
    label, last = chance.choice(("cat", "dog", "neither")), chance.randint(1, 2)
    chance.choice(
        (
            lambda: correct_undo_retry.correct(engine, settings, some, label, "people", BUNDLE.folders),
            lambda: correct_undo_retry.undo(engine, settings, "people", some, last),
            lambda: correct_undo_retry.undo(engine, settings, "people", last=last),
            lambda: correct_undo_retry.retry(engine, settings, "people", failed[:2]),
        )
    )()
