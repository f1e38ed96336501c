"""The page Browse: thumbnails of the files that match the filters in the URL, newest first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import Engine

from db.queries import browse, overview
from db.queries.browse import MOST, Counted, Mark
from db.queries.browse import Page as Files
from db.schema.file_names import escape
from pipeline.web.routes.browse.folders import suggestions
from pipeline.web.routes.browse.many import MOST_ZIPPED, Failure
from pipeline.web.routes.filters import Filters, choice_of, filters_of
from pipeline.web.routes.parameters import Text
from pipeline.web.services import correct_files, recent_answers
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.views.charts import histogram
from pipeline.web.views.rendering import render

router = APIRouter(include_in_schema=False)
PAGE = Page("Browse", "/browse", 30)

SIZE = 48
MOST_SHOWN = 480
"""Photos that are shown again after an action on some of them."""

BINS = 20


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an action: a sentence, the photos that failed, and the files of a correction to undo."""

    said: str = ""
    failed: Sequence[Failure] = ()
    undo: str = ""


NOTHING = Done()


@router.get("/browse")
def page(request: Request, context: ContextDep, after: Text = "") -> Response:
    """Return the page; for htmx requests only its results, or only the next ones."""
    filters = filters_of(request.query_params)
    engine = context.database.reader()
    if _part(request) == "more" and engine is not None:
        found = _more(engine, context, filters, after)
        return render(
            request, "browse_more.html", filters=filters, page=found, seen=_versions(context, found)
        )
    done = Done(undo=recent_answers.to_text(recent_answers.of_browser(request, context)[-1:]))
    return show(request, context, filters, done, after)


@router.get("/browse/folders")
def folders(context: ContextDep, folder: Text = "") -> Response:
    """Return the folders that begin with what a visitor has typed, for the field Folder."""
    return JSONResponse(suggestions(context.settings, folder))


def show(
    request: Request,
    context: AppContext,
    filters: Filters,
    done: Done,
    after: str = "",
    size: int = SIZE,
) -> Response:
    """Return the page, for htmx requests only its results, with the result of an action."""
    engine = context.database.reader()
    values = _found(engine, context, filters, after, size) if engine else _empty()
    is_part = _part(request) == "results"
    return render(
        request,
        "browse_results.html" if is_part else "browse.html",
        filters=filters,
        done=done,
        seen=_versions(context, values["page"]),
        answers=context.answers(),
        labels=_others(context),
        most_corrected=correct_files.MOST,
        most_zipped=MOST_ZIPPED,
        whole=not is_part,
        **_form_choices(engine, context),
        **values,
    )


def _part(request: Request) -> str | None:
    """Return the id of the element that htmx replaces, None for the whole page."""
    return request.headers.get("hx-target") if "hx-request" in request.headers else None


def _versions(context: AppContext, page: Files) -> dict[int, str]:
    return correct_files.versions(context, [entry.id for entry in page.entries])


def _others(context: AppContext) -> list[str]:
    """Return the labels that have no button of their own."""
    return sorted({*context.folders()} - {answer.label for answer in context.answers()})


def _more(engine: Engine, context: AppContext, filters: Filters, after: str) -> Files:
    choice, _ = choice_of(filters, context.settings)
    return browse.page(engine, choice, _mark(engine, after), SIZE)


def _found(engine: Engine, context: AppContext, filters: Filters, after: str, size: int) -> dict[str, Any]:
    choice, wrong = choice_of(filters, context.settings)
    outcomes = context.outcomes(engine)
    mark = _mark(engine, after)
    found, counted = browse.first_page(engine, choice, outcomes, size)
    if mark is not None:
        found = browse.page(engine, choice, mark, size)
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
        "workers": list(context.worker_names().values()),
        "models": [bundle.name] if bundle else [],
        "folders": context.cache.get("folders", lambda: suggestions(context.settings, "")),
        "chart": histogram(bins, "Confidence of all photos") if any(bins) else "",
    }


def _mark(engine: Engine, after: str) -> Mark | None:
    """Return the position of the file `after`, None if it is not an id."""
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        return None
    return browse.mark(engine, int(after))
