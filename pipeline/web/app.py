"""The application: its rooms put together, behind one guard.

A room is a module with a `router`, and a `PAGE` if it stands in the navigation. To add one, write it and name
it in ROOMS.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import ModuleType

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from pipeline.config import Settings
from pipeline.web import health, login, pictures, problems, trying
from pipeline.web.painter import Painter
from pipeline.web.rendering import STATIC
from pipeline.web.safety import Guard
from pipeline.web.shelf import Shelf
from pipeline.web.site import Page, Site
from pipeline.web.store import Store

ROOMS: tuple[ModuleType, ...] = (trying, pictures, health, login)


def create_app(settings: Settings, rooms: Sequence[ModuleType] = ROOMS) -> FastAPI:
    """Make the server's application; nothing is opened before the first request needs it."""
    site = Site(settings, Store(settings), Painter(settings.limits), Shelf(), _pages(rooms))
    app = FastAPI(
        title="Pawsort",
        summary="Ask what is on a photo, what became of each file, and mend decisions.",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,  # these pages would fetch scripts from another host
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.site = site
    problems.register(app)
    app.add_middleware(Guard, web=settings.web)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for room in rooms:
        app.include_router(room.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.site.painter.close()
    app.state.site.store.close()


def _pages(rooms: Sequence[ModuleType]) -> tuple[Page, ...]:
    pages: list[Page] = [room.PAGE for room in rooms if hasattr(room, "PAGE")]
    return tuple(sorted(pages, key=lambda page: page.order))
