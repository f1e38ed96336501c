"""Pictures of the files in the ledger, drawn by us: `/pictures/ID/small` and `/pictures/ID/large`."""

from __future__ import annotations

import asyncio
import os
from enum import StrEnum
from pathlib import Path

from fastapi import APIRouter, Response

from db.queries.listing import result
from db.schema.file_names import unescape
from pipeline.config import Settings
from pipeline.decision import FAILED
from pipeline.web.middleware.openapi import ALWAYS, answers
from pipeline.web.middleware.problems import Problem
from pipeline.web.routes.parameters import Id
from pipeline.web.services.context import AppContext, ContextDep
from pipeline.web.services.pictures import draw_jpeg, jpeg_response

router = APIRouter(tags=["results"])

# What is on a file never changes under one id; only the place where it lies does.
CACHED = "private, max-age=86400, immutable"


class Size(StrEnum):
    """For a list, and for a look."""

    small = "small"
    large = "large"


LONGEST = {Size.small: 320, Size.large: 1600}
"""Pixels of the longer side."""


@router.get(
    "/pictures/{id}/{size}",
    response_class=Response,
    responses=answers(*ALWAYS, 404, 422, not_modified=True) | {200: {"content": {"image/jpeg": {}}}},
)
async def picture(context: ContextDep, id: Id, size: Size) -> Response:
    """Return a JPEG of the photo `id`, 320 or 1,600 pixels long; 404 where there is none to show."""
    jpeg = context.pictures.get((id, size))
    if jpeg is None:
        root, source = await asyncio.to_thread(_place, context, id)
        jpeg = await draw_jpeg(context, root, source, LONGEST[size])
        context.pictures.put((id, size), jpeg)
    return jpeg_response(jpeg, CACHED)


def _place(context: AppContext, id: int) -> tuple[Path, bytes]:
    engine = context.database.reader()
    row = result(engine, id) if engine else None
    if row is None or row["path"] is None:
        raise Problem(404, f"There is no file {id}.", "Look it up in the list.")
    # What failed is what a decoder could not read; it is not given to one again for a look.
    found = None if row["outcome"] == FAILED else below(context.settings, unescape(row["path"]))
    if found is None:
        raise Problem(404, f"File {id} cannot be shown.", "Look at it where it lies.")
    return found


def below(settings: Settings, path: bytes) -> tuple[Path, bytes] | None:
    """Return which of our folders a path lies in, and the rest of it; None for any other place."""
    for root in (settings.sorted, settings.spool, *settings.inboxes):
        inside = os.path.relpath(path, os.fsencode(root))
        if not inside.startswith(b"../") and inside not in (b".", b".."):
            return root, inside
    return None
