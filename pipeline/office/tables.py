"""Read the CSV files of the reports as typed rows, for spreadsheets.

Texts are restored: `csv_cells.neutral` had put apostrophes before formulas. Times become local ones of
`report.timezone` without a zone, because a spreadsheet knows none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

import pandas as pd

from db.queries import listing
from pipeline.office.excel_values import camera_time
from pipeline.reports import drift_report, summary
from pipeline.reports.csv_cells import restored

Kind: TypeAlias = Literal["text", "integer", "real", "boolean", "moment", "taken", "date"]
"""Of a column: `moment` is a time in UTC, `taken` of a camera's clock, or a text, `date` a day or a text."""

CHUNK_ROWS = 5_000

_OF_DTYPES: dict[str, Kind] = {"str": "text", "Int64": "integer", "float64": "real", "bool": "boolean"}
_OF_RESULTS: dict[str, Kind] = {
    "time": "moment", "real": "real", "integer": "integer", "json": "text", "text": "text",
}  # fmt: skip


def kinds_of(columns: Sequence[str]) -> dict[str, Kind]:
    """Return the kind of each of these columns of a report; an unknown one is text."""
    known: dict[str, Kind] = {name: _OF_RESULTS[kind] for name, kind in listing.result_kinds().items()}
    for dtypes in (summary.COLUMNS, drift_report.COLUMNS):
        known |= {name: _OF_DTYPES[dtype] for name, dtype in dtypes.items()}
    known |= {"day": "date", "since": "date", "taken_at": "taken"}
    return {name: known.get(name, "text") for name in columns}


def header_of(path: Path) -> list[str]:
    """Return the names of the columns of a CSV file. Raises OSError, ValueError for no CSV."""
    return [str(name) for name in pd.read_csv(path, nrows=0).columns]


def rows_of(path: Path, zone: ZoneInfo) -> Iterator[list[list[Any]]]:
    """Yield the rows of a report in lists of up to CHUNK_ROWS.

    A row has a value for each column: str, int, float, bool, a datetime without a zone, a date, or None.
    Raises OSError, and ValueError for a file that is no report.
    """
    parts = pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=CHUNK_ROWS)
    with parts:
        for part in parts:
            kinds = kinds_of(list(part.columns))
            columns = [_READ[kind](part[name], zone) for name, kind in kinds.items()]
            yield [list(row) for row in zip(*columns, strict=True)]


def dicts_of(path: Path, zone: ZoneInfo) -> Iterator[dict[str, Any]]:
    """Yield each row of a report as a dict. Raises as `rows_of`."""
    columns = header_of(path)
    for rows in rows_of(path, zone):
        yield from (dict(zip(columns, row, strict=True)) for row in rows)


def _moments(column: pd.Series, zone: ZoneInfo) -> list[datetime | None]:
    times = pd.to_datetime(column.where(column != "", None), format="ISO8601", utc=True)
    local = times.dt.tz_convert(zone).dt.tz_localize(None)
    return [None if pd.isna(at) else at.to_pydatetime(warn=False) for at in local]


def _each(convert: Callable[[str], Any]) -> Callable[[pd.Series, ZoneInfo], list[Any]]:
    return lambda column, _: [convert(text) if text else None for text in column]


def _day(text: str) -> date | str:
    try:
        return date.fromisoformat(text) if len(text) == len("YYYY-MM-DD") else text
    except ValueError:
        return text


_READ: Mapping[Kind, Callable[[pd.Series, ZoneInfo], list[Any]]] = {
    "text": _each(restored),
    "integer": _each(int),
    "real": _each(float),
    "boolean": _each(lambda text: text == "true"),
    "moment": _moments,
    "taken": _each(lambda text: camera_time(restored(text))),
    "date": _each(_day),
}
