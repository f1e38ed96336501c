"""Measure what a dead notification server costs the worker: it accepts connections and never answers."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import photos
from benchmarks.apart import apart
from benchmarks.throughput import filing_rate
from pipeline.alerts.alerts import Alerts
from pipeline.alerts.channels import key_of
from pipeline.alerts.memory import Memory, Remembered
from pipeline.alerts.message import of_user
from pipeline.service import service

MESSAGES = 20
"""Messages that wait for the dead server from the start on."""


class _Timed(Alerts):
    """Notes how long the worker's thread is in its alerts, in seconds of the clock."""

    seconds = 0.0

    def follow(self, *arguments: Any) -> None:
        began = time.perf_counter()
        super().follow(*arguments)
        _Timed.seconds += time.perf_counter() - began


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return ratios of what a photo costs without alerts and with a dead server; 1 is no difference."""
    with _dead_server() as port:
        # Without, with, with, without: the machine may change meanwhile.
        ports = (None, port, port, None)
        runs = [_filed(folder / str(number), count, used) for number, used in enumerate(ports)]
    clock, cores, inside = ([run[at] for run in runs] for at in range(3))
    return {
        "worker without alerts, photos/s": round(2 / (clock[0] + clock[3]), 1),
        "worker with a dead notification server, photos/s": round(2 / (clock[1] + clock[2]), 1),
        "dead server / without alerts": _ratio(clock),
        "dead server / without alerts, core time": _ratio(cores),
        "time of the worker's thread in its alerts, share": round((inside[1] + inside[2]) / 2, 6),
        "without alerts, the last time / the first time": round(clock[0] / clock[3], 3),
    }


def _ratio(costs: list[float]) -> float:
    return round((costs[0] + costs[3]) / (costs[1] + costs[2]), 3)


def _filed(folder: Path, count: int, port: int | None) -> tuple[float, float, float]:
    """Return seconds of the clock and of core time for a photo, and the share of time in the alerts."""
    more = ""
    folder.mkdir()
    (folder / "state").mkdir(mode=0o700)
    if port:
        url = f"json://127.0.0.1:{port}/"
        more = f"notify: {json.dumps({'urls': [url], 'heartbeat_url': f'http://127.0.0.1:{port}/'})}"
        message = of_user("A message that is not taken.", datetime.now(UTC))
        Memory(folder / "state").write(Remembered(waiting=[(key_of(url), message)] * MESSAGES))
    rate, cores, inside = apart(timed_rate, folder, count, more)
    return 1 / rate, cores, inside


def timed_rate(folder: Path, count: int, more: str) -> tuple[float, float, float]:
    """Return photos a second, seconds of core time a photo, and the share of time in the alerts."""
    with mock.patch.object(service, "Alerts", _Timed):
        began = time.perf_counter()
        rate, cores = filing_rate(folder, count, photos.SMALL, "move", more)
        return rate, cores, _Timed.seconds / (time.perf_counter() - began)


@contextlib.contextmanager
def _dead_server() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1000)
        yield listening.getsockname()[1]
