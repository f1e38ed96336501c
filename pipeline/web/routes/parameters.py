"""Types of path and query parameters with their ranges; a value out of range is answered 422.

Routes use these instead of `int`, `float`, `datetime` and `str`; a test checks that.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.settings.ranges import LARGEST_INTEGER, to_utc

MOST_ROWS = 1000


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL characters are not accepted")
    return text


def _by_camera(moment: datetime) -> datetime:
    if moment.tzinfo is not None:
        raise ValueError("a time by the camera's clock has no offset")
    return moment


def _written_as(form: str, expected: str) -> BeforeValidator:
    """Return a check of the form of a text; pydantic accepts more: `1_0`, `1.0`, or seconds as a time."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and not re.match(form, value, re.ASCII):
            raise ValueError(f"expected {expected}")
        return value

    return BeforeValidator(check)


_Integer = Annotated[int, _written_as(r"[+-]?\d+\Z", "an integer")]

Id = Annotated[_Integer, Path(ge=1, le=LARGEST_INTEGER, description="`id` of the file's row.")]
After = Annotated[_Integer, Field(ge=0, le=LARGEST_INTEGER)]
"""The id after which a list continues."""

RowNumber = Annotated[_Integer, Field(ge=1, le=LARGEST_INTEGER)]
"""The number of a row in a form."""

Number = Annotated[_Integer, Path(ge=0, le=999_999)]
"""A position in a list."""

Whole = Annotated[_Integer, Field(ge=0, le=999_999)]
"""A number of a list in a query or a form."""

Rows = Annotated[_Integer, Field(ge=1, le=MOST_ROWS)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _written_as(r"[^_]*\Z", "a number")]
Moment = Annotated[
    datetime, _written_as(r"\d{4}-\d\d-\d\d", "a time, such as 2026-11-21T08:00Z"), AfterValidator(to_utc)
]
CameraTime = Annotated[
    datetime, _written_as(r"\d{4}-\d\d-\d\d", "a time, such as 2024-01-31T10:15"), AfterValidator(_by_camera)
]
"""A time by a camera's clock: naive."""

Text = Annotated[str, Field(max_length=4096), AfterValidator(_storable)]
