from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.worker.in_flight import LONG_WAL_BYTES
from tests.support.installation import SMALL, Installation


@pytest.mark.fault(81)
def test_what_hampers_is_degraded_and_what_stops_is_red(tmp_path: Path) -> None:
    pawsort = Installation(tmp_path, SMALL)
    health = pawsort.worker().in_flight.health
    assert health(None, None, 0) == ("ok", ())
    state, [why] = health(None, None, LONG_WAL_BYTES + 1)
    assert (state, "256 MB" in why) == ("degraded", True)
    assert health(None, None, 0, "model pets@2 is not used") == ("degraded", ("model pets@2 is not used",))
    state, [why] = health(None, "no space", 0)
    assert (state, why) == ("degraded", "reports: no space")
    assert health("disk full", None, LONG_WAL_BYTES + 1)[0] == "red"
    pawsort.close()
