"""Format figures and names for pages and cards."""

from __future__ import annotations

import unicodedata

from models.evaluation.metrics.intervals import Share


def percent(value: float | None, digits: int = 1) -> str:
    """Format a share; 99.96% does not become 100.0%."""
    if value is None:
        return "–"
    text = f"{100 * value:.{digits}f}"
    # Bounds of intervals are sums that miss 1 by their rounding.
    if text == f"{100:.{digits}f}" and value < 1 - 1e-6:
        return percent(value, digits + 1)
    return f"{text}%"


def number(value: float | None, digits: int = 4) -> str:
    """Format a figure as a number; a threshold of 0.99998 does not become 1.0000."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return number(value, digits + 1) if float(text) == 1 and value < 1 - 1e-9 else text


def range_(share: Share, plain: bool = False) -> str:
    """Format a 95% interval."""
    low, high = (number(v) if plain else percent(v) for v in (share.low, share.high))
    return f"{low} to {high}"


def visible(text: str) -> str:
    """Escape invisible characters, and those that change the writing direction."""
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in hidden else c for c in text
    )
