"""What every test may lean on."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"
SHARED_CASES = SHARED_DATA.parent / "cases"

# A slow machine is no wrong result: a busy one takes longer than the 200 ms that an example has by default.
hypothesis.settings.register_profile(
    "pawsort", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("pawsort")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests that take long, unless PAWSORT_LONG is set."""
    for item in items:
        if "PAWSORT_LONG" not in os.environ and item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes long: `make long` runs it"))


def pytest_xdist_auto_num_workers() -> int:
    """Run three tests on two cores, as two of them wait for a process or a browser about half of the time."""
    return -(-3 * len(os.sched_getaffinity(0)) // 2)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The photographs for development, which lie beside the project and never in it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"photographs are not here: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """Pictures from public test suites, which lie beside the project and never in it."""
    if not SHARED_CASES.is_dir():
        pytest.skip(f"pictures from public test suites are not here: {SHARED_CASES}")
    return SHARED_CASES


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder() -> Iterator[None]:
    """Give the tests and their processes an empty folder of their own for temporary files.

    Locks and heartbeats are looked for in it, which takes long where others leave thousands of files. It is
    short, since sockets lie in it, and open to all users, as `/tmp` is: some tests have processes of others.
    """
    folder = tempfile.mkdtemp(prefix="pawsort-")
    os.chmod(folder, 0o1777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def unsynced() -> Iterator[None]:
    """Let files of this process not wait for the disk; a wrong descriptor is an error as before.

    Power is cut only under workers in processes of their own, which do wait.
    """

    def fsync(descriptor: int) -> None:
        os.fstat(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the half million objects of the imports out of the garbage collector, and run it more rarely.

    Otherwise it takes a tenth or more of the processor time of tests of pages.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)
        gc.enable()
        if "sqlalchemy" in sys.modules:
            share_compiled_statements()


def share_compiled_statements() -> None:
    """Compile each statement once in a test process, a fifth of the time of tests of a worker.

    SQLAlchemy keeps them for each engine, and tests make thousands of engines of the same two kinds.
    """
    from sqlalchemy import Engine
    from sqlalchemy.util import LRUCache

    compiled: LRUCache[object, object] = LRUCache(2000)

    class Shared:
        """What SQLAlchemy needs of a cache; its keys begin with the dialect object of an engine."""

        def get(self, key: tuple[object, ...]) -> object:
            return compiled.get((type(key[0]), *key[1:]))

        def __setitem__(self, key: tuple[object, ...], value: object) -> None:
            compiled[(type(key[0]), *key[1:])] = value

    shared = Shared()
    Engine._compiled_cache = property(lambda _: shared, lambda *_: None)  # type: ignore[assignment]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape names that are not UTF-8 in captured output: test processes send their reports as UTF-8."""
    report = yield
    escaped = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    report.sections = escaped
    return report


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_machine() -> Iterator[None]:
    """Keep the settings of the machine out of the tests, and of what they share for the whole session."""
    with pytest.MonkeyPatch.context() as environment:
        for variable in [name for name in os.environ if name.startswith("PAWSORT_")]:
            environment.delenv(variable)
        yield


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests out of the user's cache.

    Test processes that run at the same time share one cache, so that a model is converted once for all.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / "cache"))


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail a test that leaves a thread of Pawsort or watchdog running."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith(("pawsort", "APScheduler", "Thread-")) and not thread.daemon:
            thread.join(timeout=2)
            assert not thread.is_alive(), f"the test left {thread} running"
