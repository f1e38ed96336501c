"""The page Reports: nightly summaries as a chart and tables, and the CSV files for download."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date
from email.utils import formatdate
from typing import Any, BinaryIO

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from markupsafe import Markup
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from pipeline.web.middleware.conditional import BODILESS, is_fresh
from pipeline.web.middleware.etags import tag_of
from pipeline.web.middleware.problems import Problem
from pipeline.web.routes.parameters import Text
from pipeline.web.services import report_files
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.services.report_files import Day
from pipeline.web.views.charts import columns, legend, series_of
from pipeline.web.views.rendering import render

router = APIRouter(prefix="/reports", include_in_schema=False)
PAGE = Page("Reports", "/reports", 50)

DAYS = 30
LISTED = 90


@router.get("")
def page(request: Request, context: ContextDep, day: Text = "") -> Response:
    """Return the page, with one day in detail. Raises Problem 404 for a day without reports."""
    folder = context.settings.reports
    found = report_files.days(folder)
    if day and day not in {each.day for each in found}:
        raise Problem(
            404, f"There is no report for {day[:20]}.", "Choose one of the days on the page Reports."
        )
    chosen = day or next((each.day for each in found), "")
    return render(
        request,
        "reports.html",
        days=found[:LISTED],
        chosen=chosen,
        inboxes=_by_inbox(report_files.summary(folder, chosen)) if chosen else {},
        drift=next((each.drift for each in found if each.day == chosen), None),
        alarms=report_files.drift(folder, chosen) if chosen else [],
        chart=context.cache.get(("reports", _stamp(found)), lambda: _chart(context, found)),
        at=context.settings.report.at,
        timezone=context.settings.report.timezone,
    )


@router.get("/{name}")
def download(request: Request, context: ContextDep, name: str) -> Response:
    """Send a report as a file. Raises Problem 404 for anything else."""
    found = report_files.open_report(context.settings.reports, name)
    if found is None:
        raise Problem(404, "No report has that name.", "Choose one of the files on the page Reports.")
    descriptor, size = found
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    headers |= _version(descriptor)
    if BODILESS in request.scope or is_fresh(request.headers, Headers(headers)):
        os.close(descriptor)
        return Response(media_type="text/csv", headers=headers)
    return _ReportResponse(open(descriptor, "rb"), headers)


class _ReportResponse(StreamingResponse):
    """Sends a file, and closes it in the end, even if the client leaves before the first byte."""

    def __init__(self, file: BinaryIO, headers: Mapping[str, str]) -> None:
        super().__init__(report_files.pieces(file), media_type="text/csv", headers=headers)
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


def _stamp(found: Sequence[Day]) -> tuple[Day, ...]:
    return tuple(found[:DAYS])


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
    for row in rows:
        inbox = found.setdefault(
            row["inbox"], {"arrived": row.get("arrived", ""), "rows": [], "reconciles": True}
        )
        inbox["reconciles"] = inbox["reconciles"] and row.get("reconciles") == "true"
        inbox["rows"].append({name: _number(value) for name, value in row.items()})
    return found


def _number(text: str) -> Any:
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        return text
