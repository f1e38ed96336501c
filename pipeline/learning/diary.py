"""When it was learnt: by the diary of the nightly schedule, `learning.json`, and by the versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.learning.versions import Family, learnt

FILE_NAME = "learning.json"  # in the folder of versions
_LONGEST = timedelta(days=30)  # a learning that took longer took none


@dataclass(frozen=True, slots=True)
class Diary:
    """When it was last time to learn, when something was learnt, and what went wrong; ISO 8601, UTC."""

    looked_at: str | None = None
    learnt_at: str | None = None
    problem: str | None = None


def last_learnt(known: Family, diary: Diary | None = None) -> datetime | None:
    """Return when the last learning began, at night or by hand; None if there was none.

    What people judged later is new, also what they judged while it ran. `diary` is read if it is not given.
    """
    found = [moment((diary or read(known.folder / FILE_NAME)).learnt_at)]
    found += [began_at(learnt(known.version(number))) for number in known.numbers()]
    return max(filter(None, found), default=None)


def began_at(content: Mapping[str, Any]) -> datetime | None:
    """Return when the learning of a version began, by its learnt.json: it notes the end, and its length."""
    ended, seconds = moment(content.get("at")), content.get("seconds")
    if ended is None or not isinstance(seconds, int | float) or not 0 <= seconds < _LONGEST.total_seconds():
        return ended
    return ended - timedelta(seconds=seconds)


def read(path: Path) -> Diary:
    """Read the diary; one that is missing or damaged is begun anew."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Diary(**{name: _text(content.get(name)) for name in Diary.__dataclass_fields__})
    except (OSError, ValueError, AttributeError):
        return Diary()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def moment(text: object) -> datetime | None:
    """Return an aware time, in UTC if the text names no offset; None if it is none."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
