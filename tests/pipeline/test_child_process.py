"""A child process that cannot be started leaves nothing behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from pipeline import child_process
from pipeline.child_process import ChildProcess
from pipeline.classifier.supervised_child import SupervisedChild
from tests.support.child_mains import dying_thumbnail_child
from tests.support.echo_child import tell_folder


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def failing(after: int, real: Callable[..., Any]) -> Callable[..., Any]:
    calls = iter(range(1000))

    def call(*arguments: Any, **options: Any) -> Any:
        if next(calls) >= after:
            raise OSError(24, "Too many open files")
        return real(*arguments, **options)

    return call


FAILURES = [
    (SpawnContext, "Pipe", 0),
    (SpawnContext, "Pipe", 1),
    (tempfile, "TemporaryFile", 0),
    (child_process.os, "dup", 0),
    (SpawnProcess, "start", 0),
    (child_process, "_thread", 0),
    (child_process, "_thread", 1),
]


@pytest.mark.fault(75)
@pytest.mark.parametrize(("owner", "name", "after"), FAILURES)
def test_a_start_that_fails_leaves_no_descriptor_process_or_thread(
    owner: Any, name: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ChildProcess(dying_thumbnail_child, None).kill()  # what Python itself keeps open is there now
    before, threads = descriptors(), threading.active_count()
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, failing(after, getattr(owner, name)))
        for _ in range(3):
            with pytest.raises(OSError, match="Too many"):
                ChildProcess(dying_thumbnail_child, None)
    for thread in threading.enumerate():
        if thread.name == "pawsort-_send_all":
            thread.join(10)
    assert (descriptors(), threading.active_count()) == (before, threads)
    assert multiprocessing.active_children() == []


@pytest.mark.fault(75)
def test_arguments_that_cannot_be_sent_leave_no_descriptor() -> None:
    child = SupervisedChild(
        dying_thumbnail_child, threading.Lock(), name="it", start_seconds=60, progress_seconds=60
    )
    ChildProcess(dying_thumbnail_child, None).kill()
    before = descriptors()
    for _ in range(3):
        with pytest.raises(TypeError, match="pickle"):
            child.start()
    assert descriptors() == before and not child.is_started


def test_a_child_reads_nothing_from_the_folder_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    child = ChildProcess(tell_folder)
    try:
        assert child.receive(60) == "/"
    finally:
        child.kill()
