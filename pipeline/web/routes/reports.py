"""The page Reports: nightly summaries as a chart and tables, and the files for download."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from email.utils import formatdate
from itertools import islice
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import StreamingResponse
from markupsafe import Markup
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from db.queries import listing
from pipeline.decision import UNCERTAIN
from pipeline.errors import PawsortError
from pipeline.reports.calendar_days import day_of, days_between, last_due
from pipeline.reports.summary_rows import by_inbox
from pipeline.web.middleware.conditional import BODILESS, is_fresh
from pipeline.web.middleware.etags import tag_of
from pipeline.web.middleware.problems import Problem
from pipeline.web.middleware.redirects import see_other
from pipeline.web.routes.parameters import Text
from pipeline.web.services import report_files
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.services.report_files import Day
from pipeline.web.views.charts import columns, legend, series_of
from pipeline.web.views.rendering import render
from pipeline.worker.known_workers import WorkerSeen, seen

router = APIRouter(prefix="/reports", include_in_schema=False)
PAGE = Page("Reports", "/reports", 50)

DAYS = 30
LISTED = 90

ALWAYS = ("summary", "images", "drift")
"""Kinds of files that the list of all days has a column for, also if there is none."""

MOST_MISSING = 7
LOOK_BACK = timedelta(days=366)
"""Days without a report that the page offers to write, and how far back it looks for them."""


@router.get("")
def page(request: Request, context: ContextDep, day: Text = "") -> Response:
    """Return the page, with one day in detail. Raises Problem 404 for a day without reports."""
    return _show(request, context, day)


@router.post("/write")
def write(request: Request, context: ContextDep, day: Annotated[str, Form(max_length=20)] = "") -> Response:
    """Write the reports of a day now, of today so far without one, and show them."""
    today = _today(context)
    try:
        wanted = date.fromisoformat(day) if day else today
    except ValueError:
        return _show(request, context, "", f"{day}: expected a day, such as {today}", 422)
    if not (_first_day(context) or today) <= wanted <= today:
        return _show(request, context, "", f"There are no photos of {wanted}: nothing to report", 422)
    try:
        is_done = context.report_writer.write(wanted)
    except PawsortError as error:
        return _show(request, context, "", f"The report of {wanted} was not written: {error}", 409)
    finally:
        context.cache.forget()
    return see_other(request, f"/reports?day={wanted}#day" if is_done else "/reports")


def _show(request: Request, context: AppContext, day: str, wrong: str = "", status: int = 200) -> Response:
    folder = context.settings.reports
    found = report_files.days(folder)
    if day and day not in {each.day for each in found}:
        raise Problem(
            404, f"There is no report for {day[:20]}.", "Choose one of the days on the page Reports."
        )
    chosen = next((each for each in found if each.day == day), found[0] if found else None)
    reporter = _other_reporter(context)
    response = render(
        request,
        "reports.html",
        days=found[:LISTED],
        kinds=[kind for kind in report_files.KINDS if kind in ALWAYS or any(kind in d.sizes for d in found)],
        periods=report_files.periods(folder),
        chosen=chosen,
        inboxes=_by_inbox(report_files.summary(folder, chosen.day)) if chosen else {},
        alarms=report_files.drift(folder, chosen.day) if chosen else [],
        chart=context.cache.get(("reports", _stamp(found)), lambda: _chart(context, found)),
        report=context.settings.report,
        writer=context.report_writer,
        today=_today(context),
        missing=[] if reporter else _missing(context, {each.day for each in found}),
        reporter=reporter,
        wrong=wrong,
    )
    response.status_code = status
    return response


@router.get("/{name}")
def download(request: Request, context: ContextDep, name: str) -> Response:
    """Send a report as a file. Raises Problem 404 for anything else."""
    return _download(request, context, name)


@router.get("/{kind}/{name}")
def download_summary(request: Request, context: ContextDep, kind: str, name: str) -> Response:
    """Send a summary of a month or year as a file. Raises Problem 404 for anything else."""
    return _download(request, context, f"{kind}/{name}")


def _download(request: Request, context: AppContext, name: str) -> Response:
    found = report_files.open_report(context.settings.reports, name)
    if found is None:
        raise Problem(404, "No report has that name.", "Choose one of the files on the page Reports.")
    descriptor, size = found
    saved_as, media_type = name.rpartition("/")[2], report_files.media_type(name)
    headers = {"Content-Disposition": f'attachment; filename="{saved_as}"', "Content-Length": str(size)}
    headers |= _version(descriptor)
    if BODILESS in request.scope or is_fresh(request.headers, Headers(headers)):
        os.close(descriptor)
        return Response(media_type=media_type, headers=headers)
    return _ReportResponse(open(descriptor, "rb"), headers, media_type)


def _now() -> datetime:
    return datetime.now(UTC)


def _today(context: AppContext) -> date:
    return day_of(_now(), context.settings.report.zone)


def _first_day(context: AppContext) -> date | None:
    """Return the day of the first arrival, None if nothing has arrived."""
    engine = context.database.reader()
    first = context.cache.get("first arrival", lambda: listing.first_seen_at(engine)) if engine else None
    return first and day_of(first, context.settings.report.zone)


def _other_reporter(context: AppContext) -> WorkerSeen | None:
    """Return the worker of another machine that writes the reports, None if none does."""
    found = seen(context.database.reader(), context.settings.state)
    return next((worker for worker in found if worker.reports and not worker.is_own), None)


def _missing(context: AppContext, found: Collection[str]) -> list[str]:
    """Return the newest finished days without a report, at most MOST_MISSING."""
    first, zone = _first_day(context), context.settings.report.zone
    if first is None:
        return []
    last = last_due(_now(), time.fromisoformat(context.settings.report.at), zone)
    days = (day.isoformat() for day in reversed(days_between(max(first, last - LOOK_BACK), last, zone)))
    return list(islice((day for day in days if day not in found), MOST_MISSING))


class _ReportResponse(StreamingResponse):
    """Sends a file, and closes it in the end, even if the client leaves before the first byte."""

    def __init__(self, file: BinaryIO, headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(report_files.pieces(file), media_type=media_type, headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)


def _version(descriptor: int) -> dict[str, str]:
    """Return the headers that identify a version of a file."""
    status = os.fstat(descriptor)
    tag = tag_of(repr((status.st_ino, status.st_size, status.st_mtime_ns)).encode())
    changed = formatdate(status.st_mtime, usegmt=True)
    return {"ETag": tag, "Last-Modified": changed, "Cache-Control": "private, no-cache"}


def _stamp(found: Sequence[Day]) -> tuple[tuple[str, int | None], ...]:
    return tuple((day.day, day.summary) for day in found[:DAYS])


def _chart(context: AppContext, found: Sequence[Day]) -> Markup:
    """Draw the last days that have a summary."""
    shown = [day.day for day in reversed(found[:DAYS]) if day.summary is not None]
    bars = [
        (_short(day), report_files.counts(report_files.summary(context.settings.reports, day)))
        for day in shown
    ]
    others = {outcome for _, counts in bars for outcome in counts}
    first = context.labels.outcomes()
    series = series_of([*first, *sorted(others - {*first})])
    return (
        columns("Photos that arrived, by day and outcome", bars, series) + legend(series)
        if bars
        else Markup("")
    )


def _short(day: str) -> str:
    try:
        return f"{date.fromisoformat(day):%-d %b}"
    except ValueError:  # a date that does not exist, such as 30 February, in the name of a file
        return day


def _by_inbox(rows: Sequence[dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Group the rows of a summary by inbox, with numbers parsed."""
    found: dict[str, dict[str, Any]] = {}
    for name, row in by_inbox(rows):
        inbox = found.setdefault(name, {"arrived": row.get("arrived", ""), "rows": [], "reconciles": True})
        inbox["reconciles"] = inbox["reconciles"] and row.get("reconciles") == "true"
        values = {name: _number(value) for name, value in row.items()}
        inbox["rows"].append(values | {"median": _median(values)})
    return found


def _median(row: Mapping[str, Any]) -> Any:
    """Return the median of the shown probability; reports from before it have that of the confidence.

    Where photos of neither are, that is another number, so nothing is shown.
    """
    before = None if row["outcome"] == UNCERTAIN else row.get("confidence_p50")
    return row.get("shown_probability_p50", before)


def _number(text: str) -> Any:
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        return text
