"""One photo as large as the window, with the one before and the one after among those of the filters."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from db.queries import listing, overview
from db.queries.browse import mark_of
from db.queries.neighbours import neighbours
from pipeline.web.downloads.originals import problem_of
from pipeline.web.middleware.problems import Problem
from pipeline.web.routes.filters import choice_of, filters_of
from pipeline.web.routes.parameters import Id
from pipeline.web.services.context import ContextDep
from pipeline.web.views.rendering import render

router = APIRouter(include_in_schema=False)


@router.get("/browse/view/{id}")
def page(request: Request, context: ContextDep, id: Id) -> Response:
    """Return the page. Raises Problem 404."""
    filters = filters_of(request.query_params)
    engine = context.database.reader()
    row = listing.result(engine, id) if engine else None
    found = overview.history(engine, id) if engine and row else None
    if engine is None or row is None or found is None:
        raise Problem(404, f"No file has the id {id}.", "Search for its name in Browse.")
    choice, _ = choice_of(filters, context.settings)
    return render(
        request,
        "view.html",
        entry=found.entry,
        filters=filters,
        near=neighbours(engine, choice, mark_of(found.entry)),
        problem=None if context.owner_of(id) else problem_of(context.settings, row),
    )
