"""The page Today: state of the worker, files of the last days, and failures by reason."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from markupsafe import Markup
from sqlalchemy import Engine

from db.queries import listing, overview, review
from pipeline.reports import drift_alarms
from pipeline.reports.calendar_days import bounds, day_of
from pipeline.settings.sections import WatchSettings
from pipeline.web.middleware.redirects import see_other
from pipeline.web.middleware.visitor import visitor_name
from pipeline.web.services import correct_files
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.views.charts import columns, legend, series_of
from pipeline.web.views.rendering import render
from pipeline.worker import heartbeat, known_workers
from pipeline.worker.heartbeat import Heartbeat, Liveness
from pipeline.worker.locks import holder

router = APIRouter(prefix="/today", include_in_schema=False)
PAGE = Page("Today", "/today", 40)

DAYS = 14


@dataclass(frozen=True, slots=True)
class Pulse:
    """State of the worker for the page; `mood` is good, warn or bad."""

    mood: str
    headline: str
    reasons: tuple[str, ...]
    worker: Liveness
    beat: Heartbeat | None
    disk_free: int | None
    disk_total: int | None


@router.get("")
def page(request: Request, context: ContextDep) -> Response:
    """Return the page."""
    return render(request, "today.html", **_values(context), wrong=[])


@router.get("/now")
def now(request: Request, context: ContextDep) -> Response:
    """Return the part of the page that is updated every few seconds."""
    return render(request, "today_now.html", **_values(context))


@router.post("/retry")
def retry(request: Request, context: ContextDep, reason: Annotated[str, Form()]) -> Response:
    """Retry the newest files that failed for a reason, at most `corrections.MOST`."""
    engine = context.database.reader()
    ids = overview.failed_ids(engine, reason, correct_files.MOST) if engine else []
    known = correct_files.current(context, ids)
    wrong = (
        correct_files.problems(correct_files.retry(context, visitor_name(request), known)) if known else []
    )
    context.cache.forget()
    if not wrong:
        return see_other(request, "/today")
    response = render(request, "today.html", **_values(context), wrong=wrong)
    response.status_code = 409
    return response


def _values(context: AppContext) -> dict[str, Any]:
    engine = context.database.reader()
    workers = known_workers.seen(engine, context.settings.state)
    values: dict[str, Any] = {
        "pulse": pulse_of(context),
        "polling": polling_interval(context.settings.watch),
        "is_new": engine is None,
        "at": datetime.now(UTC),
        "drift": None
        if known_workers.another_reports(workers)
        else drift_alarms.read(context.settings.state),
        "workers": workers,
        "none_watches": known_workers.none_watches(workers),
    }
    if engine is None:
        return {
            **values,
            "counts": {},
            "last": None,
            "failures": [],
            "chart": "",
            "today": {},
            "most": 0,
            "left": 0,
        }
    return {**values, **_counted(engine, context)}


def _counted(engine: Engine, context: AppContext) -> dict[str, Any]:
    days = context.cache.get("days", lambda: _days(engine, context))
    return {
        "counts": context.counts(engine),
        "last": listing.last_filed(engine),
        "failures": context.cache.get("failures", lambda: overview.failures(engine)),
        "today": days[-1][1],
        "chart": context.cache.get("chart", lambda: _chart(days, context.outcomes(engine))),
        "most": correct_files.MOST,
        "left": context.cache.get("left", lambda: sum(review.left(engine).values())),
    }


def _days(engine: Engine, context: AppContext) -> list[tuple[str, dict[str, int]]]:
    zone = context.settings.report.zone
    last = day_of(datetime.now(UTC), zone)
    days = [last - timedelta(days=back) for back in reversed(range(DAYS))]
    counted = overview.by_day(engine, [bounds(day, zone) for day in days], context.outcomes(engine))
    return [(f"{day:%-d %b}", counts) for day, counts in zip(days, counted, strict=True)]


def _chart(days: list[tuple[str, dict[str, int]]], outcomes: Sequence[str]) -> Markup:
    series = series_of(outcomes)
    return columns(f"Photos that arrived in the last {DAYS} days, by outcome", days, series) + legend(series)


def pulse_of(context: AppContext) -> Pulse:
    """Read the state of the worker from its lock and heartbeat, without the database."""
    state = context.settings.state
    pid = holder(state)
    beat = heartbeat.read(state / heartbeat.FILE_NAME)
    if beat and pid and beat.pid != pid:
        beat = None  # written by a previous worker; the current one has not written one yet
    worker = heartbeat.liveness(beat, datetime.now(UTC), pid is not None)
    mood, headline = headline_of(worker, beat)
    free = beat.disk_free_bytes if beat else None
    return Pulse(mood, headline, beat.reasons if beat else (), worker, beat, free, _disk_total(context))


def headline_of(worker: Liveness, beat: Heartbeat | None) -> tuple[str, str]:
    """Return the mood and the headline for a state of the worker."""
    if worker == "died":
        return "bad", "The worker died. Start it again with pawsort run; nothing is lost."
    if worker == "stopped":
        return "bad", "No worker is running. Start it with pawsort run."
    if worker == "stalled":
        return "bad", "The worker is not responding: no heartbeat for some seconds."
    if worker == "starting" or beat is None or beat.state == "starting":
        return "warn", "The worker is starting."
    if beat.state == "paused" or beat.health == "red":
        return "bad", "The worker is paused. It retries automatically."
    if beat.health == "degraded":
        return "warn", "The worker is running with problems."
    if beat.state == "stopping":
        return "warn", "The worker is stopping."
    return "good", "The worker is processing photos." if beat.waiting else "The worker is waiting for photos."


def polling_interval(watch: WatchSettings) -> str:
    """Return how often an inbox without events is scanned: large ones more slowly, as `Inbox` does."""
    least, most = min(watch.rescan_seconds, max(1.0, watch.settle_seconds)), watch.rescan_seconds
    return f"{least:g} s" if least == most else f"{least:g} to {most:g} s"


def _disk_total(context: AppContext) -> int | None:
    try:
        return shutil.disk_usage(context.settings.sorted).total
    except OSError:
        return None
