"""Draw, ask, answer, and tell, on an installation with files."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import filelock
import pytest

from db.queries import spot_checks
from models import calibration
from models.bundle.bundle import Bundle
from pipeline.classifier import own_threshold
from pipeline.classifier.answer_key import answer_key
from pipeline.classifier.configured_model import load_bundle, policy
from pipeline.cli import app
from pipeline.errors import LockError
from pipeline.service import service
from pipeline.settings import config
from pipeline.spot_checks import draw, figures
from pipeline.spot_checks.ask import Questions
from pipeline.worker import status
from tests.support.installation import FOLDERS, Installation
from tests.support.oracle import conserved
from tests.support.stub_classifier import StubClassifier

OUTCOMES = ("cats", "dogs")


@pytest.fixture
def bundle(pawsort: Installation) -> Bundle:
    return load_bundle(pawsort.settings)


def filed(pawsort: Installation, count: int, outcome: str = "cats", **more: Any) -> list[int]:
    label = outcome.removesuffix("s")
    names = [f"{outcome}{number}.jpg".encode() for number in range(count)]
    return [pawsort.file(name, name, outcome, prediction=label, **more) for name in names]


def drawn(pawsort: Installation, sample: int) -> int:
    now = pawsort.now()
    return draw.draw(pawsort.engine, pawsort.settings, OUTCOMES, sample, now, random.Random(1))


def found(pawsort: Installation, bundle: Bundle) -> figures.Figures:
    return figures.figures(pawsort.engine, pawsort.settings, bundle)


def answers(pawsort: Installation, *said: str) -> list[str]:
    """Answer the questions with these words, and return what was printed."""
    words, printed = iter(said), []

    def read(_: str) -> str:
        try:
            return next(words)
        except StopIteration:
            raise EOFError from None

    Questions(pawsort.engine, pawsort.settings, FOLDERS, "ann", read, printed.append).ask()
    return printed


def test_a_draw_looks_at_each_class_and_age_and_never_at_a_photo_twice(pawsort: Installation) -> None:
    filed(pawsort, 20)
    pawsort.time += timedelta(days=10)
    filed(pawsort, 3, "dogs")
    assert drawn(pawsort, 5) == 5
    strata = {each.stratum: each.weight for each in spot_checks.drawn(pawsort.engine)}
    assert strata == {"cats, last month": 5.0, "dogs, last week": 3.0}
    assert drawn(pawsort, 100) == 18
    assert drawn(pawsort, 100) == 0
    files = [each.file_id for each in spot_checks.drawn(pawsort.engine)]
    assert len(set(files)) == len(files) == 23


def test_the_order_of_the_questions_is_random_so_that_a_part_is_a_sample(pawsort: Installation) -> None:
    filed(pawsort, 20)
    filed(pawsort, 20, "dogs")
    drawn(pawsort, 20)
    order = [each.outcome for each in spot_checks.drawn(pawsort.engine)]
    assert order != sorted(order) and order != sorted(order, reverse=True)


def test_two_draws_exclude_each_other(pawsort: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "LOCK_SECONDS", 0)
    with filelock.FileLock(pawsort.settings.state / draw.LOCK_NAME), pytest.raises(LockError):
        drawn(pawsort, 1)


def test_right_confirms_wrong_moves_and_both_are_recorded(pawsort: Installation, bundle: Bundle) -> None:
    filed(pawsort, 2)
    drawn(pawsort, 2)
    first, second = [each.file_id for each in spot_checks.drawn(pawsort.engine)]
    printed = answers(pawsort, "what?", "y", "2")
    assert printed[0].endswith(".jpg: cat?")
    assert pawsort.state(first)[1:3] == ("cats", "cat")
    assert pawsort.state(second)[1:3] == ("dogs", "dog")
    assert [move.via for id in (first, second) for move in pawsort.ledger.moves(id)] == ["check", "check"]
    columns = 'label, correct, "by"'
    with pawsort.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"SELECT {columns} FROM spot_checks ORDER BY id").all()
    assert [tuple(row) for row in rows] == [("cat", 1, "ann"), ("dog", 0, "ann")]
    assert found(pawsort, bundle).estimate.precision == 0.5
    conserved(pawsort.settings, [b"cats0.jpg", b"cats1.jpg"])


def test_skip_undo_and_quit(pawsort: Installation, bundle: Bundle) -> None:
    filed(pawsort, 3)
    drawn(pawsort, 3)
    first, second, third = [each.file_id for each in spot_checks.drawn(pawsort.engine)]
    printed = answers(pawsort, "u", "s", "dog", "u", "y", "q")
    assert any("no answer" in line for line in printed) and any("asked again" in line for line in printed)
    assert [pawsort.state(id)[2] for id in (first, second, third)] == [None, "cat", None]
    assert found(pawsort, bundle).waiting == 2
    answers(pawsort, "y")
    assert pawsort.state(first)[2] == "cat", "a skipped photo is asked again"


def test_a_photo_that_is_gone_says_so_and_the_next_is_asked(pawsort: Installation) -> None:
    filed(pawsort, 2)
    drawn(pawsort, 2)
    first, second = [each.file_id for each in spot_checks.drawn(pawsort.engine)]
    path = pawsort.state(first)[3]
    assert path is not None
    (pawsort.folder / path.decode()).unlink()
    printed = answers(pawsort, "y", "y")
    assert any("is missing" in line for line in printed)
    assert pawsort.state(second)[2] == "cat"


def test_a_correction_elsewhere_counts_by_what_the_photo_was_when_drawn(
    pawsort: Installation, bundle: Bundle
) -> None:
    filed(pawsort, 2)
    drawn(pawsort, 2)
    pawsort.correct(b"cats/cats0.jpg", label="dog")
    found_ = found(pawsort, bundle)
    assert (found_.estimate.precision, found_.per_class["cats"].precision, found_.waiting) == (0.0, 0.0, 1)
    pawsort.undo(last=1)
    assert found(pawsort, bundle).estimate.precision is None
    assert found(pawsort, bundle).waiting == 2


def test_figures_tell_each_class_month_coverage_and_what_is_needed(
    pawsort: Installation, bundle: Bundle
) -> None:
    filed(pawsort, 2)
    pawsort.time += timedelta(days=40)
    filed(pawsort, 2, "dogs")
    pawsort.file(b"low.jpg", b"low", "uncertain", reason="low_confidence")
    nothing = found(pawsort, bundle).as_dict()
    assert (nothing["precision"], nothing["answered"]) == (None, 0)
    assert nothing["needed"] == calibration.least_filed(0.995)
    drawn(pawsort, 4)
    answers(pawsort, *["y"] * 4)
    values = found(pawsort, bundle).as_dict()
    assert (values["precision"], values["high"], values["answered"]) == (1.0, 1.0, 4)
    assert values["low"] == pytest.approx(0.025 ** (1 / 4))
    assert values["coverage"] == 4 / 5
    assert {name: each["answered"] for name, each in values["per_class"].items()} == {"cats": 2, "dogs": 2}
    assert set(values["by_month"]) == {"2026-11", "2026-12"}
    assert values["own_threshold"]["threshold"] is None
    text = found(pawsort, bundle).as_text()
    assert "precision  100.00% (95% interval 39.76% to 100.00%), 4 checked" in text
    assert "456 more right answers would prove it" in text


@pytest.fixture
def command(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Any]:
    monkeypatch.setattr("pipeline.logs.set_up", lambda format, level: None)

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["pawsort", "--config", str(pawsort.config), *words])
        with pytest.raises(SystemExit) as ended:
            app.main()
        assert not ended.value.code
        return capsys.readouterr().out

    yield run


def test_without_a_terminal_the_command_prints_what_waits_and_correct_answers_it(
    pawsort: Installation, command: Any
) -> None:
    filed(pawsort, 5)
    assert json.loads(command("check", "--json"))["photos"] == [], "nothing is drawn without --sample"
    said = json.loads(command("check", "--sample", "2", "--json"))
    assert (len(said["photos"]), said["waiting"], said["answered"]) == (2, 2, 0)
    assert said["photos"] == command("check", "--sample", "2").splitlines()[:2], "no more than two wait"
    command("correct", said["photos"][0], "--as", "cat")
    said = json.loads(command("check", "--json"))
    assert (said["answered"], said["precision"], said["waiting"]) == (1, 1.0, 1)


def test_at_a_terminal_the_command_asks(
    pawsort: Installation, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed(pawsort, 2)
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert "100.00%" in command("check", "--by", "ann")
    assert {row[0] for row in pawsort.rows("reviewed_by")} == {"ann"}


# --- the own threshold


def own(pawsort: Installation, text: str = "decision: {calibration: own, target_precision: 0.5}") -> None:
    pawsort.config.write_text(text, encoding="utf-8")
    pawsort.settings = config.load(pawsort.config)


def test_answers_enough_make_an_own_threshold_which_changes_decisions_and_answer_keys(
    pawsort: Installation, bundle: Bundle
) -> None:
    own(pawsort)
    models = policy(pawsort.settings, bundle).threshold
    before = answer_key(pawsort.settings, bundle)
    filed(pawsort, 12, confidence=0.875, model_sha256=bundle.sha256)
    drawn(pawsort, 12)
    figures.measure_own_threshold(pawsort.engine, pawsort.settings, bundle, pawsort.now())
    assert policy(pawsort.settings, bundle).threshold == models
    assert "until 4 more photos are right" in (status.read(pawsort.settings, None).own_threshold or "")
    answers(pawsort, *["y"] * 12)
    figures.measure_own_threshold(pawsort.engine, pawsort.settings, bundle, pawsort.now())
    assert policy(pawsort.settings, bundle).threshold == 0.875 != models
    assert answer_key(pawsort.settings, bundle) != before
    said = status.read(pawsort.settings, None)
    assert "threshold  own: 0.8750, proven by 12 answers" in said.as_text()
    assert said.as_dict()["own_threshold"] == "own: 0.8750, proven by 12 answers"


def test_an_own_threshold_is_of_one_model_one_promise_and_the_setting(
    pawsort: Installation, bundle: Bundle
) -> None:
    own(pawsort)
    record = own_threshold.Record(
        model_sha256=bundle.sha256, target_precision=0.5, threshold=0.7, answered=9, needed=0,
        measured_at=pawsort.now(),
    )  # fmt: skip
    own_threshold.write(pawsort.settings, record)
    assert own_threshold.in_use(pawsort.settings, bundle.sha256) == 0.7
    assert own_threshold.in_use(pawsort.settings, "f" * 64) is None
    for text in ("decision: {calibration: own}", "decision: {target_precision: 0.5}"):
        own(pawsort, text)
        assert own_threshold.in_use(pawsort.settings, bundle.sha256) is None
    own(pawsort, "decision: {calibration: own, target_precision: 0.5, min_confidence: 0.9}")
    assert policy(pawsort.settings, bundle).threshold == 0.9


@pytest.mark.parametrize("text", ["", "{", '{"threshold": 2}', "[]", "\udcff"])
def test_a_damaged_record_counts_as_none(pawsort: Installation, bundle: Bundle, text: str) -> None:
    own(pawsort)
    path: Path = pawsort.settings.state / own_threshold.FILE_NAME
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert own_threshold.in_use(pawsort.settings, bundle.sha256) is None


def test_the_worker_measures_it_when_it_starts_and_config_check_says_so(
    pawsort: Installation, command: Any
) -> None:
    own(pawsort, "decision: {calibration: own}")
    assert "not measured yet" in command("config", "check")
    service.run(pawsort.settings, once=True, classifier=StubClassifier())
    assert "until 460 more photos are right" in command("config", "check")


def test_nothing_is_measured_without_the_setting(pawsort: Installation, bundle: Bundle) -> None:
    figures.measure_own_threshold(pawsort.engine, pawsort.settings, bundle, pawsort.now())
    assert own_threshold.read(pawsort.settings) is None


def test_a_full_disk_keeps_no_worker_from_starting(
    pawsort: Installation, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    own(pawsort)
    monkeypatch.setattr(own_threshold, "write", full)
    figures.measure_own_threshold(pawsort.engine, pawsort.settings, bundle, pawsort.now())
    assert "cannot be stored" in caplog.text
