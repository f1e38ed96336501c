"""A version that cannot be used leaves the one before it at work, and says why."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest

from models import regular_files
from pipeline.classifier import model_switch
from pipeline.classifier.client import ProcessClassifier
from pipeline.classifier.configured_model import load_bundle, open_in_force
from pipeline.learning import refusal, versions
from pipeline.learning.listing import listing
from pipeline.web.served_models.model_registry import ModelRegistry
from pipeline.worker.loop import Worker
from tests.support.installation import step_until
from tests.support.learner import RABBITS, Learner, children, drop_some
from tests.support.model_versions import damage
from tests.support.oracle import conserved


def kill_child(learner: Learner) -> None:
    """Kill the process of the version at work."""
    classifier = learner.switch.active.classifier
    assert isinstance(classifier, ProcessClassifier) and classifier.pid
    os.kill(classifier.pid, signal.SIGKILL)


def test_folders_of_new_classes_that_cannot_be_made_leave_the_old_version_at_work(
    learner: Learner, caplog: pytest.LogCaptureFixture
) -> None:
    learner.add(1, **RABBITS)
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


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("refused", "the self-test failed"),
        pytest.param(
            "dies", "the classifier ended 3 times while starting: killed by SIGSEGV", marks=pytest.mark.long
        ),
        pytest.param(
            "crashes",
            "it failed on photos that were filed before (decoder_crashed: killed by SIGSEGV)",
            marks=pytest.mark.long,
        ),
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


def in_use(learner: Learner) -> tuple[str, str, str, list[tuple[str, str | None]]]:
    """Return which version commands, `classify` and the pages use, and what `models` says of each."""
    listed = [(each.version.name, each.problem) for each in listing(learner.settings)]
    [marked] = [each.version.name for each in listing(learner.settings) if each.is_in_force]
    registry = ModelRegistry(learner.settings)
    answers = open_in_force(learner.settings).name, registry.one(None).bundle.name, marked
    assert {load_bundle(learner.settings).name} == set(answers), "they agree"
    return *answers, listed


def test_commands_and_pages_use_what_the_worker_uses_after_a_version_was_refused(
    learner: Learner, caplog: pytest.LogCaptureFixture
) -> None:
    learner.add(1, "refused")
    worker = learner.worker_of_versions(make=partial(children, learner.settings))
    drop_some(learner, 5)
    worker.start()
    step_until(worker, lambda: worker.idle, 100_000)
    learner.promote(1)
    assert load_bundle(learner.settings).name == "pets@1", "the worker has not tried it yet"
    assert_refused(learner, worker, 1, "the self-test failed", caplog)
    worker.stop()
    *used, listed = in_use(learner)
    assert set(used) == {"pets"}
    assert "model pets@1 is not used" in str(listed[1][1])
    assert "as the worker does, pets is used" in caplog.text

    learner.add(2)
    learner.promote(2)
    assert in_use(learner)[0] == "pets@2", "the refusal was of another version"


def test_after_a_rollback_to_a_version_that_fails_all_stay_with_the_one_at_work(learner: Learner) -> None:
    path = learner.add(1)
    learner.add(2)
    for number in (1, 2):
        learner.promote(number)
    worker = learner.worker_of_versions(make=partial(children, learner.settings))
    worker.start()
    step_until(worker, lambda: learner.switch.ready(), 100_000)
    (path / "behaviour").write_text("refused")
    versions.rollback(learner.settings, "ann")

    def is_refused() -> bool:
        learner.clock.now += 1
        return learner.switch.problem is not None

    step_until(worker, is_refused, 100_000)
    assert in_use(learner)[0] == worker.bundle.name == "pets@2"

    (path / "behaviour").unlink()
    tries = learner.source.made[1]
    learner.promote(1)  # again, although it is in force
    learner.clock.now += 1
    worker.step()
    assert learner.source.made[1] == tries + 1, "it is tried at once, and not after a minute"
    learner.step_until_at_work(worker, 1)
    assert in_use(learner) == ("pets@1",) * 3 + ([("pets", None), ("pets@1", None), ("pets@2", None)],)
    worker.stop()


def test_a_refusal_lasts_until_the_version_is_at_work(learner: Learner) -> None:
    path = learner.add(1, "refused")
    learner.promote(1)
    make = partial(children, learner.settings)
    worker = learner.worker_of_versions(make=make)
    worker.start()
    step_until(worker, lambda: learner.switch.problem, 100_000)
    worker.step()
    worker.stop()
    (path / "behaviour").unlink()
    assert in_use(learner)[0] == "pets", "no worker has tried it again"
    worker = learner.worker_of_versions(make=make)
    worker.start()
    worker.step()
    assert in_use(learner)[0] == "pets"
    step_until(worker, lambda: in_use(learner)[0] == "pets@1", 100_000)
    worker.stop()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": true, "at_work": 0, "problem": ""}', "\udcff"])
def test_a_damaged_refusal_counts_as_none(learner: Learner, text: str) -> None:
    learner.add(1)
    learner.promote(1)
    path = learner.settings.state / "models" / "pets" / refusal.FILE_NAME
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert in_use(learner)[0] == "pets@1"
    path.write_text('{"version": 1, "at_work": 0, "problem": "it is broken"}')
    assert in_use(learner)[0] == "pets"
