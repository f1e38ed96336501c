"""`/metrics` in the text format of Prometheus, and `/healthz`, which reveals nothing and needs no token."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse

from pipeline.web.metrics import exposition
from pipeline.web.metrics.scrape import Scraper
from pipeline.web.middleware.openapi import ALWAYS, answers

router = APIRouter(tags=["status"])


def scraper_of(request: Request) -> Scraper:
    """Return the collector of metrics of the application that serves a request."""
    return cast(Scraper, request.app.state.scraper)


@router.get("/metrics", response_class=PlainTextResponse, responses=answers(*ALWAYS))
def metrics(scraper: Annotated[Scraper, Depends(scraper_of)]) -> PlainTextResponse:
    """Return all metrics that are known within two seconds, also without the database or the worker."""
    return PlainTextResponse(exposition.text(scraper.metrics()), media_type=exposition.MEDIA_TYPE)


# `async`, so that it needs no thread: all of them may be busy.
@router.get("/healthz", responses=answers(421, 500, 503))
async def healthz() -> dict[str, str]:
    """Return that the server responds. `/api/status` returns the state of the worker."""
    return {"status": "ok"}
