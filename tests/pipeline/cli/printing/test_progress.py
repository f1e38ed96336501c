"""What a training without a terminal writes into the log."""

from __future__ import annotations

import logging

import pytest

from models.progress import Progress
from pipeline.cli.printing.progress import ProgressLog


def test_a_long_stage_is_logged_once_a_minute_and_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    show = ProgressLog(lambda: now)
    for done in range(1, 301):
        now += 0.5
        show(Progress("features", done, 300, (300 - done) / 2))
    assert [record.getMessage() for record in caplog.records] == [
        "features: 120 of 300, 2 min left",
        "features: 240 of 300, 1 min left",
        "features: 300 of 300",
    ]


def test_each_epoch_is_logged_with_its_figures(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ProgressLog(lambda: 0.0)(Progress("training", 5, 10, 90.0, {"accuracy": 0.5}))
    assert caplog.messages == ["training: 5 of 10, 2 min left, accuracy 0.5000"]
