"""Write a list of rows as an Excel workbook into a file without a name, then send it."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import IO, Any

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from pipeline.export.tables import COLUMNS
from pipeline.office import packages
from pipeline.web.downloads.originals import PIECE_BYTES
from pipeline.web.downloads.sending import Download, disposition
from pipeline.web.middleware.busy import HAS_ENDED
from pipeline.web.middleware.conditional import BODILESS
from pipeline.web.middleware.problems import TRY_AGAIN, Problem
from pipeline.web.services.classify_uploads import scratch
from pipeline.web.services.context import AppContext
from pipeline.web.services.report_files import MEDIA_TYPES

XLSX = MEDIA_TYPES[".xlsx"]

MOST_ROWS = 20_000
"""Rows of a workbook. openpyxl takes up to a millisecond for each, a client receives nothing before the last
one, and proxies give up after a minute."""

MOST_AT_ONCE = 2
"""Workbooks that are written at once, each in a thread that keeps a core busy."""

_slots = threading.BoundedSemaphore(MOST_AT_ONCE)

Rows = Callable[[], Iterator[Mapping[str, Any]]]
"""Reads a list from its beginning; called twice, to count the rows and to write them."""


def excel(request: Request, context: AppContext, rows: Rows, name: str) -> Response:
    """Return a response with a workbook of `rows`. Raises Problem 422 for too many of them, 503."""
    if (problem := packages.missing_for_excel()) is not None:
        raise Problem(
            503, f"Excel files cannot be written here: {problem}.", "Or use CSV, which needs nothing."
        )
    if BODILESS in request.scope:
        return Response(media_type=XLSX, headers=_headers(name))
    if sum(1 for _ in islice(rows(), MOST_ROWS + 1)) > MOST_ROWS:
        how = "Use CSV for more, choose fewer by filters, or run `pawsort query --xlsx FILE`."
        raise Problem(422, f"The list has more than {MOST_ROWS:,} rows, the most for an Excel file.", how)
    return _Excel(context, rows, _headers(name))


def _headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": disposition(name), "Cache-Control": "no-store"}


class _Excel(Response):
    """Writes the workbook in a thread, which ends early if the client leaves or the server stops."""

    def __init__(self, context: AppContext, rows: Rows, headers: dict[str, str]) -> None:
        super().__init__(media_type=XLSX, headers=headers)
        self._context, self._rows, self._own = context, rows, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. Raises Problem 503, for too many at once too, OSError, DatabaseError."""
        with ExitStack() as closing:
            file = closing.enter_context(tempfile.TemporaryFile(dir=scratch(self._context)))
            with _slot():
                await self._write(file, receive, scope.get(HAS_ENDED, lambda: False))
            size = {"Content-Length": str(os.fstat(file.fileno()).st_size)}
            pieces = iter(lambda: file.read(PIECE_BYTES), b"")
            await Download(pieces, closing.pop_all(), XLSX, self._own | size)(scope, receive, send)

    async def _write(self, file: IO[bytes], receive: Receive, has_ended: Callable[[], bool]) -> None:
        """Write the workbook to `file`. Raises Problem 503 if the client leaves.

        A client that has closed its half of the connection may still read, as `nc -N` does, but so has a
        browser that was closed, and nothing else tells the two apart before something is sent.
        """
        gone = threading.Event()
        watching = asyncio.ensure_future(_watch(receive, gone))

        def check() -> None:
            if gone.is_set() or has_ended():
                raise Problem(503, "The client has left.", "Keep the connection open until the file is sent.")

        try:
            await asyncio.to_thread(_write, file, self._context, self._rows, check)
        finally:
            gone.set()
            watching.cancel()


@contextmanager
def _slot() -> Iterator[None]:
    if not _slots.acquire(blocking=False):
        words = f"{MOST_AT_ONCE} Excel files are being written already."
        raise Problem(503, words, "Try again in a minute, or use CSV.", TRY_AGAIN)
    try:
        yield
    finally:
        _slots.release()


async def _watch(receive: Receive, gone: threading.Event) -> None:
    """Set `gone` when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


def _write(file: IO[bytes], context: AppContext, rows: Rows, check: Callable[[], None]) -> None:
    """Write a workbook to `file`; `check` is called for each row."""
    from pipeline.office.workbook import dicts_as_rows, workbook_in

    with workbook_in(scratch(context), context.settings.report.zone, check) as book:
        book.add("results", COLUMNS, dicts_as_rows(islice(rows(), MOST_ROWS), COLUMNS))
        book.save(file)
