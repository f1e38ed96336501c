"""Convert values to safe cells of a CSV file that a spreadsheet may open; for reports, `query`, `export`."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from pipeline.control_characters import ESCAPED

_DANGEROUS = re.compile(r"(\A|;)(?=[\"']*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")
_NEUTRAL = re.compile(_DANGEROUS.pattern.replace("(?=", "'(?=", 1))


def visible(text: str) -> str:
    r"""Write each byte of a control character as `\xNN`, as `file_names` does for invalid UTF-8."""
    return ESCAPED.sub(_bytes, text)


def _bytes(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogatepass"))


def neutral(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula.

    That is a text, or a part behind `;`, which separates cells in many countries, that begins with `=`, `+`,
    `-`, `@`, one of these in full width (U+FF1D ...), which Japanese and Chinese spreadsheets treat alike,
    tab, return or line feed, perhaps behind quotes and apostrophes. Removing one apostrophe from each such
    part restores the text.
    """
    return _DANGEROUS.sub(r"\1'", text)


def restored(cell: str) -> str:
    """Return the text whose `neutral` form is `cell`."""
    return _NEUTRAL.sub(r"\1", cell)


def cell(value: Any) -> str:
    """Return the cell for a value of `results`: "" for None, JSON for dicts and lists, times as ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    return neutral(visible(json.dumps(value) if isinstance(value, dict | list) else plain(value)))


def plain(value: Any) -> str:
    """Return a value as text, a time in UTC as ISO 8601."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
    return str(value)
