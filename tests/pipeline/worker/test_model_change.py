"""The worker changes its model at work: no photo is lost, doubled, or answered by a mixture of two."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pipeline.classifier import model_switch
from pipeline.classifier.client import Classifier, ProcessClassifier
from pipeline.classifier.configured_model import load_bundle
from pipeline.learning import versions
from pipeline.learning.versions import Version
from pipeline.service import service
from pipeline.worker import heartbeat, startup
from tests.support.child_mains import version_child
from tests.support.installation import step_until
from tests.support.learner import RABBITS, Learner, VersionStub, drop_some, number_of
from tests.support.model_versions import damage
from tests.support.oracle import conserved


def test_hundreds_of_photos_are_answered_by_one_version_each_while_versions_change(learner: Learner) -> None:
    for number in (1, 2, 3):
        learner.add(number)
    drop_some(learner, 400)
    worker = learner.worker_of_versions()
    chance = random.Random(2026)
    worker.start()
    changes, steps = 0, 0
    while not worker.idle:
        steps += 1
        if steps % 16 == 0:
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
    assert sum(answered.values()) == len(learner.rows()) == 400
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
