"""Draw the page of a day: one HTML file without scripts, for a browser and for a mail.

Mail programs drop style sheets, SVG and scripts, and some of them pictures in the page too. So styles are
attributes, the charts are tables with coloured cells, and each picture has its name beside it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from db.queries.listing import WAITING
from pipeline.decision import FAILED, UNCERTAIN
from pipeline.logs import printable
from pipeline.office.day_figures import DayFigures
from pipeline.reasons import because, brief
from pipeline.reports.calendar_days import bounds

MOST_BYTES = 40_000
"""Largest picture in a page; one that is larger is left out."""

_KNOWN = {
    "cats": "#a3461d", "dogs": "#17658a", UNCERTAIN: "#6d4fa3", FAILED: "#ad2a1c", WAITING: "#8a8177",
    "undone": "#b5aca1", "removed": "#cfc7bc",
}  # fmt: skip
_MEASURES = {
    "uncertain": "Share of uncertain photos",
    "confidence": "Mean confidence",
    "classes": "Share predicted as",
    "failed": "Share of files that failed",
    "brightness": "Mean brightness",
    "size": "Usual size",
}
_OTHERS = ("#2f7d4f", "#a17c12", "#4a6f8a", "#8a4a6f", "#5c6b2e")


def page_of(figures: DayFigures, jpegs: Mapping[int, bytes], now: datetime, zone: ZoneInfo) -> str:
    """Return the page; `jpegs` are pictures of the doubtful photos by id, `now` is the time of the report."""
    outcomes = _outcomes(figures)
    pictures = {id: _address(jpeg) for id, jpeg in jpegs.items() if len(jpeg) <= MOST_BYTES}
    return _environment.get_template("report.html").render(
        figures=figures,
        pictures=pictures,
        outcomes=outcomes,
        colours=_colours(outcomes),
        measures=_MEASURES,
        is_over=bounds(figures.day, zone)[1] <= now,
        written=f"{now.astimezone(zone):%Y-%m-%d %H:%M}",
        zone=zone.key,
        top=max((sum(counts.values()) for _, counts in figures.days), default=0),
    )


def _outcomes(figures: DayFigures) -> list[str]:
    """Return the outcomes that have images, in the order of the summaries, the newest first."""
    days = [figures.outcomes, *(counts for _, counts in reversed(figures.days))]
    names = [name for counts in days for name in counts]
    with_images = {name for counts in days for name, images in counts.items() if images}
    return [name for name in dict.fromkeys(names) if name in with_images]


def _colours(outcomes: Sequence[str]) -> dict[str, str]:
    others = [name for name in outcomes if name not in _KNOWN]
    return _KNOWN | {name: _OTHERS[number % len(_OTHERS)] for number, name in enumerate(others)}


def _address(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _percent(share: float | None) -> str:
    """Format a share; as on the pages, only exactly 1 and 0 become `100 %` and `0 %`."""
    if share is None:
        return "–"
    rounded = round(100 * share, 1)
    return f"{min(99.9, max(0.1, rounded)) if 0 < share < 1 else rounded:g} %"


def _day(day: date) -> str:
    return f"{day:%a %-d %b}"


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(percent=_percent, shown=printable, brief=brief, because=because, day=_day)
