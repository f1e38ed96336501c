"""Format numbers, times, sizes and file names for people."""

from __future__ import annotations

import re
from datetime import datetime

import markupsafe
from markupsafe import Markup

from db.schema.file_names import escape
from pipeline.logs import printable


def percent(share: float | None) -> str:
    """Write 0.9876 as `98.8 %`; never `100 %` for less than all, nor `0 %` for more than nothing."""
    if share is None:
        return "–"
    share = round(share, 12)  # bounds of intervals are sums that miss 0 and 1 by their rounding
    rounded = round(100 * share, 1)
    if 0 < share < 1:
        rounded = min(99.9, max(0.1, rounded))
    return f"{rounded:g} %"


def moment(at: datetime | None) -> Markup | str:
    """Write a time in UTC; a script shows it in the visitor's own zone."""
    if at is None:
        return "–"
    return Markup('<time datetime="{}">{} UTC</time>').format(at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S}")


def named(name: bytes) -> str:
    """Write a file's name, which is bytes of any kind, so that it breaks no line and turns no writing."""
    return printable(escape(name))


def size(count: int | None) -> str:
    """Write bytes in the unit that suits them, in powers of ten."""
    if count is None:
        return "–"
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def with_code(text: str) -> Markup:
    """Return a message as markup, with what stands in backticks as code."""
    parts = re.split(r"`([^`]+)`", text)
    made = (
        Markup("<code>{}</code>").format(part) if n % 2 else markupsafe.escape(part)
        for n, part in enumerate(parts)
    )
    return Markup("").join(made)
