"""`/metrics` in the text format of Prometheus, and `/healthz`, which reveals nothing and needs no token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from pipeline.reports.drift import RULES
from pipeline.web.middleware.openapi import ALWAYS, answers
from pipeline.web.services.context import ContextDep
from pipeline.worker.heartbeat import Heartbeat
from pipeline.worker.status import Status

router = APIRouter(tags=["status"])

TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics", response_class=PlainTextResponse, responses=answers(*ALWAYS))
def metrics(context: ContextDep) -> PlainTextResponse:
    """Return all gauges; source of the format: Prometheus, "Exposition formats", version 0.0.4."""
    return PlainTextResponse("".join(lines(context.status())), media_type=TYPE)


# `async`, so that it needs no thread: all of them may be busy.
@router.get("/healthz", responses=answers(421, 500, 503))
async def healthz() -> dict[str, str]:
    """Return that the server responds. `/api/status` returns the state of the worker."""
    return {"status": "ok"}


Sample = tuple[Mapping[str, str], float]


def lines(status: Status) -> Iterator[str]:
    """Yield the lines of each metric, starting with its help and type."""
    beat = status.beat
    alive = status.worker in ("running", "starting")
    yield from _gauge("pawsort_worker_up", "1 if a worker is running.", [({}, float(alive))])
    files = [({"outcome": outcome}, float(count)) for outcome, count in status.counts.items()]
    yield from _gauge("pawsort_files", "Files by outcome.", files)
    yield from _drift(status)
    if beat is None:
        return
    healthy = [({"health": name}, float(beat.health == name)) for name in ("ok", "degraded", "red")]
    yield from _gauge("pawsort_worker_health", "1 for the current health of the worker.", healthy)
    since = beat.at.timestamp()
    yield from _gauge(
        "pawsort_heartbeat_timestamp_seconds", "Time of the last heartbeat of the worker.", [({}, since)]
    )
    yield from _gauge("pawsort_waiting_files", "Files in inboxes and spool.", [({}, float(beat.waiting))])
    yield from _gauge(
        "pawsort_filed_files_per_second", "Files filed, over the last minute.", [({}, beat.rate_per_second)]
    )
    yield from _model(beat)
    if beat.disk_free_bytes is not None:
        free = float(beat.disk_free_bytes)
        yield from _gauge(
            "pawsort_disk_free_bytes", "Free space on the disk of the sorted folder.", [({}, free)]
        )
    inboxes = [({"inbox": inbox.path}, float(inbox.health != "red")) for inbox in beat.inboxes]
    yield from _gauge("pawsort_inbox_up", "1 if the inbox is available.", inboxes)


def _drift(status: Status) -> Iterator[str]:
    if status.drift is None:
        return
    alarmed = {alarm.measure for alarm in status.drift.alarms}
    samples = [({"measure": name}, float(name in alarmed)) for name in RULES]
    yield from _gauge(
        "pawsort_drift", "1 if this figure of photos is out of line with the last weeks.", samples
    )


def _model(beat: Heartbeat) -> Iterator[str]:
    """Yield the model that files photos, and whether it is the one in force."""
    if beat.model is None:
        return
    names = {"model": beat.model, "sha256": beat.model_sha256 or ""}
    yield from _gauge("pawsort_model_info", "1 for the model that files photos.", [(names, 1.0)])
    if beat.model_version is None:
        return
    version, refused = float(beat.model_version), float(beat.model_problem is not None)
    yield from _gauge("pawsort_model_version", "Version of that model, 0 for the base.", [({}, version)])
    words = "1 if the version in force cannot be used."
    yield from _gauge("pawsort_model_refused", words, [({}, refused)])


def _gauge(name: str, words: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {words}\n# TYPE {name} gauge\n"
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        number = f"{value:.0f}" if value.is_integer() else repr(value)
        yield f"{name}{{{inside}}} {number}\n" if inside else f"{name} {number}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
