"""The shipped network, a real worker and its children: versions change while a thousand photos are filed."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models.bundle.bundle import Bundle
from pipeline.classifier.client import ProcessClassifier, classify_files
from pipeline.classifier.configured_model import load_version, policy
from pipeline.decision import decide
from pipeline.learning import versions
from pipeline.learning.versions import Family, Version
from pipeline.worker import heartbeat
from pipeline.worker.heartbeat import Heartbeat
from tests.end_to_end.conftest import CommandInstallation
from tests.support.oracle import conserved
from tests.support.real_versions import shipped, write_real_version

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

NUMBERS = (1, 2, 3)
PHOTOS = 1000
EACH, MOST = 40, 15
"""Which pictures of a folder are used: each of so many, and at most so many."""

FEWEST_WAITING = 40
"""Photos that wait at least while a version changes: some are in flight then."""

SAME = 0.02
"""Logarithms of the probabilities that a version gives to a picture differ by less from time to time."""

SETTINGS = """
watch: {settle_seconds: 0, rescan_seconds: 0.5}
batch: {size: 16, wait_seconds: 0.05}
"""


@pytest.fixture(scope="module")
def real_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder `state/models` with learnt versions of the shipped model."""
    models, base = tmp_path_factory.mktemp("versions") / versions.FOLDER, shipped()
    known = Family(Version(0, base.name, base.path), base.manifest.weights.sha256, models / base.name)
    for number in NUMBERS:
        write_real_version(base, known.version(number))
    return models


class Loaded(CommandInstallation):
    """An installation with learnt versions, and as many photos as one wants."""

    def __init__(self, folder: Path, models: Path, data: Path) -> None:
        super().__init__(folder, SETTINGS)
        shutil.copytree(models, self.settings.state / models.name)
        self._pictures = pictures(data)

    def drop_photos(self, count: int) -> None:
        """Drop photos whose contents no other has."""
        for _ in range(count):
            number = len(self.injected)
            picture = self._pictures[number % len(self._pictures)]
            comment = b"\xff\xfe\x00\x0a" + b"%08d" % number
            self.drop(f"{number}.jpg", picture[:2] + comment + picture[2:])

    def promote(self, number: int) -> None:
        assert self.ask("promote", str(number)).returncode == 0

    @property
    def beat(self) -> Heartbeat | None:
        return heartbeat.read(self.settings.state / heartbeat.FILE_NAME)

    def wait_under_load(self, done: Callable[[], object], what: str) -> None:
        """Wait until something has come true; photos arrive meanwhile, so that some are in flight then."""

        def is_done() -> bool:
            if (lacking := FEWEST_WAITING - self.waiting) > 0:
                self.drop_photos(lacking)
            return bool(done())

        self.wait(is_done, what)

    def wait_for_version(self, number: int) -> None:
        """Wait, under load, until a version is at work."""

        def is_at_work() -> bool:
            beat = self.beat
            return beat is not None and beat.state == "watching" and beat.model_version == number

        self.wait_under_load(is_at_work, f"version {number} to be at work")

    @property
    def waiting(self) -> int:
        """How many photos are not filed yet."""
        return len(self.injected) - len(self.rows("id", "state = 'filed'"))

    def finish(self, worker: subprocess.Popen[str]) -> None:
        """Let a worker file the rest, and end."""
        self.drop_photos(PHOTOS - len(self.injected))
        self.wait_until_filed()
        assert self.stop(worker) == 128 + signal.SIGTERM

    def check_answers(self, *numbers: int) -> Counter[str]:
        """Check that each row is the answer of its version, of the base or `numbers`, and of no other; count.

        Each version is asked again about each picture, of which there are many copies.
        """
        conserved(self.settings, self.injected)
        columns = "name, model, model_sha256, scores, prediction, confidence, outcome, reason"
        rows = self.rows(columns)
        assert len(rows) == len(self.injected)
        known = versions.family(self.settings)
        bundles = [
            load_version(self.settings, known.version(number)) for number in (0, *(numbers or NUMBERS))
        ]
        again = {bundle.name: self._scores_of(bundle) for bundle in bundles}
        policies = {bundle.name: (bundle.sha256, policy(self.settings, bundle)) for bundle in bundles}
        for name, model, sha256, scores, *decision in rows:
            given, picture = json.loads(scores), int(name.removesuffix(".jpg")) % len(self._pictures)
            alike = [other for other, answers in again.items() if are_alike(given, answers[picture])]
            assert alike == [model], (name, model, given)
            assert sha256 == policies[model][0]
            assert decision == decided(given, policies[model][1], decision[3] == "both"), name
        return Counter(model for _, model, *_ in rows)

    def _scores_of(self, bundle: Bundle) -> list[dict[str, float]]:
        paths = [self.folder / f"picture-{number}.jpg" for number in range(len(self._pictures))]
        for path, picture in zip(paths, self._pictures, strict=True):
            path.write_bytes(picture)
        classifier = ProcessClassifier(bundle.path, "auto", self.settings.limits)
        try:
            results = list(classify_files(classifier, map(os.fsencode, paths), 16))
        finally:
            classifier.stop()
        return [result.scores or {} for result in results]


def decided(scores: dict[str, float], chosen: Any, both: bool) -> list[Any]:
    decision = decide(scores, chosen, both)
    return [decision.prediction, decision.confidence, decision.outcome, decision.reason]


