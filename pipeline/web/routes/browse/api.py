"""Many files at once in the JSON API: correct, undo, ZIP, list, and originals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from pipeline.corrections.correct_undo_retry import Known
from pipeline.corrections.recorded_move import Change
from pipeline.settings.ranges import LARGEST_INTEGER
from pipeline.web.downloads.excel import XLSX
from pipeline.web.downloads.sending import made
from pipeline.web.middleware.openapi import ALWAYS, CHANGING, answers
from pipeline.web.middleware.visitor import visitor_name
from pipeline.web.routes.browse.downloads import BINARY, Format, original_of, table
from pipeline.web.routes.browse.many import MOST_ZIPPED, archive_of, file_name, listed, rows_of
from pipeline.web.routes.parameters import Id
from pipeline.web.routes.result_filters import WantedDep
from pipeline.web.services import correct_files
from pipeline.web.services.context import AppContext, ContextDep

router = APIRouter(prefix="/api", tags=["api"])

ManyId = Annotated[int, Field(strict=True, ge=1, le=LARGEST_INTEGER)]

SENT = (*CHANGING, 404, 408, 413, 422)
"""Errors of requests with a body."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Undoing(_Closed):
    """Files, and who asks for it."""

    ids: list[ManyId] = Field(min_length=1, max_length=correct_files.MOST)
    by: str | None = Field(None, description="Name to record.", max_length=200)


class Correcting(Undoing):
    """Files, their correct label, and who says so."""

    label: str = Field(alias="as", description="A label of the model, or `neither`.", max_length=200)


class Zipping(_Closed):
    """Files for an archive."""

    ids: list[ManyId] = Field(min_length=1, max_length=MOST_ZIPPED)


class OneOfMany(BaseModel):
    """What became of one file; `problem` is null if it was changed or sent.

    `request` is the number of the request to its `worker`, null if the file is of this machine.
    """

    id: int
    kind: str
    file: str
    path: str | None
    outcome: str | None
    corrected_to: str | None
    problem: str | None
    request: int | None = None
    worker: str | None = None


class Many(BaseModel):
    """What became of each file, in the order of the request, and how many were changed or sent."""

    changes: list[OneOfMany]
    changed: int
    failed: int


@router.post("/corrections", responses=answers(*SENT, 409))
def correct(request: Request, context: ContextDep, said: Correcting) -> Many:
    """Correct up to 100 files to one label; a file that cannot be corrected does not hinder the others."""
    known = _known(context, said.ids)
    by = visitor_name(request, said.by)
    correct_files.folders_with(context, said.label)
    changes = correct_files.correct(context, by, known, said.label, "api") if known else []
    return _many(context, said.ids, known, changes, "correct")


@router.post("/undo", responses=answers(*SENT, 409))
def undo(request: Request, context: ContextDep, said: Undoing) -> Many:
    """Undo the last change of up to 100 files: a correction, else the filing."""
    known = _known(context, said.ids)
    by = visitor_name(request, said.by)
    changes = correct_files.undo(context, by, known, "api") if known else []
    return _many(context, said.ids, known, changes, "undo")


@router.post(
    "/zip",
    response_class=Response,
    responses=answers(*SENT) | {200: {"content": {"application/zip": {}}}},
)
def zip_of(request: Request, context: ContextDep, said: Zipping) -> Response:
    """Send up to 500 photos and their companions as a ZIP file; a text in it names those that are gone."""
    pieces = archive_of(context, list(dict.fromkeys(said.ids)))
    return made(request, pieces, "application/zip", file_name(context, "photos", "zip"))


@router.get(
    "/export",
    response_class=Response,
    responses=answers(*ALWAYS, 422) | {200: {"content": {"text/csv": {}, XLSX: {}}}},
)
def export(request: Request, context: ContextDep, wanted: WantedDep, format: Format = Format.csv) -> Response:
    """Send all rows that the filters choose as CSV, or up to 20,000 as an Excel workbook."""
    return table(request, context, lambda: listed(context, wanted), format, bom="")


@router.get(
    "/results/{id}/original",
    response_class=Response,
    responses=answers(*ALWAYS, 404, 422, not_modified=True) | {200: {"content": {BINARY: {}}}},
)
def original(request: Request, context: ContextDep, id: Id) -> Response:
    """Send the file of a row as it is."""
    return original_of(request, context, id)


def _known(context: AppContext, ids: Sequence[int]) -> list[Known]:
    """Return the current versions of those files that exist."""
    return correct_files.current(context, [row["id"] for row in rows_of(context, list(dict.fromkeys(ids)))])


def _many(
    context: AppContext, ids: Sequence[int], known: Sequence[Known], changes: Sequence[Change], kind: str
) -> Many:
    context.cache.forget()
    found: dict[int, dict[str, Any]] = {
        file.id: {**change.as_dict(), "id": file.id} for file, change in zip(known, changes, strict=True)
    }
    each = [OneOfMany(**(found.get(id) or _missing(id, kind))) for id in dict.fromkeys(ids)]
    failed = sum(one.problem is not None for one in each)
    return Many(changes=each, changed=len(each) - failed, failed=failed)


def _missing(id: int, kind: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("path", "outcome", "corrected_to"))
    return {**nothing, "id": id, "kind": kind, "file": str(id), "problem": "no file has this id"}
