from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.reports.schedule import ReportSchedule
from pipeline.worker.health import LONG_WAL_BYTES, health_of
from tests.support.world import World

AGENDA = ReportSchedule(time(0, 10), ZoneInfo("UTC"))


@pytest.mark.fault(81)
def test_what_hampers_is_degraded_and_what_stops_is_red(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.worker()
    assert health_of(worker, AGENDA, 0) == ("ok", ())
    health, [why] = health_of(worker, AGENDA, LONG_WAL_BYTES + 1)
    assert (health, "256 MB" in why) == ("degraded", True)
    health, [why] = health_of(worker, AGENDA.failed(datetime.now(UTC), "no space"), 0)
    assert (health, why) == ("degraded", "reports: no space")
    worker.trouble = "disk full"
    assert health_of(worker, AGENDA, LONG_WAL_BYTES + 1)[0] == "red"
    world.close()
