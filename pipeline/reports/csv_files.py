"""CSV that programs and spreadsheets can trust: exact text, replaced at once.

Text is joined here and not by `DataFrame.to_csv`, because the csv module under it leaves a lone carriage
return without quotes in Python before 3.11.9 and 3.12.3 (gh-67044): a file name with one would break its
record in two. So the bytes also depend on no version of anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.reports.csv_cells import neutral, quoted, visible

DECIMALS = 6

_PIECE = 1 << 20


def header(frame: pd.DataFrame) -> bytes:
    """Return the first line of the file of which `frame` is a part."""
    return _lines([",".join(frame.columns)])


def body(frame: pd.DataFrame) -> bytes:
    """Return a line for each row of `frame`, in UTF-8 with LF; missing values are empty cells.

    By its dtype a column holds numbers (floats with six decimals), booleans (true, false), moments (aware,
    written as ISO 8601 in UTC with Z) or text (control characters escaped, made neutral, and quoted where
    needed). Raises TypeError for any other.
    """
    columns = [_cells(frame[name]) for name in frame.columns]
    return _lines(",".join(cells) for cells in zip(*columns, strict=True))


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode("utf-8")


def _cells(column: pd.Series) -> list[str]:
    kind = column.dtype
    if isinstance(kind, pd.DatetimeTZDtype):
        return _moments(column)
    if pd.api.types.is_bool_dtype(kind):
        return _written(column, lambda value: "true" if value else "false")
    if pd.api.types.is_integer_dtype(kind):
        return _written(column, lambda value: str(int(value)))
    if pd.api.types.is_float_dtype(kind):
        return _written(column, lambda value: f"{value:.{DECIMALS}f}")
    if pd.api.types.is_string_dtype(kind):
        return _written(column, lambda value: quoted(neutral(visible(value))))
    raise TypeError(f"expected numbers, booleans, moments or text in column {column.name}, received {kind}")


def _written(column: pd.Series, write: Callable[..., str]) -> list[str]:
    return ["" if missing else write(value) for value, missing in zip(column, column.isna(), strict=True)]


def _moments(column: pd.Series) -> list[str]:
    values = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    texts = np.datetime_as_string(values, unit="us")
    return ["" if text == "NaT" else f"{text}Z" for text in texts]


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield the content of the file at `path`, a megabyte at a time. Raises OSError."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
