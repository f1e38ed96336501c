"""Convert values to those that a cell of a spreadsheet can have, without a library for spreadsheets."""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime, tzinfo
from typing import Any

from pipeline.reports.csv_cells import visible

LONGEST_TEXT = 32_767
"""Characters of a cell; Excel's own limit."""

_EXACT = 2**53
"""Larger integers are no exact numbers in a spreadsheet, so they are text."""

_FIRST_YEAR = 1900
"""A spreadsheet has no earlier dates."""

_TAKEN = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
_NO_XML = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
_LOOKS_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


def excel_value(value: Any, zone: tzinfo) -> str | int | float | date | None:
    """Return a value as a spreadsheet can have it: what it has no number or date for is text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return excel_text(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(zone).replace(tzinfo=None)
    if isinstance(value, date):
        return value if value.year >= _FIRST_YEAR else value.isoformat()
    if isinstance(value, int) and abs(value) <= _EXACT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return excel_text(json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value))


def excel_text(text: str) -> str:
    """Return a text as a workbook can have it, cut where it is too long.

    Control characters are made visible, what XML forbids is replaced, and Excel's escapes are escaped: it
    reads `_x0041_` as A (ECMA-376, part 1, section 22.9.2.19).
    """
    written = text if text.isprintable() else _NO_XML.sub("\ufffd", visible(text))
    return _LOOKS_ESCAPED.sub("_x005F_", written[:LONGEST_TEXT])


def camera_time(value: Any) -> Any:
    """Return the camera's time that a text such as 2024-01-31T10:15:00+09:00 says, or the value itself."""
    if not isinstance(value, str) or not _TAKEN.match(value):
        return value
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None)
    except ValueError:
        return value
