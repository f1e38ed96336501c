"""The filters of Browse: read out of an address, and written into one again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from db.queries.browse import Choice
from db.schema.file_names import unescape
from pipeline.reports.calendar_days import bounds, start_of


@dataclass(frozen=True, slots=True)
class Filters:
    """What is looked for, as the visitor wrote it; empty is no condition."""

    name: str = ""
    outcome: str = ""
    reason: str = ""
    inbox: str = ""
    first: str = ""
    last: str = ""
    low: str = ""
    high: str = ""
    model: str = ""
    corrected: str = ""

    def url(self, **changes: Any) -> str:
        """Return the address of this view, with changes."""
        new = replace(self, **{name: value for name, value in changes.items() if name != "after"})
        values = {name: getattr(new, name) for name in NAMES} | {"after": changes.get("after")}
        query = urlencode({name: value for name, value in values.items() if value not in ("", None)})
        return f"/browse?{query}" if query else "/browse"

    @property
    def any(self) -> bool:
        """Whether anything is asked for at all."""
        return self != Filters()

    @property
    def hidden(self) -> int:
        """How many conditions stand behind the fold of the form."""
        return sum(map(bool, (self.inbox, self.low, self.high, self.model, self.corrected, self.reason)))


NAMES = tuple(Filters.__dataclass_fields__)


def filters_of(query: Mapping[str, str]) -> Filters:
    """Read filters out of an address; each at most 200 characters."""
    return Filters(**{name: query.get(name, "").strip()[:200] for name in NAMES})


def choice_of(filters: Filters, zone: ZoneInfo) -> tuple[Choice, list[str]]:
    """Return what the filters mean, and a line for each that means nothing, which is left out."""
    wrong: list[str] = []
    first, last = _day(filters.first, wrong), _day(filters.last, wrong)
    low, high = _share(filters.low, wrong), _share(filters.high, wrong)
    if low is not None and high is not None and low > high:
        low, high = high, low
    corrected = {"yes": True, "no": False}.get(filters.corrected)
    choice = Choice(
        outcome=filters.outcome or None,
        reason=filters.reason or None,
        inbox=_path(filters.inbox) if filters.inbox else None,
        since=start_of(first, zone) if first else None,
        until=bounds(last, zone)[1] if last else None,
        min_confidence=low,
        max_confidence=high,
        name=filters.name or None,
        model=filters.model or None,
        corrected=corrected,
    )
    return choice, wrong


def _path(text: str) -> str:
    """Return the path whose readable form is `text`; what is no such form is a path itself."""
    try:
        return os.fsdecode(unescape(text))
    except ValueError:
        return text


def _day(text: str, wrong: list[str]) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        # The days around it are asked for too.
        if not 1 < day.year < 9999:
            raise ValueError
    except ValueError:
        wrong.append(f"{text} is no day; write it as 2026-11-21.")
        return None
    return day


def _share(text: str, wrong: list[str]) -> float | None:
    """Read a confidence in percent as a share, 0 to 1."""
    if not text:
        return None
    try:
        share = float(text.replace(",", ".").removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        wrong.append(f"{text} is no confidence; write a number from 0 to 100.")
        return None
    return share
