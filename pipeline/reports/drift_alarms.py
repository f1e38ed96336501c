"""The present alarms of drift: `state/drift.json`, which `status`, the pages and the metrics read.

Light to import: without pandas.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.files.replace_file import replace_file
from pipeline.reports.drift import Finding, alarms
from pipeline.reports.drift_words import sentence

logger = logging.getLogger(__name__)

FILE_NAME = "drift.json"  # in the state folder
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """A figure that is out of line since a day: `before` it was usual, `now` is the mean over `photos`.

    `measure` is one of `drift.RULES`; `label` is the class, of a figure of the classes.
    """

    measure: str
    label: str | None
    since: date
    before: float
    now: float
    photos: int
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"since": self.since.isoformat()}


@dataclass(frozen=True, slots=True)
class DriftState:
    """The alarms after the last `day` that was compared."""

    day: date
    alarms: tuple[DriftAlarm, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"day": self.day.isoformat(), "alarms": [alarm.as_dict() for alarm in self.alarms]}


def state_of(day: date, found: Sequence[Finding]) -> DriftState:
    """Return the state after `day`, whose findings these are."""
    return DriftState(day, tuple(_alarm(finding) for finding in alarms(found)))


def _alarm(finding: Finding) -> DriftAlarm:
    assert finding.since and finding.before is not None and finding.now is not None
    before, now = round(finding.before, 6), round(finding.now, 6)
    return DriftAlarm(
        finding.measure, finding.label, finding.since, before, now, finding.shifted, sentence(finding)
    )


def read(state: Path) -> DriftState | None:
    """Return the alarms in the state folder; None if no day was compared, or by another version."""
    path = state / FILE_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"expected schema_version {SCHEMA_VERSION}")
        found = tuple(
            DriftAlarm(**each | {"since": date.fromisoformat(each["since"])}) for each in values["alarms"]
        )
        return DriftState(date.fromisoformat(values["day"]), found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning("%s: cannot be read: %r; the next nightly report writes it again", path, error)
        return None


def update(state: Path, new: DriftState) -> None:
    """Write the alarms of a day into the state folder, and log each that began or ended. Raises OSError.

    Alarms of an older day than the file's change nothing.
    """
    old = read(state)
    if old and old.day > new.day:
        return
    text = json.dumps({"schema_version": SCHEMA_VERSION, **new.as_dict()}, indent=2) + "\n"
    replace_file(state / FILE_NAME, [text.encode()])
    before = {alarm.measure for alarm in old.alarms} if old else set()
    after = {alarm.measure for alarm in new.alarms}
    for alarm in new.alarms:
        if alarm.measure not in before:
            logger.warning("drift: %s", alarm.sentence)
    for measure in sorted(before - after):
        logger.info("drift: %s is in line again, or the new level is usual by now", measure)
