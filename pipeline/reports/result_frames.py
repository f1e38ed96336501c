"""Rows of the view `results` as typed columns, which `csv_files` and `SummaryBuilder` expect."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from db.queries import listing
from pipeline.decision import shown


def frame_of(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = listing.RESULT_COLUMNS
) -> pd.DataFrame:
    """Return these columns of the rows, in their order; JSON is text."""
    kinds = listing.result_kinds()
    return pd.DataFrame({name: _series([row[name] for row in rows], kinds[name]) for name in columns})


def with_shown(frame: pd.DataFrame, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the frame of the rows with `shown_probability`: that of the word by which each is shown."""
    found = [shown(row["prediction"], row["confidence"], row["scores"]).probability for row in rows]
    return frame.assign(shown_probability=pd.Series(found, dtype="float64"))


def _series(cells: list[Any], kind: listing.ColumnKind) -> pd.Series:
    if kind == "json":
        cells = [None if cell is None else json.dumps(cell) for cell in cells]
    return pd.Series(cells, dtype=_DTYPES[kind])


_DTYPES: dict[listing.ColumnKind, str] = {
    "time": "datetime64[us, UTC]",
    "real": "float64",
    "integer": "Int64",
    "json": "str",
    "text": "str",
}
