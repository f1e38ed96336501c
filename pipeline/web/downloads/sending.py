"""Send files as downloads while they are made or read, and close them when the client leaves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from pipeline.files.safe_open import Opened
from pipeline.settings.config import Settings
from pipeline.web.downloads.originals import PIECE_BYTES, opened_content
from pipeline.web.middleware.conditional import BODILESS, is_fresh
from pipeline.web.middleware.etags import tag_of


class Download(StreamingResponse):
    """Sends pieces and closes `closing` in the end, even if the client leaves before the first byte."""

    def __init__(
        self, pieces: Iterator[bytes], closing: ExitStack, media_type: str, headers: dict[str, str]
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with self._closing:
            await super().__call__(scope, receive, send)


def made(request: Request, pieces: Iterator[bytes], media_type: str, name: str) -> Response:
    """Return a response with a file that is made while it is sent, by a generator."""
    headers = {"Content-Disposition": disposition(name), "Cache-Control": "no-store"}
    if BODILESS in request.scope:
        return Response(media_type=media_type, headers=headers)
    closing = ExitStack()
    closing.callback(pieces.close)  # type: ignore[attr-defined]
    return Download(pieces, closing, media_type, headers)


def sent(
    request: Request, settings: Settings, path: bytes, media_type: str, name: str | None = None
) -> Response:
    """Return a response with a file as it is, as a download if it has a `name`. Raises OSError."""
    return sent_open(request, opened_content(settings, path), media_type, name)


def sent_open(
    request: Request, opening: AbstractContextManager[Opened], media_type: str, name: str | None = None
) -> Response:
    """Return a response with a file that `opening` opens, as `sent`. Raises OSError."""
    with ExitStack() as stack:
        file = stack.enter_context(opening)
        status = file.stat
        tag = tag_of(repr((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)).encode())
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Content-Length": str(status.st_size)}
        if name is not None:
            headers["Content-Disposition"] = disposition(name)
        if BODILESS in request.scope or is_fresh(request.headers, Headers(headers)):
            return Response(media_type=media_type, headers=headers)
        return Download(_pieces(file), stack.pop_all(), media_type, headers)


def _pieces(file: Opened) -> Iterator[bytes]:
    remaining = file.stat.st_size
    while remaining and (piece := os.read(file.fd, min(PIECE_BYTES, remaining))):
        remaining -= len(piece)
        yield piece


def disposition(name: str) -> str:
    """Return the header that names a download: RFC 6266, with a form for clients without UTF-8."""
    plain = re.sub(r'[^ -~]|["%\\]', "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
