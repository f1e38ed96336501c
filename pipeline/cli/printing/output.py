"""Print rows on stdout: a table for people, CSV or JSON for programs."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pipeline.logs import printable
from pipeline.reports.csv_cells import cell, plain

Row = Mapping[str, Any]


@contextmanager
def until_reader_closes() -> Iterator[None]:
    """Allow a reader such as `head` to close the pipe before the end, without an error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Otherwise Python reports the closed pipe again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(value: Any) -> None:
    """Print a value as JSON; times as ISO 8601."""
    json.dump(value, sys.stdout, indent=2, default=plain)
    print()


def print_json_rows(rows: Iterable[Row]) -> None:
    """Print rows as one JSON array, one row a line, without loading all of them."""
    separator = "[\n"
    for row in rows:
        sys.stdout.write(separator + json.dumps(row, default=plain))
        separator = ",\n"
    print("[]" if separator == "[\n" else "\n]")


def print_rows(rows: Iterable[Row], format: str, columns: Sequence[str], of_table: Sequence[str]) -> None:
    """Print rows as `json`, as `csv` with `columns`, or as a `table` with the columns `of_table`."""
    if format == "json":
        print_json_rows(rows)
    elif format == "csv":
        print_csv(rows, columns)
    else:
        print_table(rows, of_table)


def print_csv(rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Print rows as CSV with a header and cells as in the reports."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(row[column]) for column in columns])


def print_table(rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Print rows in columns that fit their widest cell; nothing is cut off or wrapped."""
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
