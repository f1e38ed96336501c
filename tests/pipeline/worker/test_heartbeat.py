from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.worker import heartbeat
from pipeline.worker.heartbeat import FILE_NAME, Heartbeat, InboxBeat, liveness, read

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
BEAT = Heartbeat(
    pid=42,
    started_at=NOW - timedelta(hours=1),
    at=NOW,
    state="watching",
    health="degraded",
    reasons=("inbox is polled",),
    inboxes=(InboxBeat(os.fsdecode(b"/in\xff"), "polling", "degraded", "no events", 3),),
    engine="openvino",
    model="cats_dogs",
    rate_per_second=12.5,
    waiting=3,
    last_filed_at=NOW,
    last_file="a\nb.jpg",
    disk_free_bytes=10,
    next_report_at=NOW + timedelta(days=1),
)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    BEAT.write(path)
    assert heartbeat.read(path) == BEAT
    assert json.loads(path.read_text())["schema_version"] == 1


def test_a_reader_never_sees_half_a_heartbeat(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    BEAT.write(path)
    with path.open() as reader:
        replace(BEAT, pid=43).write(path)
        assert json.load(reader)["pid"] == 42
    assert [entry.name for entry in tmp_path.iterdir()] == ["heartbeat.json"]


@pytest.mark.fault(93)
def test_a_heartbeat_of_the_future_does_not_hide_the_present_one(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    later = replace(BEAT, at=NOW + timedelta(days=30), state="paused")
    later.write(heartbeat._elsewhere(path))  # before the clock was set back, while the disk was full
    try:
        assert heartbeat.read(path, NOW) == later
        BEAT.write(path)
        assert heartbeat.read(path, NOW) == BEAT
        assert heartbeat.read(path, NOW + timedelta(days=31)) == later
    finally:
        heartbeat._elsewhere(path).unlink()


@pytest.mark.parametrize("text", ["", "{", "5", "[]", '{"schema_version": 99}', '{"schema_version": 1}'])
def test_an_unknown_format_gives_no_heartbeat(tmp_path: Path, text: str) -> None:
    path = tmp_path / "heartbeat.json"
    path.write_text(text)
    assert heartbeat.read(path) is None


def test_what_the_worker_of_a_later_version_adds_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    values = BEAT.as_dict() | {"added": 1}
    values["inboxes"] = [inbox | {"added": 1} for inbox in values["inboxes"]]
    path.write_text(json.dumps(values))
    assert heartbeat.read(path) == BEAT


def test_a_missing_file_gives_no_heartbeat(tmp_path: Path) -> None:
    assert heartbeat.read(tmp_path / "heartbeat.json") is None


@pytest.mark.parametrize(
    ("beat", "lock_held", "expected"),
    [
        (BEAT, True, "running"),
        (replace(BEAT, at=NOW - timedelta(seconds=5)), True, "running"),
        (replace(BEAT, at=NOW - timedelta(seconds=6)), True, "stalled"),
        (replace(BEAT, at=NOW + timedelta(hours=1)), True, "stalled"),
        (None, True, "starting"),
        (replace(BEAT, state="stopped"), True, "starting"),
        (BEAT, False, "died"),
        (replace(BEAT, state="stopped"), False, "stopped"),
        (None, False, "stopped"),
    ],
)
def test_liveness_is_told_by_the_lock_first(beat: Heartbeat | None, lock_held: bool, expected: str) -> None:
    assert liveness(beat, NOW, lock_held) == expected


@pytest.mark.fault(65, 74)
def test_a_read_only_state_folder_does_not_stop_the_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    state = tmp_path / "state"
    state.mkdir()
    old, new = (replace(BEAT, at=BEAT.at + timedelta(seconds=n)) for n in (0, 1))
    old.write(state / FILE_NAME)
    with monkeypatch.context() as patch:
        honest = Path.write_text

        def full(self: Path, *args: Any, **options: Any) -> int:
            if self.parent == state:
                raise OSError(errno.ENOSPC, "No space left on device")
            return honest(self, *args, **options)

        patch.setattr(Path, "write_text", full)
        new.write(state / FILE_NAME)
    assert read(state / FILE_NAME) == new
    newest = replace(BEAT, at=BEAT.at + timedelta(seconds=2))
    newest.write(state / FILE_NAME)
    assert read(state / FILE_NAME) == newest, "the trouble is over"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")
def test_a_heartbeat_file_of_another_user_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "state").mkdir()
    elsewhere = heartbeat._elsewhere(tmp_path / "state" / FILE_NAME)
    BEAT.write(elsewhere)
    assert read(tmp_path / "state" / FILE_NAME) == BEAT
    os.chown(elsewhere, 65534, 65534)
    assert read(tmp_path / "state" / FILE_NAME) is None


def test_a_link_of_another_user_at_its_place_is_neither_followed_nor_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "state").write_text("a file, so that it takes no beat")
    path = tmp_path / "state" / FILE_NAME
    plain, victim = heartbeat._elsewhere(path), tmp_path / "victim"
    victim.write_text("precious")
    plain.symlink_to(victim)
    honest = Path.replace

    def sticky(self: Path, target: Path) -> Path:
        if Path(target) == plain:
            raise PermissionError(errno.EPERM, "Operation not permitted", os.fspath(target))
        return honest(self, target)

    monkeypatch.setattr(Path, "replace", sticky)
    BEAT.write(path)
    newer = replace(BEAT, at=BEAT.at + timedelta(seconds=1))
    newer.write(path)
    (tmp_path / "state").unlink()
    (tmp_path / "state").mkdir()
    assert victim.read_text() == "precious" and plain.is_symlink()
    assert read(path) == newer
