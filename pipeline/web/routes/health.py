"""Is the server there? For load balancers and containers; tells nothing else, so it needs no token."""

from __future__ import annotations

from fastapi import APIRouter

from pipeline.web.middleware.openapi import answers

router = APIRouter(tags=["status"])


# `async`, so that it needs no thread: all of them may be at work.
@router.get("/healthz", responses=answers(421, 500, 503))
async def healthz() -> dict[str, str]:
    """Say that the server answers. What the worker does stands in `/api/status`."""
    return {"status": "ok"}
