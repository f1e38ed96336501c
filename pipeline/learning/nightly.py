"""Learn each night in a process of low priority, if people have judged enough photos since the last time.

Not by `nightly.schedule`, since a failure is tried again the next night only, and a process does the work.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, time
from functools import partial

from sqlalchemy import Engine

from db.connection.errors import DatabaseError
from db.queries import judged
from models.errors import in_words
from pipeline.errors import LockError, PawsortError
from pipeline.files.permissions import make_folder
from pipeline.files.replace_file import replace_file
from pipeline.learning.diary import FILE_NAME, Diary, last_learnt, moment, read
from pipeline.learning.listing import ChallengerNotice, promote_if_better
from pipeline.learning.versions import Family
from pipeline.nightly.ticker import MinuteTicker
from pipeline.processes import PARENT_VARIABLE, end
from pipeline.reports.calendar_days import next_due_at
from pipeline.settings.config import Settings

log = logging.getLogger(__name__)

NICENESS = 19
"""Lowest priority: the worker gets nearly all of the processors as long as it has photos."""

STOP_SECONDS = 3.0
_TICK = 0.2


class NightlyLearning:
    """Run `command`, which learns, at `settings.learn.at` until `stop`.

    `count_new` returns how many photos were judged after a time, or ever (None). `clock` returns an aware
    time. Its processes end with this one.
    """

    def __init__(
        self,
        settings: Settings,
        known: Family,
        command: Sequence[str],
        count_new: Callable[[datetime | None], int],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        assert settings.learn.at, "no time to learn at"
        self._settings = settings
        self._known = known
        self._at = time.fromisoformat(settings.learn.at)
        self._command = command
        self._count_new = count_new
        self._clock = clock
        self._path = known.folder / FILE_NAME
        self._diary = read(self._path)
        self._stopping = threading.Event()
        self._ticker = MinuteTicker(self.wake)
        self._thread: threading.Thread | None = None

    @property
    def notice(self) -> str | None:
        """What there is to say: that it learns now, or what went wrong the last time."""
        if self.is_running:
            return "learns from what people said, with low priority"
        return self._diary.problem

    @property
    def is_running(self) -> bool:
        """Whether a process is learning."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start to wait for the time."""
        self._ticker.start()

    def follow_clock(self) -> None:
        """Look now if the clock was set back."""
        self._ticker.follow_clock()

    def wake(self) -> None:
        """Begin to learn if it is time, enough photos were judged, and no process is learning."""
        if self.is_running:
            return
        now = self._clock()
        try:
            if self._is_due(now):
                self._write(replace(self._diary, looked_at=now.isoformat()))
                self._begin(now)
        except (OSError, DatabaseError, PawsortError) as error:
            log.error("learning: %s; next try tomorrow", in_words(error))

    def stop(self) -> None:
        """End the process that learns, if there is one; nothing of it is left."""
        self._stopping.set()
        self._ticker.stop()
        if self._thread:
            self._thread.join(2 * STOP_SECONDS)

    def _is_due(self, now: datetime) -> bool:
        """Return whether the time of day has come since the last look; the first look is now."""
        looked_at = moment(self._diary.looked_at)
        if looked_at is None or looked_at > now:
            self._write(replace(self._diary, looked_at=now.isoformat()))
            return False
        return next_due_at(looked_at, self._at, self._settings.report.zone) <= now

    def _begin(self, now: datetime) -> None:
        count, least = self._count_new(last_learnt(self._known, self._diary)), self._settings.learn.min_new
        if count < least:
            log.info("learning: %d photos were judged since the last time, of %d", count, least)
            return
        log.info("learning from what people said of photos, %d more than the last time", count)
        # The kernel counts the end of the thread that started a process as the death of its parent.
        self._thread = threading.Thread(target=self._learn, args=(now,), name="pawsort-learning", daemon=True)
        self._thread.start()

    def _learn(self, now: datetime) -> None:
        code = self._run()
        if self._stopping.is_set():
            return
        try:
            if code == LockError.exit_code:
                log.info("learning: another process is learning; left to it")
            elif code == 0:
                self._write(replace(self._diary, learnt_at=now.isoformat(), problem=None))
                self._promote()
            else:
                raise PawsortError(f"`pawsort learn` ended with {code}; the log says why")
        except (OSError, PawsortError) as error:
            problem = f"failed at {self._clock():%Y-%m-%d %H:%M} UTC: {in_words(error)}"
            log.error("learning %s", problem)
            with contextlib.suppress(OSError):
                self._write(replace(self._diary, problem=problem))

    def _promote(self) -> None:
        if self._settings.learn.promote != "auto":
            return
        if version := promote_if_better(self._settings, "learn.promote: auto"):
            log.info("learning: %s is better, and was promoted", version.name)
        else:
            log.info("learning: nothing better was learnt; nothing is promoted")

    def _run(self) -> int | str:
        """Run the command to its end, or until `stop`; return its exit code, or why it could not start."""
        environment = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
        try:
            # In the session of the worker: where the kernel groups processes by sessions, priorities count
            # within a group only.
            process = subprocess.Popen(  # noqa: S603 - our own command
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment
            )
        except OSError as error:
            return str(error)
        while not self._stopping.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_TICK)
        return end(process, STOP_SECONDS)

    def _write(self, diary: Diary) -> None:
        self._diary = diary
        for folder in (self._known.folder.parent, self._known.folder):
            make_folder(folder)
        replace_file(self._path, [json.dumps(asdict(diary), indent=2).encode()], durable=False)


class Learning:
    """Learning as the worker sees it: at night, if the settings say when, and what there is to say of it."""

    def __init__(self, nightly: NightlyLearning | None, challenger: ChallengerNotice | None) -> None:
        self._nightly = nightly
        self._challenger = challenger

    @classmethod
    def of(cls, settings: Settings, known: Family | None, engine: Engine, command: Sequence[str]) -> Learning:
        """Return what the settings describe, for a model without versions if `known` is None."""
        if known is None:
            return cls(None, None)
        count_new = partial(judged.count, engine)
        is_nightly = settings.learn.at and command
        nightly = NightlyLearning(settings, known, command, count_new) if is_nightly else None
        return cls(nightly, ChallengerNotice(known))

    @property
    def notice(self) -> str | None:
        """What a person should know, None if there is nothing."""
        said = [part.notice for part in (self._nightly, self._challenger) if part]
        return "; ".join(filter(None, said)) or None

    def start(self) -> None:
        """Start to wait for the time to learn."""
        if self._nightly:
            self._nightly.start()

    def follow_clock(self) -> None:
        """Notice a clock that was set back."""
        if self._nightly:
            self._nightly.follow_clock()

    def stop(self) -> None:
        """End learning."""
        if self._nightly:
            self._nightly.stop()