def are_alike(one: dict[str, float], other: dict[str, float]) -> bool:
    """Return whether both can be answers of one version."""
    return all(abs(math.log(one[label] + 1e-12) - math.log(other[label] + 1e-12)) < SAME for label in one)


def pictures(data: Path) -> list[bytes]:
    """Return JPEGs of cats, dogs, and animals that are neither, in turn."""
    folders = (data / "cats_dogs" / "cat", data / "cats_dogs" / "dog", data / "neither" / "near_relatives")
    some = [sorted(folder.glob("*.jpg"))[::EACH][:MOST] for folder in folders]
    return [path.read_bytes() for triple in zip(*some, strict=False) for path in triple]


@pytest.fixture
def loaded(tmp_path: Path, real_versions: Path, shared_data: Path) -> Iterator[Loaded]:
    loaded = Loaded(tmp_path, real_versions, shared_data)
    yield loaded
    loaded.close()


def test_a_thousand_photos_are_each_answered_by_one_version_while_versions_are_promoted_and_rolled_back(
    loaded: Loaded,
) -> None:
    loaded.drop_photos(PHOTOS // 3)
    worker = loaded.start()
    loaded.wait_for_version(0)
    for number in (1, 2):
        loaded.promote(number)
        loaded.wait_for_version(number)
    assert loaded.ask("rollback").returncode == 0
    loaded.wait_for_version(1)
    loaded.promote(3)
    loaded.wait_for_version(3)
    assert loaded.ask("promote", "0").returncode == 0
    loaded.wait_for_version(0)
    loaded.finish(worker)
    answered = loaded.check_answers()
    assert len(answered) == 1 + len(NUMBERS), answered
    assert loaded.log.count("is at work now, in place of") == 5


def test_a_worker_that_is_killed_during_a_switch_loses_nothing_and_starts_with_the_version_in_force(
    loaded: Loaded,
) -> None:
    loaded.drop_photos(PHOTOS // 3)
    worker = loaded.start()
    loaded.wait_for_version(0)
    for number, said in ((1, "trying model cats_dogs@1"), (2, "model cats_dogs@2 is at work now")):
        loaded.promote(number)
        loaded.wait_under_load(lambda said=said: said in loaded.log, said)  # type: ignore[misc]
        worker.kill()
        worker.wait()
        loaded.drop_photos(FEWEST_WAITING)
        worker = loaded.start()
        loaded.wait_for_version(number)
        assert f"loading model cats_dogs@{number}" in loaded.log
    loaded.finish(worker)
    answered = loaded.check_answers()
    assert answered.keys() >= {"cats_dogs", "cats_dogs@1", "cats_dogs@2"}, answered


def test_a_version_that_fails_leaves_the_old_one_at_work_and_an_alarm_says_so(loaded: Loaded) -> None:
    fail_self_test(loaded.settings.state / "models" / "cats_dogs" / "1")
    loaded.drop_photos(PHOTOS // 3)
    worker = loaded.start()
    loaded.wait_for_version(0)
    loaded.promote(1)
    assert_refused(loaded, 1, "self-test")

    before = children(worker.pid)
    loaded.promote(2)
    with kept_from_loading(loaded, worker.pid, before):
        assert_refused(loaded, 2, "ended 3 times while starting: killed by SIGSEGV")
    assert before <= children(worker.pid), "the child at work was left alone"

    loaded.promote(3)
    loaded.wait_for_version(3)
    beat = loaded.beat
    assert beat and (beat.model_problem, beat.health) == (None, "ok")
    loaded.finish(worker)
    assert loaded.check_answers(2, 3).keys() == {"cats_dogs", "cats_dogs@3"}


def assert_refused(loaded: Loaded, number: int, why: str) -> None:
    """Wait until a version is refused: status, health and log say so, and the old one files photos."""

    def is_refused() -> bool:
        beat = loaded.beat
        return beat is not None and f"cats_dogs@{number} is not used" in str(beat.model_problem)

    loaded.wait(is_refused, f"version {number} to be refused")
    beat = loaded.beat
    assert beat and why in str(beat.model_problem)
    assert (beat.model, beat.model_version, beat.health) == ("cats_dogs", 0, "degraded")
    assert beat.model_problem in beat.reasons and f"{beat.model_problem}; cats_dogs stays" in loaded.log
    assert str(beat.model_problem) in loaded.ask("status").stdout
    filed = len(loaded.rows("id", "state = 'filed'"))
    loaded.drop_photos(FEWEST_WAITING)
    loaded.wait(lambda: len(loaded.rows("id", "state = 'filed'")) > filed, "photos to be filed")


def fail_self_test(version: Path) -> None:
    """Let a version expect other probabilities of its self-test than its network gives."""
    import yaml

    path = version / "bundle.yaml"
    manifest = yaml.safe_load(path.read_text())
    for section in (manifest, manifest["int8"]):
        for row in section["self_test"]["probabilities"]:
            row[:] = row[::-1]
    path.write_text(yaml.safe_dump(manifest))


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@contextlib.contextmanager
def kept_from_loading(loaded: Loaded, pid: int, spared: set[int]) -> Iterator[None]:
    """Let each new child of a worker crash while it loads, as the kernel does if memory is short."""
    crashed: set[int] = set()

    def crash_all() -> bool:
        for child in children(pid) - spared - crashed:
            os.kill(child, signal.SIGSEGV)
            crashed.add(child)
        return len(crashed) == 3

    loaded.wait(crash_all, "three children")
    yield
