"""Classes and folders come from the bundle and the settings, nowhere from code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle.weights import pack
from models.bundle.write_bundle import compose, write
from pipeline.classifier.configured_model import load_bundle, outcome_folders
from pipeline.corrections.correct_undo_retry import correct
from pipeline.errors import ModelError, SettingsError
from pipeline.settings.config import Settings
from pipeline.worker.loop import Worker
from tests.models.conftest import manifest
from tests.support import stub_answers, stub_classifier
from tests.support.installation import SMALL, Installation
from tests.support.oracle import conserved

LABELS, FOLDERS = ("rabbit", "hamster"), {"rabbit": "rabbits", "hamster": "small ones"}
SCORES = {
    b"<rabbit>": {"rabbit": 0.999, "hamster": 0.001},
    b"<hamster>": {"rabbit": 0.001, "hamster": 0.999},
    b"<unsure>": {"rabbit": 0.6, "hamster": 0.4},
}


class Burrow(Installation):
    """An installation whose model knows rabbits and hamsters, and nothing of `neither`."""

    def worker(self, *_: object, **__: object) -> Worker:
        self.classifier = stub_classifier.StubClassifier()
        bundle = replace(stub_classifier.BUNDLE, name="burrow", labels=LABELS, folders=FOLDERS)
        return Worker(self.settings, bundle, self.engine, self.classifier)


@pytest.fixture
def burrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Burrow]:
    monkeypatch.setattr(stub_answers, "SCORES", SCORES)
    monkeypatch.setattr(stub_classifier, "LABELS", LABELS)
    pawsort = Burrow(tmp_path, SMALL)
    yield pawsort
    pawsort.close()


def bundle_at(path: Path, **changes: object) -> Path:
    packed = pack({"head/bias": np.zeros(2)})
    test = {"recipe": "blocks-1", "seed": 1, "tolerance": 0.01, "probabilities": [[0.5, 0.5]]}
    content = manifest(labels=list(LABELS), folders=FOLDERS, self_test=test) | changes
    return write(compose(path, content, packed), packed).path


def test_worker_files_by_the_classes_of_any_bundle(burrow: Burrow):
    for name in ("rabbit", "hamster", "unsure"):
        burrow.drop(f"{name}.jpg", b"<%s>" % name.encode())
    burrow.run_worker()
    assert burrow.sorted() == {"rabbits/rabbit.jpg", "small ones/hamster.jpg", "uncertain/unsure.jpg"}
    assert sorted(burrow.rows("name, outcome, prediction, reason")) == [
        ("hamster.jpg", "small ones", "hamster", None),
        ("rabbit.jpg", "rabbits", "rabbit", None),
        ("unsure.jpg", "uncertain", "rabbit", "low_confidence"),
    ]
    conserved(burrow.settings, burrow.injected)


def test_correct_knows_the_labels_of_the_bundle_and_no_others(burrow: Burrow, tmp_path: Path):
    burrow.drop("unsure.jpg", b"<unsure>")
    burrow.run_worker()
    settings = burrow.settings.model_copy(update={"model": str(bundle_at(tmp_path / "burrow"))})
    with pytest.raises(SettingsError, match="expected one of rabbit, hamster, neither"):
        correct(burrow.engine, settings, [b"unsure.jpg"], "cat", "ann")
    correct(burrow.engine, settings, [b"unsure.jpg"], "hamster", "ann")
    assert burrow.sorted() == {"small ones/unsure.jpg"}
    conserved(burrow.settings, burrow.injected)


def test_settings_name_the_bundle_and_the_bundle_its_folders(tmp_path: Path):
    path = bundle_at(tmp_path / "burrow")
    bundle = load_bundle(Settings(base=tmp_path, model="./burrow"))
    assert bundle.path == path
    assert outcome_folders(bundle) == ("rabbits", "small ones", "uncertain", "failed")


@pytest.mark.parametrize(
    "folders",
    [
        *(
            {"rabbit": name}
            for name in ("uncertain", "failed", "duplicates", "Uncertain", "waiting", "undone")
        ),
        *({"rabbit": name} for name in ("a\x1b[31m", "a\nb", "x" * 300, " ", "a\\b")),
        {"rabbit": "Pets", "hamster": "pets"},
    ],
    ids=lambda folders: ascii(folders)[:40],
)
def test_a_bundle_of_a_folder_that_the_worker_cannot_use_is_refused(tmp_path: Path, folders: dict[str, str]):
    bundle_at(tmp_path / "burrow", folders=folders)
    with pytest.raises(ModelError, match=r"train it again: class .*--folder LABEL=NAME"):
        load_bundle(Settings(base=tmp_path, model="./burrow"))
