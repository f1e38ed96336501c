"""Run in the office process: write the files that the settings add to the CSV files of the reports.

In a process of its own with low priority, because formatting a million cells takes minutes of Python, which
the worker's threads would wait for.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path

from models.errors import in_words
from pipeline.classifier.messages import Ready, Working
from pipeline.files.permissions import limited
from pipeline.files.replace_file import replace_file
from pipeline.office import day_figures, packages
from pipeline.office.day_figures import DayFigures
from pipeline.office.messages import ChoosePhotos, Chosen, OfficeSettings, WritePage, WriteTables, Written
from pipeline.office.tables import header_of, rows_of
from pipeline.reports import csv_files

NICENESS = 10


def write_office_files(requests: Connection, answers: Connection, settings: OfficeSettings) -> None:
    """Run in the child: send Ready, then an answer to each request until the pipe ends."""
    os.nice(NICENESS)
    answers.send(Ready())
    office = Office(settings, _Pulse(answers))
    with limited(settings.permissions), contextlib.suppress(EOFError, OSError):
        while True:
            answers.send(office.answer(requests.recv()))


class Office:
    """Answers requests; `alive` is called between rows."""

    def __init__(self, settings: OfficeSettings, alive: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._alive = alive
        self._figures: DayFigures | None = None

    def answer(self, request: WriteTables | ChoosePhotos | WritePage) -> Written | Chosen:
        """Do what a request wants. Each problem is a part of the answer."""
        try:
            if isinstance(request, WriteTables):
                return Written(tuple(_tables(self._settings, request, self._alive)))
            if isinstance(request, ChoosePhotos):
                self._figures = day_figures.read(self._settings, date.fromisoformat(request.day), self._alive)
                chosen = (photo.thumbnail for photo in self._figures.doubtful)
                return Chosen(tuple(each for each in chosen if each))
            assert self._figures and self._figures.day.isoformat() == request.day, "first ChoosePhotos"
            return Written(tuple(_page(self._settings, request, self._figures)))
        except OSError as error:
            return Written(failed=in_words(error))
        except (ValueError, KeyError, TypeError) as error:  # a CSV file that another program has changed
            day = request.name if isinstance(request, WriteTables) else request.day
            return Written(problem=f"{day}: unexpected content of a CSV file: {in_words(error)}")


def _tables(settings: OfficeSettings, request: WriteTables, alive: Callable[[], None]) -> Iterator[Path]:
    if packages.missing(settings.report, "format"):
        return
    if settings.report.format == "excel":
        yield from _workbook(settings, request, alive)
    elif settings.report.format == "excel_csv":
        yield from _excel_csv(settings, request, alive)


def _workbook(settings: OfficeSettings, request: WriteTables, alive: Callable[[], None]) -> Iterator[Path]:
    """Write a sheet for each report, and "About" with the time zone and the numbers of rows."""
    from pipeline.office.workbook import workbook_at

    tables = [(kind.capitalize(), path) for kind, path in tables_of(settings.reports, request.name).items()]
    path = tables[0][1].with_name(f"report-{request.name}.xlsx")
    note = f"Reports of {request.name} by Pawsort. Its page on reports explains the columns."
    zone = settings.report.zone
    about: list[tuple[str, str | int]] = [("Times are of", zone.key)]
    with workbook_at(path, zone, alive) as book:
        for title, table in tables:
            made = book.add(title, header_of(table), (row for part in rows_of(table, zone) for row in part))
            about += [(f"Rows in {name}", rows) for name, rows in made.items()]
        book.add("About", ("About", note), about)
    yield path
    if request.is_latest:
        _copy(path, "latest-report.xlsx")


def _excel_csv(settings: OfficeSettings, request: WriteTables, alive: Callable[[], None]) -> Iterator[Path]:
    from pipeline.office.excel_csv import write_excel_csv

    for kind, table in tables_of(settings.reports, request.name).items():
        path = table.with_name(f"excel-{table.name}")
        write_excel_csv(path, table, settings.report.zone, settings.report.separator, alive)
        yield path
        if request.is_latest:
            _copy(path, f"latest-excel-{kind}.csv")


def _page(settings: OfficeSettings, request: WritePage, figures: DayFigures) -> Iterator[Path]:
    if packages.missing(settings.report, "html"):
        return
    from pipeline.office.page import page_of

    path = settings.reports / f"report-{request.day}.html"
    text = page_of(figures, request.jpegs, request.now, settings.report.zone)
    replace_file(path, [text.encode()])
    yield path
    if request.is_latest:
        _copy(path, "latest-report.html")


def tables_of(folder: Path, name: str) -> dict[str, Path]:
    """Return the CSV files of a day, YYYY-MM-DD, by kind, or the summary of a month or a year."""
    if name.count("-") == 2:
        return {kind: folder / f"{kind}-{name}.csv" for kind in ("summary", "images", "drift")}
    kind = "months" if "-" in name else "years"
    return {"summary": folder / kind / f"summary-{name}.csv"}


def _copy(path: Path, name: str) -> None:
    replace_file(path.with_name(name), csv_files.pieces_of(path))


class _Pulse:
    """Sends Working once a second at most, so that the parent knows that this process makes progress."""

    def __init__(self, answers: Connection) -> None:
        self._answers = answers
        self._at = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._at >= 1.0:
            self._at = time.monotonic()
            self._answers.send(Working())
