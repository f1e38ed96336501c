"""A child that cannot start says why and what to do, not only its exit code."""

from __future__ import annotations

import errno
import multiprocessing
from multiprocessing import resource_tracker, spawn
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from pipeline.child_failures import advice
from pipeline.classifier.supervised_child import SupervisedChild
from pipeline.errors import ModelError
from tests.support.child_mains import dying_thumbnail_child


@pytest.mark.parametrize(
    ("failure", "what_to_do"),
    [
        ("exit code 1: libGL.so.1: cannot open shared object file: No such file or directory", "apt-file"),
        ("exit code 1: /x/a.so: failed to map segment from shared object: Operation not permitted", "noexec"),
        ("exit code 1: No module named 'openvino'", "install it again"),
        ("exit code 1: Permission denied: '/models/weights.npz'", "Let the user "),
        ("exit code 1: Operation not permitted", "SystemCallFilter="),
        ("killed by SIGSYS", "seccomp"),
        ("killed by SIGKILL", "Memory is short"),
        ("exit code 1: out of memory: no room for weights", "Memory is short"),
        ("exit code 1: can't start new thread", "TasksMax="),
        ("killed by SIGILL", "engine: tensorflow"),
        ("killed by SIGSEGV", "A library crashed"),
        ("exit code 1", "the lines of the log"),
    ],
)
def test_each_kind_of_failure_has_its_advice(failure: str, what_to_do: str) -> None:
    assert what_to_do in advice(failure)


def test_nothing_is_advised_where_nothing_is_known() -> None:
    assert advice("exit code 1: no room for surprises") == ""


def failure_of(*arguments: object) -> str:
    child = SupervisedChild(
        dying_thumbnail_child,
        *arguments,
        name="the classifier",
        start_seconds=60,
        progress_seconds=60,
        start_attempts=1,
    )
    with pytest.raises(ModelError) as failed:
        while child.ready(1.0) is None:
            pass
    return str(failed.value)


def test_a_python_that_the_system_does_not_start_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource_tracker.ensure_running()  # with the Python of the tests
    python = tmp_path / "python"
    monkeypatch.setattr(spawn, "_python_exe", str(python).encode())
    assert f"{python} cannot be started: No such file or directory" in failure_of(None)
    python.touch()
    failure = failure_of(None)
    assert "cannot be started: Permission denied" in failure and "Let the user " in failure
    assert "255" not in failure


class Unloadable:
    """What a child cannot unpickle, as a module cannot be imported that lacks a library."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return _import, ()


def _import() -> None:
    raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")


def test_a_library_that_its_modules_need_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    failure = failure_of(Unloadable())
    assert "exit code 1: libGL.so.1: cannot open shared object file: No such file or directory. " in failure
    assert failure.endswith("`apt-file search` names it") and capfd.readouterr().err == ""


def test_a_system_without_room_for_a_process_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: SpawnProcess) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(SpawnProcess, "start", refused)
    child = SupervisedChild(dying_thumbnail_child, None, name="it", start_seconds=60, progress_seconds=60)
    with pytest.raises(OSError, match=r"no process can be started: Resource .* unavailable\. .* TasksMax="):
        child.start()
    assert multiprocessing.active_children() == []
