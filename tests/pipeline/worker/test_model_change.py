"""The worker changes its model at work: no photo is lost, doubled, or answered by a mixture of two."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from models import regular_files
from models.bundle.bundle import read_manifest
from pipeline.classifier import model_switch
from pipeline.classifier.client import Classifier, ProcessClassifier
from pipeline.classifier.configured_model import load_bundle, load_in_force, load_version
from pipeline.classifier.file_checks import Admitted
from pipeline.classifier.messages import ClassificationResult
from pipeline.classifier.model_switch import LoadedModel, ModelSwitch
from pipeline.learning import versions
from pipeline.learning.versions import Version
from pipeline.worker import heartbeat, service, startup
from pipeline.worker.loop import Worker
from pipeline.worker.startup import ModelSource
from tests.support import stub_classifier
from tests.support.child_mains import version_child
from tests.support.installation import SMALL, Installation, step_until
from tests.support.model_versions import add_version, damage, small_bundle
from tests.support.oracle import conserved, digest
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
        return Worker(self.settings, bundle, self.engine, self.switch, change_model=self.switch.advance)

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


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Learner]:
    versions._warn_once.cache_clear()
    learner = Learner(tmp_path)
    yield learner
    learner.close()


def kill_child(learner: Learner) -> None:
    """Kill the process of the version at work."""
    classifier = learner.switch.active.classifier
    assert isinstance(classifier, ProcessClassifier) and classifier.pid
    os.kill(classifier.pid, signal.SIGKILL)


def drop_some(learner: Learner, count: int, first: int = 0) -> None:
    """Drop photos; each tenth has the content of the one before."""
    for number in range(first, first + count):
        marker = (b"<cat>", b"<dog>", b"<unsure>")[number % 3]
        same = number % 10 == 9
        learner.drop(f"{number}.jpg", learner.injected[-1] if same else b"%d%s" % (number, marker))


def test_thousand_photos_are_answered_by_one_version_each_while_versions_change(learner: Learner) -> None:
    for number in (1, 2, 3):
        learner.add(number)
    drop_some(learner, 1000)
    worker = learner.worker_of_versions()
    chance = random.Random(2026)
    worker.start()
    changes, steps = 0, 0
    while not worker.idle:
        steps += 1
        if steps % 40 == 0:
            changes += 1
            if changes % 4 == 3:
                versions.rollback(learner.settings, "ben")
            else:
                learner.promote(
                    chance.choice([n for n in range(4) if n != learner.switch.active.version.number])
                )
        learner.clock.now += 0.3
        worker.step()
    worker.stop()
    conserved(learner.settings, learner.injected)
    answered = learner.check_answers()
    assert len(answered) == 4, answered
    assert sum(answered.values()) == len(learner.rows()) == 1000
    assert sum(learner.source.made.values()) >= 5, "several switches, forward and back"


def test_photos_in_flight_are_answered_before_the_next_version_takes_over(learner: Learner) -> None:
    learner.add(1)
    drop_some(learner, 200)
    worker = learner.worker_of_versions()
    worker.start()
    step_until(worker, lambda: learner.switch.in_flight == 2)
    learner.promote(1)
    old = learner.switch.active.classifier
    learner.step_until_at_work(worker, 1)
    assert old.in_flight == 0
    assert not old._running  # type: ignore[attr-defined]
    step_until(worker, lambda: worker.idle)
    worker.stop()
    assert set(learner.check_answers()) == {"pets", "pets@1"}
    conserved(learner.settings, learner.injected)


def test_a_waiting_duplicate_is_answered_by_the_version_that_classifies_it(learner: Learner) -> None:
    learner.add(1)
    learner.drop("a.jpg", b"1<cat>")
    worker = learner.worker_of_versions()
    worker.start()
    step_until(worker, lambda: worker.idle)
    learner.promote(1)
    learner.step_until_at_work(worker, 1)
    learner.drop("b.jpg", b"1<cat>")
    learner.drop("c.jpg", b"1<cat>")
    step_until(worker, lambda: worker.idle and len(learner.rows("id", "state = 'filed'")) == 3)
    worker.stop()
    assert learner.check_answers() == {"pets": 1, "pets@1": 2}, "no answer of another version is reused"


def test_folders_of_new_classes_are_made_at_the_switch(learner: Learner) -> None:
    learner.add(1, **RABBITS)
    worker = learner.worker_of_versions()
    drop_some(learner, 1)
    worker.start()
    step_until(worker, lambda: worker.idle)
    assert not (learner.settings.sorted / "rabbits").exists()
    learner.promote(1)
    learner.step_until_at_work(worker, 1)
    assert (learner.settings.sorted / "rabbits").is_dir()
    worker.stop()


def test_folders_of_new_classes_that_cannot_be_made_leave_the_old_version_at_work(
    learner: Learner, caplog: pytest.LogCaptureFixture
) -> None:
    learner.add(
        1, labels=["cat", "dog", "rabbit"], folders={"cat": "cats", "dog": "dogs", "rabbit": "rabbits"}
    )
    blocked = learner.settings.sorted / "rabbits"
    blocked.write_text("no folder")
    drop_some(learner, 4)
    worker = learner.worker_of_versions()
    worker.start()
    step_until(worker, lambda: worker.idle)
    learner.promote(1)
    assert_refused(learner, worker, 1, "rabbits: files cannot be moved there", caplog)
    blocked.unlink()
    learner.clock.now += model_switch.BACKOFF_SECONDS[0]
    learner.step_until_at_work(worker, 1)
    assert blocked.is_dir()
    assert learner.switch.problem is None
    worker.stop()


def assert_refused(
    learner: Learner, worker: Worker, number: int, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Let a worker find that a version cannot be used; it stays with the base and files photos by it."""

    def refused() -> bool:
        learner.clock.now += 1
        return learner.switch.problem is not None

    step_until(worker, refused, 100_000)
    assert why in str(learner.switch.problem)
    assert f"model pets@{number} is not used" in str(learner.switch.problem)
    assert "pets stays at work" in caplog.text
    tries = learner.source.made[number]
    for _ in range(30):
        learner.clock.now += 1
        worker.step()
    assert learner.source.made[number] == tries, "it is not tried again each second"
    before = len(learner.injected)
    drop_some(learner, 5, first=before)
    step_until(worker, lambda: worker.idle and len(learner.rows("id", "state = 'filed'")) == before + 5)
    assert set(learner.check_answers()) <= {"pets"}


