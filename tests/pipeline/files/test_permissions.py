"""Who may read what: by default only the user as whom Pawsort runs."""

from __future__ import annotations

import logging
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.files.permissions import as_usual, exposed, limited, make_folder
from pipeline.learning.learn_status import learning
from pipeline.service import service
from pipeline.settings import config
from pipeline.settings.config import Settings
from pipeline.worker import startup
from tests.pipeline.service.test_service import SETTINGS
from tests.support.stub_classifier import BUNDLE, StubClassifier

WORKER = str(Path(__file__).parents[3] / "run_worker.py")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    assert os.umask(before) == 0o022, "the umask of the process is as it was"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(service, "load_bundle", lambda _: BUNDLE)
    return tmp_path / "new" / "site"


def prepared(site: Path, text: str = "") -> Settings:
    site.mkdir(parents=True, exist_ok=True)
    (site / "config.yaml").write_text(SETTINGS + text, encoding="utf-8")
    return config.load(site / "config.yaml")


def once(settings: Settings) -> None:
    inbox = settings.inboxes[0]
    (inbox / "trip").mkdir(parents=True, exist_ok=True)
    for name, mode in (("a.jpg", 0o640), ("trip/b.jpg", 0o604)):
        (inbox / name).write_bytes(b"<cat>" + os.urandom(8))
        (inbox / name).chmod(mode)
    assert service.run(settings, once=True, classifier=StubClassifier()) == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): mode(path) for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(
    ("permissions", "folders", "files"),
    [("private", 0o700, 0o600), ("group", 0o750, 0o640), ("umask", 0o755, 0o644)],
)
def test_what_pawsort_makes_for_itself_is_as_private_as_the_setting_says(
    site: Path, permissions: str, folders: int, files: int
) -> None:
    settings = prepared(site, f"permissions: {permissions}\n")
    once(settings)
    assert mode(settings.spool) == 0o700
    for own in (settings.state, settings.reports):
        assert mode(own) == folders
        for path in own.rglob("*"):
            if path != settings.spool:
                assert mode(path) == (folders if path.is_dir() else files), path
    assert {"pawsort.db", "heartbeat.json", "worker.lock"} <= set(os.listdir(settings.state))
    assert any(settings.reports.glob("*.csv"))


@pytest.mark.parametrize("permissions", ["private", "group", "umask"])
def test_photos_keep_their_modes_and_their_folders_follow_the_umask(site: Path, permissions: str) -> None:
    settings = prepared(site, f"permissions: {permissions}\n")
    once(settings)
    assert modes(settings.sorted / "cats") == {"a.jpg": 0o640, "trip": 0o755, "trip/b.jpg": 0o604}
    for folder in (settings.sorted, *settings.sorted.iterdir(), settings.inboxes[0], site):
        if folder.is_dir():
            assert mode(folder) == 0o755, folder


def with_default_acl(folder: Path, *entries: tuple[int, int]) -> None:
    """Give a folder a default access list of (tag, permissions); skips where the disk has none."""
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry, 0xFFFFFFFF) for entry in entries)
    try:
        os.setxattr(folder, "system.posix_acl_default", packed)
    except OSError as error:
        pytest.skip(f"no access lists here: {error.strerror}")


@pytest.mark.parametrize("permissions", ["private", "group", "umask"])
def test_a_default_acl_that_keeps_photos_private_is_not_opened(site: Path, permissions: str) -> None:
    settings = prepared(site, f"permissions: {permissions}\n")
    for folder in (settings.sorted, settings.inboxes[0]):
        folder.mkdir(parents=True)
        with_default_acl(folder, (0x01, 7), (0x04, 0), (0x20, 0))
    once(settings)
    assert modes(settings.sorted / "cats") == {"a.jpg": 0o640, "trip": 0o700, "trip/b.jpg": 0o604}
    assert {mode(path) for path in settings.sorted.iterdir() if path.is_dir()} == {0o700}


@pytest.mark.parametrize(
    ("permissions", "expected"), [("private", 0o700), ("group", 0o750), ("umask", 0o777)]
)
def test_a_default_acl_that_lets_everyone_in_opens_no_folder_of_pawsorts_own(
    site: Path, permissions: str, expected: int
) -> None:
    settings = prepared(site, f"permissions: {permissions}\n")
    with_default_acl(site, (0x01, 7), (0x04, 7), (0x20, 7))
    once(settings)
    assert {mode(settings.state), mode(settings.reports)} == {expected}
    assert not exposed(settings)
    settings.reports.rename(site / "taken away")
    with limited(settings.permissions):
        make_folder(settings.reports)
    assert mode(settings.reports) == expected


@pytest.mark.parametrize(("permissions", "kept"), [("private", 0o700), ("group", 0o750), ("umask", 0o777)])
def test_a_default_acl_of_pawsorts_own_folders_opens_no_new_file(
    site: Path, permissions: str, kept: int
) -> None:
    settings = prepared(site, f"permissions: {permissions}\n")
    for own in (settings.state, settings.reports):
        own.mkdir(parents=True)
        with_default_acl(own, (0x01, 7), (0x04, 7), (0x20, 7))
    once(settings)
    with limited(settings.permissions), moves_lock(settings), learning(settings):
        pass
    for own in (settings.state, settings.reports):
        assert {path.name: oct(mode(path) & ~kept) for path in own.rglob("*") if mode(path) & ~kept} == {}
    names = {"pawsort.db", "pawsort.db.lock", "heartbeat.json", "worker.lock", "moves.lock", "learn.lock"}
    assert names <= set(os.listdir(settings.state))
    assert any(settings.reports.glob("*.csv"))
    if permissions == "umask":
        assert mode(settings.state / "heartbeat.json") == 0o666


