"""Rows on stdout: a table for people, CSV and JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pipeline.logs import printable
from pipeline.reports.csv_cells import neutral, quoted, visible

Row = Mapping[str, Any]


@contextmanager
def until_the_reader_leaves() -> Iterator[None]:
    """Print for somebody like `head`, who may have read enough before the end; that is no failure."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(value: Any) -> None:
    """Print any value made of plain ones; moments as ISO 8601."""
    json.dump(value, sys.stdout, indent=2, default=_plain)
    print()


def print_json_rows(rows: Iterable[Row]) -> None:
    """Print rows as one array, a row a line, without holding them all."""
    separator = "[\n"
    for row in rows:
        sys.stdout.write(separator + json.dumps(row, default=_plain))
        separator = ",\n"
    print("[]" if separator == "[\n" else "\n]")


def print_csv(rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Print rows as CSV with a header, cells as in the reports."""
    print(",".join(columns))
    for row in rows:
        print(",".join(_cell(row[column]) for column in columns))


def print_table(rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Print rows in columns as wide as what is in them; nothing is cut off or wrapped."""
    cells = [[_text(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in ([*columns], *cells):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return printable(str(value))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    return quoted(neutral(visible(json.dumps(value) if isinstance(value, dict) else _plain(value))))


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
    return str(value)
