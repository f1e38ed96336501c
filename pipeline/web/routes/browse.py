"""The page Browse: thumbnails of the files that match the filters in the URL, newest first."""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Engine

from db.queries import browse, overview
from db.queries.browse import MOST, Counted, Mark
from db.queries.browse import Page as Files
from db.schema.file_names import escape
from pipeline.web.routes.filters import Filters, choice_of, filters_of
from pipeline.web.routes.parameters import Text
from pipeline.web.services import recent_answers
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.views.charts import histogram
from pipeline.web.views.rendering import render

router = APIRouter(include_in_schema=False)
PAGE = Page("Browse", "/browse", 30)

SIZE = 48
BINS = 20


@router.get("/browse")
def page(request: Request, context: ContextDep, after: Text = "") -> Response:
    """Return the page; for htmx requests only its results, or only the next ones."""
    filters = filters_of(request.query_params)
    engine = context.database.reader()
    part = request.headers.get("hx-target") if "hx-request" in request.headers else None
    if part == "more" and engine is not None:
        return render(
            request, "browse_more.html", filters=filters, page=_more(engine, context, filters, after)
        )
    values = _found(engine, context, filters, after) if engine else _empty()
    template = "browse_results.html" if part == "results" else "browse.html"
    done = recent_answers.to_text(recent_answers.of_browser(request, context)[-1:])
    return render(request, template, filters=filters, done=done, **_form_choices(engine, context), **values)


def _more(engine: Engine, context: AppContext, filters: Filters, after: str) -> Files:
    choice, _ = choice_of(filters, context.settings)
    return browse.page(engine, choice, _mark(engine, after), SIZE)


def _found(engine: Engine, context: AppContext, filters: Filters, after: str) -> dict[str, Any]:
    choice, wrong = choice_of(filters, context.settings)
    outcomes = context.outcomes(engine)
    mark = _mark(engine, after)
    found, counted = browse.first_page(engine, choice, outcomes, SIZE)
    if mark is not None:
        found = browse.page(engine, choice, mark, SIZE)
    if not filters.any:
        # The cached counts, which Today uses too.
        known = context.counts(engine)
        counted = Counted({outcome: known.get(outcome, 0) for outcome in outcomes})
    return {"page": found, "counted": counted, "wrong": wrong, "most": MOST, "is_new": False}


def _empty() -> dict[str, Any]:
    return {"page": Files(()), "counted": Counted({}), "wrong": [], "most": MOST, "is_new": True}


def _form_choices(engine: Engine | None, context: AppContext) -> dict[str, Any]:
    """Return the choices of the filter form."""
    bundle = context.labels.bundle()
    bins = context.cache.get("histogram", lambda: overview.histogram(engine, BINS)) if engine else []
    return {
        "inboxes": [escape(os.fsencode(inbox)) for inbox in context.settings.inboxes],
        "models": [bundle.name] if bundle else [],
        "chart": histogram(bins, "Confidence of all photos") if any(bins) else "",
    }


def _mark(engine: Engine, after: str) -> Mark | None:
    """Return the position of the file `after`, None if it is not an id."""
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        return None
    return browse.mark(engine, int(after))
