from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import LockError
from pipeline.settings import config
from pipeline.settings.config import Settings
from pipeline.worker.locks import holder, worker_lock
from pipeline.worker.startup import prepare_folders

ROOT = Path(__file__).parents[3]


def settings(folder: Path, text: str = "") -> Settings:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    made = config.load(folder / "config.yaml")
    prepare_folders(made)
    return made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.worker.locks.LOCK_SECONDS", 0.0)


@pytest.mark.fault(76)
def test_a_second_worker_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    site = settings(tmp_path)
    with worker_lock(site), pytest.raises(LockError, match=f"process {os.getpid()}"), worker_lock(site):
        pass


@pytest.mark.parametrize(
    "shared",
    [
        "inboxes: [../a/inbox]",
        "sorted: ../a/sorted",
        "inboxes: [../a/inbox/deep/er]",
        "inboxes: [../a/sorted/cats]",
    ],
)
@pytest.mark.fault(76)
def test_a_worker_with_other_settings_on_the_same_folder_is_refused(tmp_path: Path, shared: str) -> None:
    first, second = settings(tmp_path / "a"), settings(tmp_path / "b", shared)
    with worker_lock(first), pytest.raises(LockError, match="with other settings"), worker_lock(second):
        pass


@pytest.mark.fault(76)
def test_a_worker_around_the_folders_of_another_is_refused(tmp_path: Path) -> None:
    inner, outer = settings(tmp_path / "a" / "b"), settings(tmp_path / "c", "inboxes: [../a]")
    with worker_lock(inner), pytest.raises(LockError, match="with other settings"), worker_lock(outer):
        pass


def test_workers_side_by_side_do_not_disturb_each_other(tmp_path: Path) -> None:
    with worker_lock(settings(tmp_path / "a")), worker_lock(settings(tmp_path / "b")):
        pass


def test_no_descriptor_keeps_a_disk_from_being_unmounted(tmp_path: Path) -> None:
    site = settings(tmp_path)
    with worker_lock(site):
        held = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    below = (str(site.inboxes[0]), str(site.sorted))
    assert not [path for path in held if path.startswith(below)]


def test_the_lock_is_free_after_its_worker(tmp_path: Path) -> None:
    site = settings(tmp_path)
    with worker_lock(site):
        assert holder(site.state) == os.getpid()
    assert holder(site.state) is None
    with worker_lock(site):
        pass


@pytest.mark.fault(77)
def test_the_lock_is_free_after_a_worker_that_was_killed(tmp_path: Path) -> None:
    site = settings(tmp_path)
    code = (
        "import sys, time; from pathlib import Path; from pipeline.settings import config\n"
        "from pipeline.worker import locks\n"
        "with locks.worker_lock(config.load(Path(sys.argv[1]))): print('held', flush=True); time.sleep(60)"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "config.yaml")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert holder(site.state) == other.pid
        other.send_signal(signal.SIGKILL)
    with worker_lock(site):
        pass


def test_what_another_user_puts_in_place_of_a_lock_neither_hangs_nor_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    site, other = settings(tmp_path / "a"), settings(tmp_path / "b", "inboxes: [../a/inbox]")
    with worker_lock(site):
        locks = list(temporary.iterdir())
    for lock in locks:
        lock.unlink()
        os.mkfifo(lock)
    with worker_lock(site), pytest.raises(LockError, match="with other settings"), worker_lock(other):
        pass
    locks[0].unlink()
    locks[0].symlink_to(tmp_path / "victim")
    with pytest.raises(LockError, match=f"{locks[0].name}.*have it removed"), worker_lock(site):
        pass
    assert not (tmp_path / "victim").exists()


def test_before_the_first_start_no_process_holds_it(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
