"""Thumbnails of the files in the ledger: `/pictures/ID/small` and `/pictures/ID/large`."""

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

# The content of a file never changes under one id; only its path does.
CACHED = "private, max-age=86400, immutable"


class Size(StrEnum):
    """Small for lists, large for one photo."""

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
    """Return a JPEG of the photo `id`, its longer side 320 or 1,600 pixels; 404 if there is none."""
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
        raise Problem(404, f"No file has the id {id}.", "Search for it in Browse.")
    # A decoder could not read this file before, so it does not get it again.
    found = None if row["outcome"] == FAILED else below(context.settings, unescape(row["path"]))
    if found is None:
        raise Problem(404, f"File {id} cannot be shown.", "Open it in its folder.")
    return found


def below(settings: Settings, path: bytes) -> tuple[Path, bytes] | None:
    """Return the folder of the settings that contains a path, and the path below it; None if none does."""
    for root in (settings.sorted, settings.spool, *settings.inboxes):
        inside = os.path.relpath(path, os.fsencode(root))
        if not inside.startswith(b"../") and inside not in (b".", b".."):
            return root, inside
    return None