def children(settings: object, version: Version, path: Path) -> Classifier:
    return ProcessClassifier(path, "auto", settings.limits, child=version_child)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("refused", "the self-test failed"),
        ("dies", "the classifier ended 3 times while starting: killed by SIGSEGV"),
        ("crashes", "it failed on photos that were filed before (decoder_crashed: killed by SIGSEGV)"),
    ],
)
@pytest.mark.fault(50, 51)
def test_a_version_whose_child_fails_leaves_the_old_one_at_work_also_after_a_restart(
    learner: Learner, behaviour: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    make = partial(children, learner.settings)
    learner.add(1, behaviour)
    worker = learner.worker_of_versions(make=make)
    drop_some(learner, 10)
    worker.start()
    step_until(worker, lambda: worker.idle, 100_000)
    learner.promote(1)
    assert_refused(learner, worker, 1, why, caplog)
    worker.stop()

    worker = learner.worker_of_versions(make=make)
    assert worker.bundle.name == "pets@1"
    drop_some(learner, 5, first=100)
    worker.start()
    step_until(worker, lambda: worker.idle and len(learner.rows("id", "state = 'filed'")) == 20, 100_000)
    assert worker.bundle.name == "pets"
    assert why in str(learner.switch.problem)
    learner.add(2)
    learner.promote(2)
    learner.step_until_at_work(worker, 2)
    assert learner.switch.problem is None
    worker.stop()
    assert learner.rows("id", "outcome = 'failed'") == []
    assert learner.check_answers() == {"pets": 20}
    conserved(learner.settings, learner.injected)


@pytest.mark.parametrize("is_trying", [False, True], ids=["alone", "while another is tried"])
@pytest.mark.fault(50, 51)
def test_a_version_at_work_that_cannot_start_again_gives_way_to_the_one_before_it(
    learner: Learner, is_trying: bool
) -> None:
    """Its files were deleted, and then its process was killed: the worker goes on."""
    path = learner.add(1)
    learner.promote(1)
    worker = learner.worker_of_versions(make=partial(children, learner.settings))
    drop_some(learner, 5)
    worker.start()
    step_until(worker, lambda: worker.idle and learner.rows(), 100_000)
    (path / "behaviour").write_text("refused")
    if is_trying:
        learner.add(2)
        learner.promote(2)
        learner.clock.now += 1
        worker.step()
    kill_child(learner)
    drop_some(learner, 5, first=100)
    step_until(worker, lambda: worker.idle and len(learner.rows("id", "state = 'filed'")) == 10, 100_000)
    assert is_trying or (worker.bundle.name, "the self-test failed" in str(learner.switch.problem)) == (
        "pets",
        True,
    )
    (path / "behaviour").unlink()
    learner.clock.now += model_switch.BACKOFF_SECONDS[0]
    learner.step_until_at_work(worker, 2 if is_trying else 1)
    assert learner.switch.problem is None
    worker.stop()
    assert learner.rows("id", "outcome = 'failed'") == []
    conserved(learner.settings, learner.injected)
    learner.check_answers()


def test_a_damaged_version_leaves_the_old_one_at_work(
    learner: Learner, caplog: pytest.LogCaptureFixture
) -> None:
    path = learner.add(1)
    worker = learner.worker_of_versions()
    worker.start()
    step_until(worker, lambda: worker.idle)
    learner.promote(1)
    damage(path)
    assert_refused(learner, worker, 1, "this is not the file that bundle.yaml describes", caplog)
    worker.stop()
    worker = learner.worker_of_versions()
    assert worker.bundle.name == "pets"
    worker.start()
    learner.clock.now += 1
    worker.step()
    assert "model pets@1 is not used" in str(learner.switch.problem), "also after a restart"
    worker.stop()


def test_a_record_that_cannot_be_read_leaves_the_version_at_work(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        learner.add(number)
    worker = learner.worker_of_versions()
    worker.start()
    learner.promote(1)
    learner.step_until_at_work(worker, 1)
    record = learner.switch.family.record_path
    whole = record.read_bytes()
    record.write_text("{")
    for _ in range(5):
        learner.clock.now += 1
        worker.step()
    assert worker.bundle.name == "pets@1"
    assert "cannot be read as the record" in str(learner.switch.problem)

    def refuse(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(regular_files, "read", refuse)
        record.write_bytes(whole)
        for _ in range(5):
            learner.clock.now += 1
            worker.step()
        assert worker.bundle.name == "pets@1"
        assert "Input/output error" in str(learner.switch.problem)
    learner.clock.now += model_switch.BACKOFF_SECONDS[1]
    worker.step()
    assert learner.switch.problem is None
    worker.stop()


def test_at_the_start_a_version_that_fails_gives_way_to_the_one_before_it(learner: Learner) -> None:
    for number, behaviour in ((1, ""), (2, "refused"), (3, "dies")):
        learner.add(number, behaviour)
        learner.promote(number)
    worker = learner.worker_of_versions(make=partial(children, learner.settings))
    drop_some(learner, 5)
    worker.start()
    step_until(worker, lambda: worker.idle and learner.rows(), 100_000)
    assert learner.check_answers() == {"pets@1": 5}
    worker.stop()


def test_a_promotion_and_its_rollback_within_a_second_change_nothing(learner: Learner) -> None:
    learner.add(1)
    worker = learner.worker_of_versions()
    worker.start()
    learner.promote(1)
    learner.clock.now += 1
    worker.step()
    versions.rollback(learner.settings, "ann")
    for _ in range(50):
        learner.clock.now += 1
        worker.step()
    assert worker.bundle.name == "pets"
    assert learner.switch.problem is None
    worker.stop()


def test_looking_for_another_version_is_one_stat_a_second(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = learner.worker_of_versions()
    worker.start()
    worker.step()
    looks: list[object] = []
    stat = os.stat

    def counted(path: object, **more: object) -> os.stat_result:
        if str(path).endswith("in_force.json"):
            looks.append(path)
        return stat(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", counted)
    monkeypatch.setattr(model_switch, "chain", lambda _: pytest.fail("it read the record"))
    for _ in range(100):
        learner.clock.now += 0.1
        worker.step()
    assert len(looks) in (9, 10, 11)
    worker.stop()


def test_a_worker_that_is_stopped_while_it_tries_a_version_ends_both_children(learner: Learner) -> None:
    made: list[ProcessClassifier] = []

    def make(version: Version, path: Path) -> Classifier:
        made.append(ProcessClassifier(path, "auto", learner.settings.limits, child=version_child))
        return made[-1]

    learner.add(1)
    worker = learner.worker_of_versions(make=make)
    worker.start()
    learner.promote(1)
    learner.clock.now += 1
    worker.step()
    assert len(made) == 2
    worker.stop()
    assert [classifier.pid for classifier in made] == [None, None]


def test_what_commands_use_is_what_the_worker_uses(learner: Learner) -> None:
    learner.add(1)
    learner.promote(1)
    worker = learner.worker_of_versions()
    worker.start()
    learner.step_until_at_work(worker, 1)
    assert load_bundle(learner.settings).sha256 == worker.bundle.sha256
    worker.stop()


def test_the_service_follows_the_version_in_force_and_says_which_it_is(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "worker_classifier", lambda _, bundle: VersionStub(number_of(bundle.name)))
    monkeypatch.setattr(model_switch, "LOOK_SECONDS", 0.0)
    learner.add(1, **RABBITS)
    damage(learner.add(2))
    drop_some(learner, 30)

    def promote(_: object) -> None:
        """Promote after the first batch, while others wait."""
        if not learner.settings.sorted.joinpath("rabbits").exists():
            learner.promote(1)

    assert service.run(learner.settings, once=True, on_filed=promote) == 0
    assert set(learner.check_answers()) == {"pets", "pets@1"}
    conserved(learner.settings, learner.injected)
    beat = heartbeat.read(learner.settings.state / heartbeat.FILE_NAME)
    assert beat is not None
    assert (beat.model, beat.model_version, beat.model_problem) == ("pets@1", 1, None)
    assert beat.model_sha256 == load_bundle(learner.settings).sha256
    summary = (learner.settings.reports / "latest-summary.csv").read_text()
    assert ",rabbits,0," in summary, "reports have the folders of the version at work"

    record = versions.family(learner.settings).record_path
    record.write_text(record.read_text().replace('"version": 1', '"version": 2', 1))
    drop_some(learner, 3, first=100)
    assert service.run(learner.settings, once=True) == 0
    beat = heartbeat.read(learner.settings.state / heartbeat.FILE_NAME)
    assert beat is not None
    assert (beat.model, beat.health) == ("pets@1", "degraded")
    assert [beat.model_problem] == [*beat.reasons]
    assert str(beat.model_problem).startswith("model pets@2 is not used: ")


def number_of(name: str) -> int:
    return int(name.partition("@")[2] or 0)
