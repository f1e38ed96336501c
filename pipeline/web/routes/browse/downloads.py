"""Downloads of Browse: an original, many as a ZIP file, and the list as CSV or XLSX."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from db.schema.file_names import unescape
from pipeline.decision import with_shown
from pipeline.export.tables import BOM, csv_pieces
from pipeline.thumbnails.content import content_path
from pipeline.web.downloads.excel import Rows, excel
from pipeline.web.downloads.of_other import original_of_other
from pipeline.web.downloads.originals import readable, why
from pipeline.web.downloads.sending import made, sent
from pipeline.web.middleware.problems import Problem
from pipeline.web.routes.browse.many import (
    archive_of,
    file_name,
    ids_of,
    listed,
    rows_of,
    wanted_of,
)
from pipeline.web.routes.filters import choice_of, filters_of
from pipeline.web.routes.parameters import Id
from pipeline.web.services.context import AppContext, ContextDep

router = APIRouter(include_in_schema=False)

BINARY = "application/octet-stream"

Chosen = Annotated[list[str], Form()]


class Format(StrEnum):
    """A kind of list."""

    csv = "csv"
    xlsx = "xlsx"


@router.get("/files/{id}/original")
def original(request: Request, context: ContextDep, id: Id) -> Response:
    """Send an original as it is."""
    return original_of(request, context, id)


@router.post("/browse/zip")
def zip_of(request: Request, context: ContextDep, file: Chosen = []) -> Response:  # noqa: B006
    """Send the selected photos and their companions as a ZIP file."""
    pieces = archive_of(context, ids_of(file))
    return made(request, pieces, "application/zip", file_name(context, "photos", "zip"))


@router.get("/browse/export")
def export(request: Request, context: ContextDep, format: Format = Format.csv) -> Response:
    """Send the list that the filters choose."""
    choice, _ = choice_of(filters_of(request.query_params), context.settings)
    wanted = wanted_of(choice)
    return table(
        request,
        context,
        lambda: (row for row in listed(context, wanted, choice) if row["state"] != "removed"),
        format,
    )


@router.post("/browse/export")
def export_chosen(
    request: Request,
    context: ContextDep,
    file: Chosen = [],  # noqa: B006 - FastAPI copies it
    format: Annotated[Format, Form()] = Format.csv,
) -> Response:
    """Send the list of the selected photos."""
    ids = ids_of(file)
    return table(request, context, lambda: (with_shown(row) for row in rows_of(context, ids)), format)


def table(request: Request, context: AppContext, rows: Rows, format: Format, bom: str = BOM) -> Response:
    """Return a response with a list of rows; `bom` begins a CSV file for spreadsheets."""
    name = file_name(context, "results", format)
    if format is Format.xlsx:
        return excel(request, context, rows, name)
    return made(request, csv_pieces(rows(), start=bom), "text/csv", name)


def original_of(request: Request, context: AppContext, id: int) -> Response:
    """Return a response with the original of a row, under the name that it has now. Raises Problem 404."""
    found = rows_of(context, [id])
    if not found:
        raise Problem(404, f"No file has the id {id}.", "Search for it in Browse.")
    [row] = found
    if row["path"] is None:
        raise Problem(404, f"{row['name']} waits for the worker.", "Try again once it is filed.")
    name = readable(unescape(row["path"]).rpartition(b"/")[2])
    if owner := context.owner_of(id):
        return original_of_other(request, context, owner, row, name)
    try:
        return sent(request, context.settings, content_path(row), BINARY, name)
    except OSError as error:
        how = "It was moved or deleted; `pawsort doctor` compares files and database."
        raise Problem(404, f"{name} cannot be read: {why(error)}.", how) from error
