"""An installation whose model has versions, with stubs that tell in each answer which version gave it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from models.bundle.bundle import read_manifest
from pipeline.by_hand.folder_labels import FolderLabels
from pipeline.classifier.client import Classifier, ProcessClassifier
from pipeline.classifier.configured_model import load_in_force, load_version
from pipeline.classifier.file_checks import Admitted
from pipeline.classifier.messages import ClassificationResult
from pipeline.classifier.model_switch import LoadedModel, ModelSwitch
from pipeline.learning import versions
from pipeline.learning.versions import Version
from pipeline.worker.loop import Worker
from pipeline.worker.startup import ModelSource, model_change
from tests.support import stub_classifier
from tests.support.child_mains import version_child
from tests.support.installation import SMALL, Installation, step_until
from tests.support.model_versions import add_version, small_bundle
from tests.support.oracle import digest
from tests.support.stub_answers import ADMITTED, SCORES, answer_of_version, scores_of_version

RABBITS = {
    "labels": ["cat", "dog", "rabbit"],
    "folders": {"cat": "cats", "dog": "dogs", "rabbit": "rabbits"},
}


class VersionStub(stub_classifier.StubClassifier):
    """A version in this process; it takes some polls for each batch, so that batches are in flight."""

    def __init__(self, number: int) -> None:
        super().__init__(polls_until_ready=5)
        self._number = number
        self._chance = random.Random(number)

    def poll(self, timeout: float) -> list[ClassificationResult]:
        if not self._flying or self._chance.random() < 0.3:
            return []
        return [
            answer_of_version(self._number, *item, Admitted(*ADMITTED)) for item in self._flying.popleft()
        ]


@dataclass(frozen=True)
class Source(ModelSource):
    """Versions with stubs of their own; `made` counts how often each was loaded."""

    make: Callable[[Version, Path], Classifier] = lambda version, _: VersionStub(version.number)
    made: Counter[int] = field(default_factory=Counter)

    def load(self, version: Version) -> LoadedModel:
        self.made[version.number] += 1
        bundle = load_version(self.settings, version)
        return LoadedModel(version, bundle, self.make(version, bundle.path))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Learner(Installation):
    """An installation whose model has versions, and whose worker follows them."""

    def __init__(self, folder: Path, settings: str = SMALL) -> None:
        small_bundle(folder / "models" / "pets")
        super().__init__(folder, settings + "model: pets\n")
        self.clock = Clock()
        self.switch: ModelSwitch

    def worker_of_versions(self, **options: object) -> Worker:
        """Return a worker as `service.run` makes it, with the version in force."""
        self.source = Source(self.settings, self.engine, **options)  # type: ignore[arg-type]
        version, bundle = load_in_force(self.settings)
        first = LoadedModel(version, bundle, self.source.make(version, bundle.path))
        self.switch = ModelSwitch(versions.family(self.settings), first, self.source, self.clock)
        self.labels = FolderLabels(bundle.folders)
        change = model_change(self.settings, self.engine, self.switch, self.labels)
        return Worker(self.settings, bundle, self.engine, self.switch, change_model=change)

    def step_until_at_work(self, worker: Worker, number: int) -> None:
        """Let a worker go on until a version is at work; a second passes in each step."""

        def at_work() -> bool:
            self.clock.now += 1
            return self.switch.active.version.number == number and worker.bundle is self.switch.active.bundle

        step_until(worker, at_work)

    def add(self, number: int, behaviour: str = "", **changes: object) -> Path:
        path = add_version(self.settings, number, **changes)
        if behaviour:
            (path / "behaviour").write_text(behaviour)
        return path

    def promote(self, number: int) -> None:
        versions.promote(self.settings, number, "ann")

    def check_answers(self) -> Counter[str]:
        """Check that each row has the scores that its model gives; return how many each has answered."""
        sha256_of = {v.name: read_manifest(v.path).weights.sha256 for v in self.versions()}
        numbers = {v.name: v.number for v in self.versions()}
        contents = {digest(data): data for data in self.injected}
        found = self.rows("sha256, model, model_sha256, scores", "state = 'filed'")
        for sha256, model, model_sha256, scores in found:
            assert model_sha256 == sha256_of[model]
            plain = next(scores for marker, scores in SCORES.items() if marker in contents[sha256])
            assert json.loads(scores) == scores_of_version(numbers[model], plain), model
        return Counter(model for _, model, _, _ in found)

    def versions(self) -> list[Version]:
        known = versions.family(self.settings)
        return [known.version(number) for number in (0, *known.numbers())]


def children(settings: object, version: Version, path: Path) -> Classifier:
    return ProcessClassifier(path, "auto", settings.limits, child=version_child)  # type: ignore[attr-defined]


def drop_some(learner: Learner, count: int, first: int = 0) -> None:
    """Drop photos; each tenth has the content of the one before."""
    for number in range(first, first + count):
        marker = (b"<cat>", b"<dog>", b"<unsure>")[number % 3]
        same = number % 10 == 9
        learner.drop(f"{number}.jpg", learner.injected[-1] if same else b"%d%s" % (number, marker))


def number_of(name: str) -> int:
    return int(name.partition("@")[2] or 0)
