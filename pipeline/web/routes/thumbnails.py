"""Pictures of the files in the ledger: `/pictures/ID/small`, `large` and `full`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers

from db.queries.listing import result
from pipeline.decision import FAILED
from pipeline.files.safe_open import opened
from pipeline.thumbnails.content import Content, below, content_path, photo_folders
from pipeline.web.downloads.originals import why
from pipeline.web.downloads.sending import sent, sent_open
from pipeline.web.elsewhere.owner import NotReachable, Owner
from pipeline.web.elsewhere.owners_pages import OWN_ONLY
from pipeline.web.elsewhere.placeholder import KIND as SVG
from pipeline.web.elsewhere.placeholder import placeholder, wants_placeholder
from pipeline.web.middleware.conditional import is_fresh
from pipeline.web.middleware.etags import tag_of
from pipeline.web.middleware.openapi import ALWAYS, answers
from pipeline.web.middleware.problems import TRY_AGAIN, Problem
from pipeline.web.routes.parameters import Id
from pipeline.web.services.context import AppContext, ContextDep
from pipeline.web.services.pictures import draw_jpeg

router = APIRouter(tags=["results"])

# Not by age: a database that is begun anew, or another one at this address, has other photos under these ids.
CACHED = "private, no-cache"


class Size(StrEnum):
    """Small for lists, large for one photo; full is the original where a browser shows its format."""

    small = "small"
    large = "large"
    full = "full"


LONGEST = {Size.small: 320, Size.large: 1600, Size.full: 4096}
"""Pixels of the longer side of a picture that is drawn."""

OF_BROWSERS = {"JPEG": "jpeg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "AVIF": "avif", "BMP": "bmp"}
"""The formats that all browsers show, and their media types."""

MOST_BYTES = 40_000_000
MOST_PIXELS = 60_000_000
"""Phones show no larger originals."""

_KINDS: dict[str, Any] = {"image/jpeg": {}, **{f"image/{kind}": {} for kind in OF_BROWSERS.values()}}


@router.get(
    "/pictures/{id}/{size}",
    response_class=Response,
    responses=answers(*ALWAYS, 404, 422, not_modified=True) | {200: {"content": _KINDS}},
)
async def picture(request: Request, context: ContextDep, id: Id, size: Size) -> Response:
    """Return a JPEG of the photo `id`, its longer side 320 or 1,600 pixels; 404 if there is none.

    `full` is the original if browsers show its format and it is not huge, else a JPEG of 4,096 pixels.
    """
    row, owner = await asyncio.to_thread(_row, context, id)
    if owner is not None and OWN_ONLY in request.headers:
        raise Problem(404, f"File {id} is not of this machine.", f"It is on {owner.name}.")
    shared = None
    if owner is not None and row["outcome"] != FAILED:
        shared = await asyncio.to_thread(context.other_machines.shared.find, owner.name, row)
    if size is Size.full and _is_shown_by_browsers(row) and (owner is None or shared):
        return await asyncio.to_thread(_original, request, context, row, shared)
    headers = {"Cache-Control": CACHED, "ETag": _version(row, size)}
    if is_fresh(request.headers, Headers(headers)):  # so nothing is drawn
        return Response(media_type="image/jpeg", headers=headers)
    key = id, headers["ETag"]
    jpeg = context.pictures.get(key)
    if jpeg is None and owner is not None and shared is None and row["outcome"] != FAILED:
        return await _from_owner(request, context, owner, key, size, headers)
    if jpeg is None:
        root, source = shared or _place(context, row)
        jpeg = await draw_jpeg(context, root, source, LONGEST[size])
        context.pictures.put(key, jpeg)
    return Response(jpeg, media_type="image/jpeg", headers=headers)


async def _from_owner(
    request: Request,
    context: AppContext,
    owner: Owner,
    key: tuple[int, str],
    size: Size,
    headers: dict[str, str],
) -> Response:
    """Return the picture of a file that is on another machine, from the pages there. Raises Problem 503."""
    try:
        future = context.other_machines.pages.request(owner, f"/pictures/{key[0]}/{size}")
        found = await asyncio.wrap_future(future)
    except NotReachable as problem:
        if wants_placeholder(request.headers.get("accept", "")):
            svg, instead = placeholder(owner.name, str(problem)), {"Cache-Control": "no-store"}
            return Response(svg, 503, media_type=SVG, headers=instead)
        how = f"Open it on {owner.name}, or start the pages there."
        raise Problem(503, f"This photo is on {owner.name}: {problem}.", how, TRY_AGAIN) from problem
    if size is not Size.full:
        context.pictures.put(key, found.data)
    return Response(found.data, media_type=found.kind, headers=headers)


def _row(context: AppContext, id: int) -> tuple[dict[str, Any], Owner | None]:
    engine = context.database.reader()
    row = result(engine, id) if engine else None
    if row is None or row["path"] is None:
        raise Problem(404, f"No file has the id {id}.", "Search for it in Browse.")
    return row, context.owner_of(id)


def _version(row: Mapping[str, Any], size: Size) -> str:
    """Return a tag of the content of a row's file, which needs no drawing."""
    content = tuple(str(row[name]) for name in ("sha256", "bytes", "seen_at"))
    return tag_of(repr((*content, size.value)).encode())


def _is_shown_by_browsers(row: Mapping[str, Any]) -> bool:
    small = (row["bytes"] or 0) <= MOST_BYTES and (row["width"] or 0) * (row["height"] or 0) <= MOST_PIXELS
    return row["outcome"] != FAILED and row["format"] in OF_BROWSERS and small


def _original(
    request: Request, context: AppContext, row: Mapping[str, Any], shared: Content | None
) -> Response:
    kind = f"image/{OF_BROWSERS[row['format']]}"
    try:
        if shared is not None:
            return sent_open(request, opened(*shared), kind)
        return sent(request, context.settings, content_path(row), kind)
    except OSError as error:
        raise Problem(404, f"This file cannot be shown: {why(error)}.", "Open it in its folder.") from error


def _place(context: AppContext, row: Mapping[str, Any]) -> Content:
    # A decoder could not read this file before, so it does not get it again.
    found = None if row["outcome"] == FAILED else below(photo_folders(context.settings), content_path(row))
    if found is None:
        raise Problem(404, f"File {row['id']} cannot be shown.", "Open it in its folder.")
    return found
