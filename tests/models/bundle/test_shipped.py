from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from models.bundle.bundle import Bundle, load, locate
from models.bundle.manifest import EVALUATION
from models.data.batches import batches
from models.inference.engines import Engine, answering, open_engine


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return load(locate("cats_dogs", Path("unused")))


@pytest.fixture(scope="module")
def engine(shipped: Bundle) -> Engine:
    return open_engine(shipped, "tensorflow")


def test_shipped_bundle_is_complete_small_and_described(shipped: Bundle):
    assert shipped.labels == ("cat", "dog", "neither")
    assert dict(shipped.folders) == {"cat": "cats", "dog": "dogs"}
    assert sum(file.stat().st_size for file in shipped.path.iterdir()) < 22_500_000
    assert 0.5 < shipped.threshold(0.995) < 1


def test_its_card_gives_the_command_that_made_it(shipped: Bundle):
    card = (shipped.path / "README.md").read_text()
    command = re.search(r"    pawsort train .*?\n\n", card, re.DOTALL)
    assert command is not None
    assert sorted(shlex.split(command[0].replace("\\\n", ""))) == sorted(
        shlex.split(shipped.manifest.made.command)
    )


@pytest.mark.parametrize("name", ["cats_dogs", "cats_dogs_mobilenet", "cifar10"])
def test_the_mistakes_that_its_page_shows_are_those_of_the_model(name: str):
    bundle = answering(load(locate(name, Path("unused"))))
    with (bundle.path / EVALUATION / "confusion.csv").open(encoding="utf-8", newline="") as file:
        rows = {
            row.pop("true"): {label: int(count) for label, count in row.items()}
            for row in csv.DictReader(file)
        }
    photos = sum(sum(row.values()) for row in rows.values())
    right = sum(row[label] for label, row in rows.items())
    accuracy = bundle.figures["accuracy"]
    assert (photos, right / photos) == (accuracy.count, pytest.approx(accuracy.value, abs=1e-6))


def test_it_passes_its_own_self_test(engine: Engine):
    assert engine.name == "tensorflow"


def test_shipped_model_recognises_cats_and_dogs(shipped: Bundle, engine: Engine, shared_data: Path):
    for label, name in enumerate(("cat", "dog")):
        found = sorted((shared_data / "cats_dogs" / name).iterdir())[::350]
        images = np.concatenate(list(batches([bytes(path) for path in found], shipped.input_size)))
        assert (engine.predict(images).argmax(axis=1) == label).mean() >= 0.85
