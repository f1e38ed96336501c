"""What depends on the model at work follows it without a restart: its own threshold, and what folders say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from db.connection.engine import DatabaseUnavailable
from pipeline.by_hand.follower import Follower
from pipeline.classifier import model_switch, own_threshold
from pipeline.learning import versions
from pipeline.service import service
from pipeline.spot_checks import figures
from pipeline.spot_checks.own_threshold import Measured
from pipeline.worker import startup
from pipeline.worker.loop import Worker
from tests.support.installation import SMALL, step_until
from tests.support.learner import RABBITS, Learner, VersionStub, drop_some, number_of

OWN = SMALL.replace("min_confidence: 0.9", "calibration: own")


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return the thresholds that answers prove, by the name of a model; a test sets them."""
    thresholds: dict[str, float] = {}

    def measure(_: object, bundle: Any, *__: object) -> Measured:
        return Measured(thresholds.get(bundle.name), 20, 0, 0)

    monkeypatch.setattr(figures, "measure", measure)
    return thresholds


def filed(learner: Learner, worker: Worker, name: str) -> tuple[str, str]:
    """Let a worker file a photo that the model is unsure of; return its folder and model."""
    learner.drop(name, name.encode() + b"<unsure>")
    step_until(worker, lambda: learner.rows("id", f"name = '{name}' AND state = 'filed'"))
    [(outcome, model)] = learner.rows("outcome, model", f"name = '{name}'")
    return outcome, model


def test_the_own_threshold_of_a_version_is_measured_when_it_takes_over(
    tmp_path: Path, proven: dict[str, float]
) -> None:
    learner = Learner(tmp_path, OWN)
    learner.add(1)
    proven["pets@1"] = 0.3
    worker = learner.worker_of_versions()
    worker.start()
    assert filed(learner, worker, "before.jpg") == ("uncertain", "pets")
    learner.promote(1)
    learner.step_until_at_work(worker, 1)
    assert filed(learner, worker, "after.jpg") == ("cats", "pets@1")
    versions.rollback(learner.settings, "ann")
    learner.step_until_at_work(worker, 0)
    assert filed(learner, worker, "again.jpg") == ("uncertain", "pets")
    worker.stop()
    learner.close()


def test_a_database_that_is_away_when_a_version_takes_over_delays_it_and_mixes_nothing(
    tmp_path: Path, proven: dict[str, float], monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    learner = Learner(tmp_path, OWN)
    learner.add(1)
    worker = learner.worker_of_versions()
    drop_some(learner, 20)
    worker.start()
    learner.promote(1)
    measured: list[str] = []
    measure = startup.measure_own_threshold

    def away(engine: Any, settings: Any, bundle: Any, now: Any) -> None:
        measured.append(bundle.name)
        if len(measured) < 3:
            raise DatabaseUnavailable("it is away")
        measure(engine, settings, bundle, now)

    monkeypatch.setattr(startup, "measure_own_threshold", away)
    learner.step_until_at_work(worker, 1)
    assert measured == ["pets@1"] * 3
    step_until(worker, lambda: worker.idle)
    worker.stop()
    learner.check_answers()
    record = own_threshold.read(learner.settings)
    assert record and record.model_sha256 == worker.bundle.sha256
    learner.close()


def test_the_folder_of_a_new_class_has_its_label_once_its_version_is_at_work(learner: Learner) -> None:
    learner.add(1, **RABBITS)
    worker = learner.worker_of_versions()
    worker.start()
    assert (learner.labels.label("rabbits"), learner.labels.is_of_model("rabbits")) == ("rabbits", False)
    learner.promote(1)
    learner.step_until_at_work(worker, 1)
    assert (learner.labels.label("rabbits"), learner.labels.is_of_model("rabbits")) == ("rabbit", True)
    versions.rollback(learner.settings, "ann")
    learner.step_until_at_work(worker, 0)
    assert learner.labels.is_of_model("rabbits"), "photos that the version has filed lie there"
    worker.stop()


def test_the_service_tells_its_follower_of_new_folders(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    followers: list[Follower] = []

    class Known(Follower):
        def start(self) -> None:
            followers.append(self)
            super().start()

    monkeypatch.setattr(startup, "worker_classifier", lambda _, bundle: VersionStub(number_of(bundle.name)))
    monkeypatch.setattr(model_switch, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(service, "Follower", Known)
    learner.add(1, **RABBITS)
    drop_some(learner, 30)

    def promote(_: object) -> None:
        if not learner.settings.sorted.joinpath("rabbits").exists():
            learner.promote(1)

    assert service.run(learner.settings, once=True, on_filed=promote) == 0
    assert followers[0].labels.label("rabbits") == "rabbit"
