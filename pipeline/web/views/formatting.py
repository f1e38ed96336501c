"""Format numbers, times, sizes and file names for people."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import markupsafe
from markupsafe import Markup

from db.schema.file_names import escape
from pipeline.logs import printable


def percent(share: float | None) -> str:
    """Format 0.9876 as `98.8 %`; only exactly 1 and 0 become `100 %` and `0 %`."""
    if share is None:
        return "–"
    share = round(share, 12)  # bounds of intervals miss 0 and 1 by rounding errors
    rounded = round(100 * share, 1)
    if 0 < share < 1:
        rounded = min(99.9, max(0.1, rounded))
    return f"{rounded:g} %"


def moment(at: datetime | None) -> Markup | str:
    """Format a time in UTC; a script shows it in the visitor's time zone."""
    if at is None:
        return "–"
    return Markup('<time datetime="{}">{} UTC</time>').format(at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S}")


def moment_of(text: str) -> Markup | str:
    """Format a time in ISO 8601; any other text is returned as it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return printable(text)
    return moment(at.astimezone(UTC) if at.tzinfo else at)


def time_left(seconds: float) -> str:
    """Format how long a task still takes, in words."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute left"
    return "about a minute left" if minutes == 1 else f"about {minutes:,} minutes left"


def stage(name: str | None) -> str:
    """Return what is done in a stage of learning."""
    return {"photos": "Looking at the photos", "fitting": "Fitting the last layer"}.get(
        name or "", (name or "Learning").capitalize()
    )


def named(name: bytes) -> str:
    """Format a file name (any bytes) without line breaks, control and direction characters."""
    return printable(escape(name))


def size(count: int | None) -> str:
    """Format a number of bytes with a decimal unit."""
    if count is None:
        return "–"
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def with_code(text: str) -> Markup:
    """Return a message as markup; text in backticks becomes code."""
    parts = re.split(r"`([^`]+)`", text)
    made = (
        Markup("<code>{}</code>").format(part) if n % 2 else markupsafe.escape(part)
        for n, part in enumerate(parts)
    )
    return Markup("").join(made)
