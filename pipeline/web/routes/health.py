"""Liveness check for load balancers and containers; reveals nothing else, so it needs no token."""

from __future__ import annotations

from fastapi import APIRouter

from pipeline.web.middleware.openapi import answers

router = APIRouter(tags=["status"])


# `async`, so that it needs no thread: all of them may be busy.
@router.get("/healthz", responses=answers(421, 500, 503))
async def healthz() -> dict[str, str]:
    """Return that the server responds. `/api/status` returns the state of the worker."""
    return {"status": "ok"}
