"""The real worker as a process, with a stub for a classifier: what the faults are injected into."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict
from unittest import mock

from db.connection import engine
from db.queries import workers
from pipeline import logs
from pipeline.alerts import active_alerts
from pipeline.classifier.client import Classifier, ProcessClassifier
from pipeline.classifier.messages import ClassificationResult, Item
from pipeline.errors import PawsortError
from pipeline.nightly import ticker
from pipeline.service import service, shared_ledger, worker_run
from pipeline.settings import config
from pipeline.worker import loop
from pipeline.worker.steps import crash_loop
from tests.faults import people
from tests.support import stub_versions
from tests.support.child_mains import crashing_child, restless_child, stub_child
from tests.support.stub_classifier import BUNDLE, StubClassifier

DEFECT = 70
"""Exit code of an unexpected exception: a fault must never lead to it."""


CHILDREN = {"idle": restless_child, "at work": crashing_child}


class Order(TypedDict, total=False):
    """How a worker is to be started: the folder with its `config.yaml`, and what is other than usual."""

    folder: str
    once: bool
    backoff: float  # seconds between tries while it cannot go on
    child: bool  # classify in a process of its own, which poison kills in earnest
    held: bool  # stop before the first step, until SIGCONT comes
    real: bool  # with the real network instead of a stub
    delay: float  # seconds that each answer of the stub takes
    busy: float  # seconds to wait for a locked database
    uid: int  # run as this user
    nofile: int  # most descriptors
    inotify: tuple[str, int]  # `instances` or `watches`, and how many there are
    cgroup: str  # the folder of a control group to live in
    versions: bool  # change the model after each batch, see `tests.support.stub_versions`
    user: str  # no worker, but a user who takes back, or corrects, all that it filed: undo or correct
    notify: str  # the service manager's socket
    watchdog: float  # seconds that it lets pass without a sign of life
    deadlock: bool  # wait for ever for a lock, once the first file is filed
    crashes: str  # the classifier's process crashes for ever: `idle`, as soon as it is ready, or `at work`
    silent: float  # seconds without a sign of life in the database after which a worker is silent
    people: int  # no worker, but a user who corrects what it filed; by this seed


class IdleStub(StubClassifier):
    """A stub that waits as long as it was told to when it has nothing to answer, and takes its time."""

    def __init__(self, delay: float = 0.0, version: int = 0) -> None:
        super().__init__(version=version)
        self._delay = delay
        self._since = 0.0

    def submit(self, items: Sequence[Item]) -> None:
        """Take a batch."""
        super().submit(items)
        self._since = time.monotonic()

    def poll(self, timeout: float) -> list[ClassificationResult]:
        """Answer, or wait."""
        if not self.in_flight or time.monotonic() < self._since + self._delay:
            time.sleep(timeout)
            return []
        return super().poll(timeout)


def run(order: Order) -> int:
    """Run the worker of a folder; return its exit code. The log goes to stderr."""
    if "people" in order:
        people.correct_at_random(Path(order["folder"]), order["people"])
    try:
        if user := order.get("user"):
            return people.change_all(Path(order["folder"]), user)
        settings = config.load(Path(order["folder"]) / "config.yaml")
        logs.set_up(settings.log.format, settings.log.level)
        of_itself = order.get("real") or order.get("versions")
        classifier: Classifier | None = None if of_itself else IdleStub(order.get("delay", 0.0))
        # A child that is spawned would first import what its parent was started as.
        sys.modules["__main__"].__spec__ = None
        vars(sys.modules["__main__"]).pop("__file__", None)
        if order.get("child"):
            child = CHILDREN.get(order.get("crashes", ""), stub_child)
            classifier = ProcessClassifier(BUNDLE.path, "auto", settings.limits, child=child)
        if notify := order.get("notify"):
            usec = str(int(order.get("watchdog", 0) * 1e6))
            os.environ.update(NOTIFY_SOCKET=notify, WATCHDOG_USEC=usec, WATCHDOG_PID=str(os.getpid()))
        with ExitStack() as stack:
            for owner, name, value in _patches(order):
                stack.enter_context(mock.patch.object(owner, name, value))
            on_filed = stub_versions.Changes(settings) if order.get("versions") else lambda _: None
            if order.get("deadlock"):
                on_filed = _deadlock
            once = order.get("once", False)
            return service.run(settings, once=once, classifier=classifier, on_filed=on_filed)
    except PawsortError as error:
        print(f"pawsort: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # as `pipeline.cli.app.main` does
        print(f"pawsort: {error.filename or 'cannot go on'}: {error.strerror}", file=sys.stderr)
        return PawsortError.exit_code
    except Exception:
        traceback.print_exc()
        return DEFECT


def _deadlock(_: Sequence[object]) -> None:
    lock = threading.Lock()
    with lock, lock:
        pass


def _patches(order: Order) -> list[tuple[Any, str, Any]]:
    stub = [] if order.get("real") else [(service, "load_bundle", lambda _: BUNDLE)]
    return [
        *stub,
        *(stub_versions.patches(IdleStub) if order.get("versions") else ()),
        (loop, "BACKOFF_SECONDS", (order.get("backoff", 0.05),)),
        (engine, "BUSY_SECONDS", order.get("busy", engine.BUSY_SECONDS)),
        *([(crash_loop, "MOST_LOSSES", 2)] if order.get("crashes") else ()),
        *_quick_silence(order),
        (worker_run, "BEAT_SECONDS", worker_run.BEAT_SECONDS if order.get("once") else 0.05),
    ]


def _quick_silence(order: Order) -> list[tuple[Any, str, Any]]:
    """Return what makes silences, and alerts of them, a matter of seconds."""
    if not (seconds := order.get("silent")):
        return []
    return [
        (workers, "SILENT_SECONDS", seconds),
        (shared_ledger, "BEAT_SECONDS", seconds / 6),
        (ticker, "INTERVAL_SECONDS", 1),
        (active_alerts, "FOR", {}),
        (active_alerts, "CLEAR", timedelta(seconds=seconds)),
    ]


if __name__ == "__main__":
    code = run(Order(folder=sys.argv[1], once="--once" in sys.argv, child="--child" in sys.argv))
    sys.stderr.flush()
    os._exit(code)
