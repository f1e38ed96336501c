"""Read a date from the name of a photo, as cameras, phones and messengers write it."""

from __future__ import annotations

import os
import re
from datetime import datetime

from models.images.taken_at import FIRST_YEAR, LAST_YEAR, Taken

_FIRST_OF_DIGITS = 1980
"""Eight digits in a row without a time may be any number; so they are a date only since there are files."""

# Lengths are bounded, and what may repeat never meets the same: a name cannot make the search slow.
_DATE = re.compile(
    r"(?<!\d)(?P<year>1[89]\d\d|20\d\d|2100)(?P<mark>[-_. ]?)(?P<month>[01]\d)(?P=mark)(?P<day>[0-3]\d)"
    r"(?:(?P<between>[-_ T.]{1,3}(?:at |um |kl\.? )?|(?=\d{6,9}(?!\d)))"
    r"(?P<hour>[0-2]?\d)(?P<colon>[-_.:h ]?)(?P<minute>[0-5]\d)(?P=colon)(?P<second>[0-5]\d)"
    r"(?:\d{3}(?!\d)|(?!\d))(?P<half>[ \u202f]?[AaPp][Mm](?![A-Za-z]))?)?",
    re.ASCII,
)


def read_name(name: bytes) -> Taken | None:
    """Return the date in a file's name, None if there is none: of IMG_20240131_101500.jpg 31 January 2024.

    A name without a time gives midnight. The first possible date counts; dates whose day may be a month, such
    as 01.02.2024, are none.
    """
    text = os.path.basename(name).decode("utf-8", "replace")
    for found in _DATE.finditer(text):
        if (moment := _moment(found)) is not None:
            return Taken(moment.isoformat(), "name")
    return None


def _moment(found: re.Match[str]) -> datetime | None:
    year = int(found["year"])
    has_time = found["hour"] is not None
    if not found["mark"] and not has_time and _goes_on(found):
        return None
    if not (FIRST_YEAR if found["mark"] else _FIRST_OF_DIGITS) <= year <= LAST_YEAR:
        return None
    try:
        day = datetime(year, int(found["month"]), int(found["day"]))
    except ValueError:
        return None
    return (_with_time(day, found) if has_time else None) or day


def _goes_on(found: re.Match[str]) -> bool:
    """Return whether a digit follows, so that eight digits are a part of a longer number."""
    return found.string[found.end() : found.end() + 1].isdigit()


def _with_time(day: datetime, found: re.Match[str]) -> datetime | None:
    hour = int(found["hour"])
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if "p" in found["half"].lower() else 0)
    elif len(found["hour"]) < 2:
        return None  # a single digit is a counter
    try:
        return day.replace(hour=hour, minute=int(found["minute"]), second=int(found["second"]))
    except ValueError:
        return None
