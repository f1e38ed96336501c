from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline import heartbeat
from pipeline.heartbeat import Heartbeat, InboxBeat, liveness

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


@pytest.mark.parametrize("text", ["", "{", "5", "[]", '{"schema_version": 99}', '{"schema_version": 1}'])
def test_what_this_version_does_not_understand_is_no_heartbeat(tmp_path: Path, text: str) -> None:
    path = tmp_path / "heartbeat.json"
    path.write_text(text)
    assert heartbeat.read(path) is None


def test_no_file_is_no_heartbeat(tmp_path: Path) -> None:
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
