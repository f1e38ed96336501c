from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.bundle.bundle import MANIFEST
from models.bundle.cache import cache_folder
from pipeline.learning import versions
from pipeline.settings.config import Settings
from pipeline.web.middleware.problems import Problem
from pipeline.web.served_models.model_registry import SHIPPED, ModelRegistry
from tests.support.model_versions import add_version, damage, small_bundle


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder()


def put(name: str, folder: Path) -> None:
    """Put a shipped bundle where another belongs."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(SHIPPED / name, folder)


OTHERS = [("cats_dogs_mobilenet", False), ("cifar10", False)]
"""What comes with Pawsort beside its own model."""


def keys(choices: ModelRegistry) -> list[tuple[str, bool]]:
    return [(choice.key, choice.is_workers) for choice in choices.all()]


def test_the_workers_own_comes_first_then_those_that_came_with_us_then_those_beside_the_settings(
    tmp_path: Path,
) -> None:
    for name in ("pets", "cifar10"):
        put("cats_dogs", tmp_path / "models" / name)
    (tmp_path / "models" / "notes").mkdir()
    (tmp_path / "models" / "broken").mkdir()
    (tmp_path / "models" / "broken" / MANIFEST).write_text("x")
    choices = ModelRegistry(Settings(base=tmp_path))
    assert keys(choices) == [("cats_dogs", True), *OTHERS, ("pets", False)]
    assert len(choices.one("cifar10").bundle.labels) == 10, "the first of a name has it"


def test_a_model_of_the_settings_is_listed_once(tmp_path: Path) -> None:
    put("cats_dogs", tmp_path / "models" / "pets")
    choices = ModelRegistry(Settings(base=tmp_path, model="models/pets"))
    assert keys(choices) == [("pets", True), ("cats_dogs", False), *OTHERS]
    assert choices.one(None).key == "pets"


def test_the_version_in_force_is_the_workers_and_the_base_is_still_listed(tmp_path: Path) -> None:
    small_bundle(tmp_path / "models" / "pets")
    settings = Settings(base=tmp_path, state=tmp_path / "state", model="pets")
    choices = ModelRegistry(settings)
    shipped = [("cats_dogs", False), *OTHERS]
    assert keys(choices) == [("pets", True), *shipped]
    for number in (1, 2):
        add_version(settings, number)
        versions.promote(settings, number, "ann")
        assert keys(choices) == [(f"pets@{number}", True), ("pets", False), *shipped]
    damage(settings.state / "models" / "pets" / "2")
    assert keys(ModelRegistry(settings))[0] == ("pets@1", True), "as the worker does"
    versions.rollback(settings, "ann")
    versions.rollback(settings, "ann")
    assert keys(choices) == [("pets", True), *shipped]


def test_imagenet_is_there_once_made_and_until_then_says_how(tmp_path: Path, cache: Path) -> None:
    choices = ModelRegistry(Settings(base=tmp_path))
    with pytest.raises(Problem, match="not made yet") as refused:
        choices.one("imagenet")
    assert "--weights FILE" in refused.value.what_to_do
    put("cifar10", cache / "imagenet-0123456789ab")
    assert choices.one("imagenet").key == "imagenet"
    with pytest.raises(Problem, match="no model called"):
        choices.one("../cats_dogs")
