"""CSV with exact text for programs and spreadsheets.

pandas writes the CSV. Cells are converted to safe text first: without control characters, so that no version
of Python's csv module can break a record (gh-67044: a lone carriage return was left unquoted), and without
formulas. So the bytes do not depend on versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from pipeline.reports.csv_cells import neutral, visible

DECIMALS = 6
_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"

_PIECE = 1 << 20


def header(frame: pd.DataFrame) -> bytes:
    """Return the header line for files that consist of parts such as `frame`."""
    return _csv(frame.head(0), header=True)


def body(frame: pd.DataFrame) -> bytes:
    """Return a line for each row of `frame`, in UTF-8 with LF; missing values are empty cells.

    By its dtype a column contains numbers (floats with six decimals), booleans (true, false), times (aware,
    written as ISO 8601 in UTC with Z) or text (control characters escaped, formulas neutralised). Raises
    TypeError for any other.
    """
    return _csv(frame.apply(_cells), header=False)


def _csv(frame: pd.DataFrame, header: bool) -> bytes:
    text = frame.to_csv(
        index=False, header=header, lineterminator="\n", float_format=f"%.{DECIMALS}f", date_format=_MOMENT
    )
    return text.encode("utf-8")


def _cells(column: pd.Series) -> pd.Series:
    kind, cells = column.dtype, column
    if isinstance(kind, pd.DatetimeTZDtype):
        cells = column.dt.tz_convert("UTC")
    elif pd.api.types.is_bool_dtype(kind):
        cells = column.map({True: "true", False: "false"})
    elif pd.api.types.is_string_dtype(kind):
        cells = column.map(lambda text: neutral(visible(text)), na_action="ignore")
    elif not (pd.api.types.is_integer_dtype(kind) or pd.api.types.is_float_dtype(kind)):
        raise TypeError(f"expected numbers, booleans, times or text in column {column.name}, received {kind}")
    return cells


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield the content of the file at `path`, a megabyte at a time. Raises OSError."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
