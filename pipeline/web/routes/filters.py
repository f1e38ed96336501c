"""The filters of Browse: parsed from a URL and written into one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from db.queries.browse import Choice
from db.queries.search.folder_search import WantedFolder, wanted_folder
from db.schema.file_names import unescape
from pipeline.reports.calendar_days import bounds, start_of
from pipeline.settings.config import Settings


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters as the visitor typed them; empty means no filter."""

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
    folder: str = ""
    taken_first: str = ""
    taken_last: str = ""
    worker: str = ""

    def url(self, to: str = "/browse", **changes: Any) -> str:
        """Return the URL of this view, or of another page with these filters; with changes."""
        new = replace(self, **{name: value for name, value in changes.items() if name != "after"})
        values = {name: getattr(new, name) for name in NAMES} | {"after": changes.get("after")}
        query = urlencode({name: value for name, value in values.items() if value not in ("", None)})
        return f"{to}?{query}" if query else to

    @property
    def any(self) -> bool:
        """Whether any filter is set."""
        return self != Filters()

    @property
    def hidden(self) -> int:
        """Number of filters that are set in the folded part of the form."""
        shown = (self.name, self.outcome, self.folder, self.first, self.last)
        return sum(map(bool, (getattr(self, name) for name in NAMES))) - sum(map(bool, shown))


NAMES = tuple(Filters.__dataclass_fields__)


def filters_of(query: Mapping[str, str]) -> Filters:
    """Parse filters from a query string; each at most 200 characters."""
    return Filters(**{name: query.get(name, "").strip()[:200] for name in NAMES})


def choice_of(filters: Filters, settings: Settings) -> tuple[Choice, list[str]]:
    """Return the query for the filters, and a message for each invalid one, which is ignored."""
    wrong: list[str] = []
    zone = settings.report.zone
    taken_first, taken_last = _day(filters.taken_first, wrong), _day(filters.taken_last, wrong)
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
        folder=folder_of(settings, filters.folder) if filters.folder else None,
        taken_since=datetime.combine(taken_first, time()) if taken_first else None,
        worker=filters.worker or None,
        taken_until=datetime.combine(taken_last + timedelta(days=1), time()) if taken_last else None,
    )
    return choice, wrong


def folder_of(settings: Settings, text: str) -> WantedFolder:
    """Return the folder that a visitor means; a relative one may be of an inbox or of `sorted`."""
    return wanted_folder(_path(text), settings.base, settings.inboxes, settings.sorted)


def _path(text: str) -> str:
    """Return the path whose escaped form is `text`; `text` itself if it is not an escaped form."""
    try:
        return os.fsdecode(unescape(text))
    except ValueError:
        return text


def _day(text: str, wrong: list[str]) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        # The days before and after it must exist too.
        if not 1 < day.year < 9999:
            raise ValueError
    except ValueError:
        wrong.append(f"{text} is not a date; use the form 2026-11-21.")
        return None
    return day


def _share(text: str, wrong: list[str]) -> float | None:
    """Parse a confidence in percent as a share, 0 to 1."""
    if not text:
        return None
    try:
        share = float(text.replace(",", ".").removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        wrong.append(f"{text} is not a confidence; use a number from 0 to 100.")
        return None
    return share
