"""Types of path and query parameters with their ranges; a value out of range is answered 422.

Routes use these instead of `int`, `float`, `datetime` and `str`; a test checks that.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, Field

from pipeline.ranges import LARGEST_INTEGER, to_utc

MOST_ROWS = 1000


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL characters are not accepted")
    return text


Id = Annotated[int, Path(ge=1, le=LARGEST_INTEGER, description="`id` of the file's row.")]
After = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
"""The id after which a list continues."""

Number = Annotated[int, Path(ge=0, le=999_999)]
"""A position in a list."""

Rows = Annotated[int, Field(ge=1, le=MOST_ROWS)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Moment = Annotated[datetime, AfterValidator(to_utc)]
Text = Annotated[str, Field(max_length=4096), AfterValidator(_storable)]