@pytest.mark.parametrize(("mask", "expected"), [(7, 0o660), (4, 0o640), (0, 0o600)])
def test_what_was_private_gets_the_modes_of_the_default_acl_at_most(
    tmp_path: Path, mask: int, expected: int
) -> None:
    with_default_acl(tmp_path, (0x01, 6), (0x04, 7), (0x10, mask), (0x20, 0))
    with limited("private"):
        (tmp_path / "a").touch(0o600)
        as_usual(tmp_path / "a", 0o666)
    assert mode(tmp_path / "a") == expected


def test_the_folders_around_are_as_the_umask_says(tmp_path: Path) -> None:
    settings = prepared(tmp_path, "state: a/b/state\nreports: c/d/reports\n")
    startup.prepare_folders(settings)
    assert modes(tmp_path / "a") == {"b": 0o755, "b/state": 0o700, "b/state/spool": 0o700}
    assert mode(tmp_path / "a") == 0o755
    assert modes(tmp_path / "c") == {"d": 0o755, "d/reports": 0o700}


def test_sqlites_own_files_are_private_while_they_are_there(site: Path) -> None:
    settings = prepared(site)
    seen: dict[str, int] = {}

    class Looking(StubClassifier):
        def poll(self, timeout: float) -> list:  # type: ignore[type-arg]
            seen.update(modes(settings.state))
            return super().poll(timeout)

    settings.inboxes[0].mkdir(parents=True)
    (settings.inboxes[0] / "a.jpg").write_bytes(b"<cat>")
    service.run(settings, once=True, classifier=Looking())
    assert seen["pawsort.db-wal"] == seen["pawsort.db-shm"] == seen["pawsort.db.lock"] == 0o600


@pytest.mark.parametrize(
    "acl", [pytest.param(False, id="umask"), pytest.param(True, id="default ACL", marks=pytest.mark.long)]
)
def test_commands_make_private_files_too(tmp_path: Path, acl: bool) -> None:
    settings = prepared(tmp_path)
    if acl:
        for own in (settings.state, settings.reports):
            own.mkdir()
            with_default_acl(own, (0x01, 7), (0x04, 7), (0x20, 7))
    bundle = tmp_path / "reports" / "bundle.zip"
    repair = ["doctor", "--repair", "--bundle", str(bundle)]
    for words in (["db", "upgrade"], ["report"], ["undo", "--last", "1"], repair):
        (tmp_path / "reports").mkdir(exist_ok=True, mode=0o700)
        line = [sys.executable, WORKER, *words, "--config", str(tmp_path / "config.yaml")]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 1), done.stderr
    found = {**modes(settings.state), **modes(settings.reports)}
    assert {"pawsort.db", "moves.lock", "worker.lock", "latest-summary.csv", "bundle.zip"} <= set(found)
    assert set(found.values()) == {0o600}


def test_what_is_there_keeps_its_mode_and_the_log_says_so(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = prepared(site)
    settings.state.mkdir()
    with caplog.at_level(logging.WARNING):
        once(settings)
    assert mode(settings.state) == 0o755
    assert mode(settings.state / "pawsort.db") == 0o600
    assert f"`chmod -R go= {settings.state}` prevents that, where the disk keeps modes" in caplog.text
    assert str(settings.reports) not in caplog.text


@pytest.mark.parametrize(("permissions", "count"), [("private", 2), ("group", 1), ("umask", 0)])
def test_only_what_is_more_open_than_the_setting_is_said(
    tmp_path: Path, permissions: str, count: int
) -> None:
    settings = prepared(tmp_path, f"permissions: {permissions}\n")
    settings.state.mkdir(mode=0o750)
    settings.reports.mkdir()
    assert len(exposed(settings)) == count


def test_config_check_says_it_and_is_content(tmp_path: Path) -> None:
    prepared(tmp_path).state.mkdir()
    line = [sys.executable, WORKER, "config", "check", "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "other users may read it (mode 0755)" in done.stderr


def test_a_lock_for_a_folder_can_be_opened_by_every_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    site = tmp_path / "site"
    site.mkdir()
    settings = prepared(site)
    startup.prepare_folders(settings)
    from pipeline.worker.locks import worker_lock

    with limited("private"), worker_lock(settings):
        found = {mode(path) for path in tmp_path.glob("pawsort-*.lock")}
    assert found == {0o644}


def test_a_folder_with_a_sticky_group_keeps_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    with limited("private"):
        (tmp_path / "made").mkdir()
        as_usual(tmp_path / "made", 0o777)
    assert mode(tmp_path / "made") == 0o2755


def test_outside_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir(mode=0o711)
    as_usual(tmp_path / "made", 0o777)
    assert mode(tmp_path / "made") == 0o711
