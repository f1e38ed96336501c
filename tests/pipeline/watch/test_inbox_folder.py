"""The folder of an inbox may be replaced, unmounted or missing."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from tests.pipeline.watch.conftest import Make, collect, names


@pytest.mark.fault(9)
def test_an_inbox_that_is_replaced_is_watched_anew_and_nothing_taken_from_the_old(
    make: Make, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = make()
    (folder / "old.jpg").touch()
    inbox.poll()
    folder.rename(tmp_path / "elsewhere")
    folder.mkdir()
    (tmp_path / "elsewhere" / "late.jpg").touch()
    (folder / "new.jpg").touch()
    assert names(inbox, 2, 0.4) == {b"new.jpg"}
    (folder / "newer.jpg").touch()
    assert names(inbox, 1) == {b"newer.jpg"}
    assert "another folder" in caplog.text


@pytest.mark.fault(8, 10)
def test_an_inbox_that_is_gone_is_loud_once_and_waited_for(
    make: Make, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = make()
    inbox.poll()
    folder.rmdir()
    for _ in range(5):
        assert inbox.poll() == []
    assert inbox.status().state == "missing"
    assert inbox.status().degraded
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
    folder.mkdir()
    (folder / "cat.jpg").touch()
    assert names(inbox, 1) == {b"cat.jpg"}
    assert inbox.status().state == "watching"


@pytest.mark.fault(10)
def test_the_folder_under_an_unmounted_disk_is_not_taken_for_the_inbox(
    make: Make, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: not os.path.exists(os.path.join(path, b"bare")))
    inbox = make()
    inbox.poll()
    disk = folder.rename(tmp_path / "disk")
    folder.mkdir()
    (folder / "bare").touch()
    assert collect(inbox, 1, 0.1) == []
    assert inbox.status().state == "missing"
    assert "not mounted" in inbox.status().note
    (folder / "bare").unlink()
    folder.rmdir()
    disk.rename(folder)
    (folder / "cat.jpg").touch()
    assert names(inbox, 1) == {b"cat.jpg"}


def test_an_inbox_that_is_not_there_at_the_start_is_waited_for(make: Make, folder: Path) -> None:
    folder.rmdir()
    inbox = make()
    assert inbox.status().state == "missing"
    folder.mkdir()
    (folder / "cat.jpg").touch()
    assert names(inbox, 1) == {b"cat.jpg"}
