"""The command `query`: list rows of the database."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from pipeline.cli.options import DEFAULT, Config, Json, When, database, integer, load, real, words
from pipeline.errors import SettingsError


class Format(StrEnum):
    """Formats of rows."""

    table = "table"
    csv = "csv"
    json = "json"


def query(
    config: Config = DEFAULT,
    outcome: Annotated[str | None, words("A folder, waiting, undone or removed.")] = None,
    prediction: Annotated[str | None, words("A label of the model, such as cat.")] = None,
    inbox: Annotated[str | None, typer.Option(help="The inbox of the files.")] = None,
    name: Annotated[str | None, words("Part of the file's name.")] = None,
    min_confidence: Annotated[float | None, real("Lowest confidence.")] = None,
    max_confidence: Annotated[float | None, real("Highest confidence.")] = None,
    since: When = None,
    until: When = None,
    limit: Annotated[int | None, integer("Largest number of rows.")] = None,
    format: Annotated[Format, typer.Option(help="Format of the rows.")] = Format.table,
    json: Json = False,
) -> None:
    """List rows of the database, the newest first.

    Example: pawsort query --outcome uncertain --max-confidence 0.7 --format csv
    """
    from db.queries import listing
    from pipeline.cli import output

    settings = load(config)
    if json and format is not Format.table:
        raise SettingsError(f"--json and --format {format} are two formats; give one of them")
    wanted = listing.ResultFilter(
        outcome=outcome,
        prediction=prediction,
        inbox=os.path.abspath(inbox) if inbox else None,
        name=name,
        min_confidence=min_confidence,
        max_confidence=max_confidence,
        since=since,
        until=until,
        limit=limit,
    )
    with database(settings, "read") as engine, output.until_reader_closes():
        rows = listing.results(engine, wanted)
        if json or format is Format.json:
            output.print_json_rows(rows)
        elif format is Format.csv:
            output.print_csv(rows, listing.RESULT_COLUMNS)
        else:
            output.print_table(rows, ["id", "outcome", "prediction", "confidence", "reason", "path"])
