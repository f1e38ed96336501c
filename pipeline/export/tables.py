"""Rows of `results` as the pieces of a CSV file, with the columns and cells that `query` prints."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from db.queries.listing import RESULT_COLUMNS
from pipeline.decision import SHOWN_COLUMNS
from pipeline.reports.csv_cells import cell

COLUMNS = (*RESULT_COLUMNS, *SHOWN_COLUMNS)
"""The columns of rows that `with_shown` completes."""

BOM = "\ufeff"
"""Without it, spreadsheets read UTF-8 as another encoding."""

_LINES = 500


def csv_pieces(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = COLUMNS, start: str = ""
) -> Iterator[bytes]:
    """Yield a CSV file of `rows` in UTF-8, with a header and cells as in the reports, after `start`."""
    text = io.StringIO()
    text.write(start)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for number, row in enumerate(rows, 1):
        writer.writerow([cell(row[column]) for column in columns])
        if number % _LINES == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()
