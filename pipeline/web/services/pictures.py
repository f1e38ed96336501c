"""Draw files as JPEGs in the thumbnail process, and make responses of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import Response

from pipeline.web.middleware.etags import tag_of
from pipeline.web.middleware.problems import TRY_AGAIN, Problem
from pipeline.web.services.context import AppContext
from pipeline.web.services.thumbnail_pool import BusyError


def jpeg_response(jpeg: bytes, cache_control: str) -> Response:
    """Return a response with an ETag that a browser may cache."""
    headers = {"Cache-Control": cache_control, "ETag": tag_of(jpeg)}
    return Response(jpeg, media_type="image/jpeg", headers=headers)


async def draw_jpeg(context: AppContext, root: Path, source: bytes, longest: int) -> bytes:
    """Return a JPEG of `source`, relative to `root`, `longest` pixels long. Raises Problem 404, 503."""
    try:
        answer = await asyncio.wrap_future(context.thumbnails.request(root, source, longest))
    except BusyError:
        raise Problem(503, "Too many pictures are requested at once.", headers=TRY_AGAIN) from None
    if answer.jpeg is None:
        raise Problem(404, f"This file cannot be shown: {answer.problem}.", "Open it in its folder.")
    return answer.jpeg
