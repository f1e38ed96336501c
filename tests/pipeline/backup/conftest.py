"""An installation with a few photos filed, and ways to back it up and restore it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.backup.make import make
from pipeline.backup.manifest import Manifest
from pipeline.backup.restore import Restored, restore
from pipeline.doctor import check, repair
from tests.support.installation import Installation

OUTCOMES = ("cats", "dogs", "uncertain", "failed", "duplicates")
Backup = Callable[[], Manifest]


@pytest.fixture
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a backup, in a folder of its own."""
    return tmp_path_factory.mktemp("disk") / "pets.zip"


@pytest.fixture
def back_up(pawsort: Installation, file: Path) -> Backup:
    return lambda: make(pawsort.settings, pawsort.config, file)


def lose_state(pawsort: Installation) -> None:
    """Lose the disk of the state folder."""
    pawsort.close()
    shutil.rmtree(pawsort.settings.state)


def restored(pawsort: Installation, file: Path) -> tuple[Restored, Installation]:
    """Restore a backup by the settings of an installation; return that too, as if it was started again."""
    done = restore(file, pawsort.config, None)
    return done, Installation(pawsort.folder, pawsort.config.read_text(encoding="utf-8"))


def repaired(pawsort: Installation) -> None:
    """Run `doctor --repair`, and then `doctor`: what is left, the worker finishes when it starts."""
    for each in repair.repair(pawsort.engine, pawsort.settings, OUTCOMES, now=pawsort.now):
        assert each.done or each.problem.kind == "unfinished", str(each)
    assert {each.kind for each in check.examine(pawsort.engine, pawsort.settings)} <= {"unfinished"}
