"""Send the original of a file that is on another machine."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from fastapi import Request, Response

from pipeline.files.safe_open import opened
from pipeline.web.downloads.originals import Row
from pipeline.web.downloads.sending import Download, disposition, sent_open
from pipeline.web.elsewhere.owner import NotReachable, Owner
from pipeline.web.elsewhere.owners_pages import OWN_ONLY
from pipeline.web.middleware.conditional import BODILESS
from pipeline.web.middleware.problems import TRY_AGAIN, Problem
from pipeline.web.services.context import AppContext

BINARY = "application/octet-stream"


def original_of_other(request: Request, context: AppContext, owner: Owner, row: Row, name: str) -> Response:
    """Return a response with the original of another machine's row, from a shared folder or its pages.

    Raises Problem 404, 503.
    """
    if OWN_ONLY in request.headers:
        raise Problem(404, f"File {row['id']} is not of this machine.", f"It is on {owner.name}.")
    shared = context.other_machines.shared.find(owner.name, row)
    with suppress(OSError):  # it was moved meanwhile, perhaps by its owner
        if shared is not None:
            return sent_open(request, opened(*shared), BINARY, name)
    try:
        return _from_pages(request, context, owner, row, name)
    except NotReachable as problem:
        how = f"Download it on {owner.name}, or start the pages there."
        raise Problem(503, f"{name} is on {owner.name}: {problem}.", how, TRY_AGAIN) from problem


def _from_pages(request: Request, context: AppContext, owner: Owner, row: Row, name: str) -> Response:
    headers = {"Content-Disposition": disposition(name), "Cache-Control": "private, no-store"}
    with ExitStack() as stack:
        path = f"/files/{row['id']}/original"
        size, pieces = stack.enter_context(context.other_machines.pages.original(owner, path))
        if size >= 0:
            headers["Content-Length"] = str(size)
        if BODILESS in request.scope:
            return Response(media_type=BINARY, headers=headers)
        return Download(pieces, stack.pop_all(), BINARY, headers)
