"""The commands `query` and `export`: list rows of the database, and copy the photos that they name."""

from __future__ import annotations

import os
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import (
    DEFAULT,
    Config,
    Format,
    Json,
    RowFormat,
    Taken,
    When,
    chosen_format,
    database,
    integer,
    load,
    own_files,
    real,
    words,
)  # fmt: skip
from pipeline.errors import SOME_FAILED, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from db.queries.search.folder_search import WantedFolder
    from pipeline.export.export import Exported
    from pipeline.settings.config import Settings


class Layout(StrEnum):
    """Folders of an export."""

    by_class = "class"
    original = "original"


Outcome = Annotated[str | None, words("A folder, waiting, undone, removed or noted.")]
Prediction = Annotated[str | None, words("A label of the model, such as cat.")]
Inbox = Annotated[str | None, typer.Option(help="The inbox of the files.")]
Name = Annotated[str | None, words("Part of the file's name.")]
MinConfidence = Annotated[float | None, real("Lowest confidence.")]
MaxConfidence = Annotated[float | None, real("Highest confidence.")]
Limit = Annotated[int | None, integer("Largest number of rows.")]
Folder = Annotated[
    str | None,
    typer.Option(help="A folder of an inbox or of `sorted`, with all below it; or one below any inbox."),
]
Reviewed = Annotated[
    bool | None,
    typer.Option("--reviewed/--not-reviewed", help="Only photos that a person judged, or the others."),
]


def query(
    config: Config = DEFAULT,
    outcome: Outcome = None,
    prediction: Prediction = None,
    inbox: Inbox = None,
    name: Name = None,
    min_confidence: MinConfidence = None,
    max_confidence: MaxConfidence = None,
    since: When = None,
    until: When = None,
    limit: Limit = None,
    reviewed: Reviewed = None,
    folder: Folder = None,
    taken_since: Taken = None,
    taken_until: Taken = None,
    worker: Annotated[str | None, words("The name of the worker that has the files.")] = None,
    format: RowFormat = Format.table,
    json: Json = False,
    xlsx: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rows to an Excel workbook instead.")
    ] = None,
) -> None:
    """List rows of the database, the newest first.

    Example: pawsort query --outcome uncertain --max-confidence 0.7 --format csv
    """
    from db.queries import listing
    from db.queries.workers import all_workers
    from pipeline.cli.printing import output
    from pipeline.decision import SHOWN_COLUMNS, with_shown

    settings = load(config)
    chosen = chosen_format(format, json)
    if xlsx is not None and chosen is not Format.table:
        raise SettingsError(f"--xlsx and {chosen} are two formats; give one of them")
    wanted = listing.ResultFilter(
        outcome, prediction, _absolute(inbox), name, min_confidence, max_confidence, since, until, limit,
        reviewed=reviewed, folder=_wanted(folder, settings), taken_since=taken_since, taken_until=taken_until,
        worker=worker,
    )  # fmt: skip
    with database(settings, "read") as engine, output.until_reader_closes():
        rows = map(with_shown, listing.results(engine, wanted))
        columns = [*listing.RESULT_COLUMNS, *SHOWN_COLUMNS]
        if xlsx is not None:
            _write_workbook(xlsx, rows, columns, settings)
            return
        where = ["worker", "path"] if len(all_workers(engine)) > 1 else ["path"]
        output.print_rows(rows, chosen, columns, ["id", "outcome", *SHOWN_COLUMNS, "reason", *where])


def _write_workbook(
    path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str], settings: Settings
) -> None:
    """Write rows to an Excel workbook and print how many. Raises SettingsError if no file can be there."""
    from pipeline.office.packages import missing_for_excel

    if (problem := missing_for_excel()) is not None:
        raise SettingsError(f"--xlsx {path}: {problem}, or use --format csv")
    from pipeline.office.workbook import dicts_as_rows, workbook_at

    try:
        with workbook_at(path, settings.report.zone) as book:
            made = book.add("results", columns, dicts_as_rows(rows, columns))
    except OSError as error:
        how = "name a file in a folder that exists"
        raise SettingsError(f"--xlsx {path}: {error.strerror}; {how}") from error
    print(f"{sum(made.values())} rows written to {path}")


def export(
    target: Annotated[Path, typer.Argument(metavar="DEST", help="A new folder, or that of an export.")],
    config: Config = DEFAULT,
    outcome: Outcome = None,
    prediction: Prediction = None,
    inbox: Inbox = None,
    name: Name = None,
    min_confidence: MinConfidence = None,
    max_confidence: MaxConfidence = None,
    since: When = None,
    until: When = None,
    limit: Limit = None,
    reviewed: Reviewed = None,
    folder: Folder = None,
    taken_since: Taken = None,
    taken_until: Taken = None,
    layout: Annotated[
        Layout, typer.Option(help="A folder for each label, or the folders of the inboxes.")
    ] = Layout.by_class,
    link: Annotated[bool, typer.Option("--link", help="Make hard links instead of copies.")] = False,
) -> None:
    """Copy filed photos into folders of their labels, as `train` takes them, with a manifest.csv.

    The label is the one that a person gave, else that of the photo's folder. Run again, it adds what is new.

    Example: pawsort export photos/ --reviewed
    """
    from db.queries.listing import ResultFilter
    from pipeline.errors import translated
    from pipeline.export import export as exports

    settings = load(config)
    wanted = ResultFilter(
        outcome, prediction, _absolute(inbox), name, min_confidence, max_confidence, since, until, limit,
        reviewed=reviewed, folder=_wanted(folder, settings), taken_since=taken_since, taken_until=taken_until,
    )  # fmt: skip
    way = exports.Way("class" if layout is Layout.by_class else "original", link)
    with own_files(settings, "read") as (own, _), translated():
        results = exports.export(own, settings, target, wanted, way)
        raise typer.Exit(_print_exported(results, target))


def _print_exported(results: Iterable[Exported], folder: Path) -> int:
    """Print how many photos were exported, and those that were not; return the exit code."""
    from pipeline.logs import printable

    counts = {"new": 0, "old": 0, "unlabelled": 0}
    problems = []
    elsewhere = Counter[str]()
    for result in results:
        if result.problem is not None:
            problems.append(f"{result.name}: {result.problem}")
        elif result.elsewhere is not None:
            elsewhere[result.elsewhere] += 1
        else:
            counts["unlabelled" if result.path is None else "new" if result.is_new else "old"] += 1
    print(f"{counts['new']} photos exported to {folder}; {counts['old']} were there already")
    if counts["unlabelled"]:
        print(f"{counts['unlabelled']} photos without a label left out; --layout original takes them too")
    for worker, count in sorted(elsewhere.items()):
        print(f"{count} photos left out, which the worker {worker} has; export them there")
    for problem in problems:
        print(f"pawsort: {printable(problem)}", file=sys.stderr)
    return SOME_FAILED if problems else 0


def _absolute(inbox: str | None) -> str | None:
    return os.path.abspath(inbox) if inbox else None


def _wanted(folder: str | None, settings: Settings) -> WantedFolder | None:
    from db.queries.search.folder_search import wanted_folder

    return wanted_folder(folder, Path.cwd(), settings.inboxes, settings.sorted) if folder else None
