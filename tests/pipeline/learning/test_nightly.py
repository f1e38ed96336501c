"""When it is learnt, in which process, and what becomes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.import_path import interpreter
from pipeline.learning import versions
from pipeline.learning.listing import ChallengerNotice
from pipeline.learning.nightly import NICENESS, NightlyLearning
from pipeline.settings import config
from tests.support.installation import wait
from tests.support.model_versions import WORSE, add_version, small_bundle

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NIGHT = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)


class Night:
    """Nightly learning by a stand-in, with a clock and a number of judged photos of the test."""

    def __init__(self, folder: Path, learn: str = "at: '03:30', min_new: 50") -> None:
        small_bundle(folder / "models" / "pets")
        (folder / "config.yaml").write_text(f"model: pets\nlearn: {{{learn}}}\n", encoding="utf-8")
        self.settings = config.load(folder / "config.yaml")
        self.settings.state.mkdir()
        self.now = NOON
        self.judged = 60
        self.since: list[datetime | None] = []
        self.runs = folder / "runs"
        self.learning = self.again()

    def again(self, program: str = "") -> NightlyLearning:
        """Return the learning of another worker; the stand-in notes that it ran, then runs `program`."""
        program = f"open({str(self.runs)!a}, 'a').write('x'); {program}"
        command = [sys.executable, "-c", program]
        self.learning = NightlyLearning(
            self.settings, versions.family(self.settings), command, self._count, lambda: self.now
        )
        return self.learning

    def _count(self, since: datetime | None) -> int:
        self.since.append(since)
        return self.judged

    def wake(self, at: datetime) -> int:
        """Wake at a time, and wait for the end; return how often it has learnt so far."""
        self.now = at
        self.learning.wake()
        wait(lambda: not self.learning.is_running, "the end of learning")
        return self.runs.stat().st_size if self.runs.exists() else 0


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    night = Night(tmp_path)
    yield night
    night.learning.stop()


def test_it_learns_once_a_night_and_not_before_the_first(night: Night) -> None:
    assert night.wake(NOON) == 0, "the worker started: that is no time to learn"
    assert night.wake(NIGHT - timedelta(minutes=1)) == 0
    assert night.wake(NIGHT + timedelta(seconds=20)) == 1
    assert night.wake(NIGHT + timedelta(hours=5)) == 1
    assert night.wake(NIGHT + timedelta(days=1)) == 2


def test_a_night_that_was_missed_is_made_up_for_at_the_next_start(night: Night) -> None:
    night.wake(NOON)
    night.again()
    assert night.wake(NIGHT + timedelta(hours=4)) == 1
    night.again()
    assert night.wake(NIGHT + timedelta(hours=5)) == 1


def test_the_time_is_in_the_zone_of_the_reports(night: Night) -> None:
    report = night.settings.report.model_copy(update={"timezone": "Asia/Tokyo"})
    night.settings = night.settings.model_copy(update={"report": report})
    night.again()
    night.wake(NOON)
    assert night.wake(NOON.replace(hour=18, minute=29)) == 0
    assert night.wake(NOON.replace(hour=18, minute=30)) == 1


def test_a_clock_that_was_set_back_waits_for_its_next_night(night: Night) -> None:
    night.wake(NIGHT + timedelta(days=400))
    assert night.wake(NOON) == 0
    assert night.wake(NIGHT) == 1


def test_too_few_judged_photos_are_not_worth_it(night: Night) -> None:
    night.judged = 49
    night.wake(NOON)
    assert night.wake(NIGHT) == 0
    night.judged = 50
    assert night.wake(NIGHT + timedelta(days=1)) == 1


def test_photos_count_as_new_since_the_last_learning_at_night_or_by_hand(night: Night) -> None:
    night.wake(NOON)
    night.wake(NIGHT)
    night.wake(NIGHT + timedelta(days=1))
    by_hand = NIGHT + timedelta(days=1, hours=9)
    add_version(night.settings, 1, learnt={"at": by_hand.isoformat()})
    night.wake(NIGHT + timedelta(days=2))
    assert night.since == [None, NIGHT, by_hand]


def test_what_was_judged_while_it_learnt_by_hand_is_new(night: Night) -> None:
    night.wake(NOON)
    ended = NIGHT - timedelta(hours=2)
    add_version(night.settings, 1, learnt={"at": ended.isoformat(), "seconds": 5400})
    night.wake(NIGHT)
    assert night.since == [ended - timedelta(seconds=5400)]


@pytest.mark.parametrize("at", [None, 7, "soon", "2026-11-20", ""])
def test_an_odd_time_in_learnt_json_is_passed_over(night: Night, at: object) -> None:
    add_version(night.settings, 1, learnt={"at": at})
    night.wake(NOON)
    assert night.wake(NIGHT) == 1


@pytest.mark.parametrize("text", ["", "[]", "{", '{"looked_at": 7}', '{"looked_at": "soon"}', "3"])
def test_a_damaged_diary_is_begun_anew(night: Night, text: str) -> None:
    path = night.settings.state / "models" / "pets" / "learning.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    night.again()
    assert night.wake(NOON) == 0
    assert night.wake(NIGHT) == 1


def test_learning_that_fails_is_said_and_tried_again_the_next_night(
    night: Night, caplog: pytest.LogCaptureFixture
) -> None:
    night.again("raise SystemExit(3)")
    night.wake(NOON)
    assert night.wake(NIGHT) == 1
    assert "failed at 2026-11-21 03:30 UTC: `pawsort learn` ended with 3" in str(night.learning.notice)
    assert "learning failed at" in caplog.text
    assert night.wake(NIGHT + timedelta(hours=1)) == 1
    assert night.again().notice == f"{night.learning.notice}", "also after a restart"
    assert night.wake(NIGHT + timedelta(days=1)) == 2
    assert night.learning.notice is None
    assert night.since == [None, None], "what failed is no learning"


def test_a_program_that_cannot_be_started_is_said(night: Night) -> None:
    night.learning = NightlyLearning(
        night.settings, versions.family(night.settings), ["/nowhere/pawsort"], night._count, lambda: night.now
    )
    night.wake(NOON)
    night.wake(NIGHT)
    assert "No such file or directory: '/nowhere/pawsort'" in str(night.learning.notice)


def test_another_process_that_learns_is_no_problem(night: Night) -> None:
    night.again("raise SystemExit(5)")
    night.wake(NOON)
    night.wake(NIGHT)
    assert night.learning.notice is None


def test_nothing_is_begun_while_it_learns_and_stop_ends_it(night: Night) -> None:
    night.again("import time; time.sleep(600)")
    night.wake(NOON)
    for day in range(3):
        night.now = NIGHT + timedelta(days=day)
        night.learning.wake()
        wait(night.runs.exists, "the beginning")
    assert night.learning.is_running
    assert "learns" in str(night.learning.notice)
    assert night.runs.stat().st_size == 1
    night.learning.stop()
    assert not night.learning.is_running
    assert night.again().notice is None, "what was ended has not failed"


@pytest.mark.parametrize(
    ("promote", "verdict", "in_force"),
    [("auto", None, "pets@1"), ("auto", WORSE, "pets"), ("ask", None, "pets"), ("auto", "odd", "pets")],
)
def test_what_was_learnt_is_promoted_as_the_settings_say(
    tmp_path: Path, promote: str, verdict: object, in_force: str
) -> None:
    night = Night(tmp_path, f"at: '03:30', promote: {promote}")
    changes = {"verdict": verdict} if verdict else None
    learn = add_version(night.settings, 1, learnt=changes)
    made = learn.with_name("made")
    learn.rename(made)
    night.again(f"import os; os.rename({str(made)!a}, {str(learn)!a})")
    night.wake(NOON)
    night.wake(NIGHT)
    assert versions.chain(versions.family(night.settings))[0].name == in_force
    if in_force == "pets@1":
        record = json.loads((learn.parent / "in_force.json").read_bytes())
        assert record["history"][0]["by"] == "learn.promote: auto"
        assert record["history"][0]["why"].startswith("better: ")
    night.learning.stop()


def test_a_challenger_that_is_better_is_told_until_somebody_decides(night: Night) -> None:
    notice = ChallengerNotice(versions.family(night.settings))
    assert notice.notice is None
    add_version(night.settings, 1, learnt={"verdict": WORSE})
    assert notice.notice is None
    add_version(night.settings, 2)
    assert str(notice.notice).startswith("pets@2 is better (right about 9 of 10")
    assert str(notice.notice).endswith("`pawsort promote 2` puts it in force")
    versions.promote(night.settings, 2, "ann")
    assert notice.notice is None
    versions.rollback(night.settings, "ann")
    assert notice.notice is None


def test_a_folder_that_cannot_be_listed_does_not_end_the_heartbeat(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_version(night.settings, 1)

    def refuse(*_: object) -> list[str]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "listdir", refuse)
    assert ChallengerNotice(versions.family(night.settings)).notice is None


def test_the_process_has_the_lowest_priority(night: Night) -> None:
    *words, program = interpreter(NICENESS)
    shown = program.replace("; main()", "; print(os.nice(0))")
    lowest = min(19, os.nice(0) + NICENESS)
    assert subprocess.run([*words, shown], capture_output=True, check=True).stdout == b"%d\n" % lowest


def test_the_process_ends_with_the_worker(night: Night) -> None:
    night.again("import os; raise SystemExit(int(os.environ['PAWSORT_PARENT_PID']) != os.getppid())")
    night.wake(NOON)
    night.wake(NIGHT)
    assert night.learning.notice is None


def test_the_thread_that_waits_for_the_time_ends_with_stop(night: Night) -> None:
    night.learning.start()
    wait(lambda: (night.settings.state / "models" / "pets" / "learning.json").exists(), "the first look")
    night.learning.follow_clock()
    night.learning.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("pawsort-learning")]
