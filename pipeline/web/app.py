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

from pipeline.child_process import Main
from pipeline.config import Settings
from pipeline.web.classifiers.classifier_pool import ClassifierPool
from pipeline.web.classifiers.classify import scratch_of
from pipeline.web.classifiers.heatmap_classifier import serve_trials
from pipeline.web.classifiers.labels import LabelRegistry
from pipeline.web.classifiers.model_registry import ModelRegistry
from pipeline.web.middleware import openapi, problems, visitor
from pipeline.web.middleware.conditional import Conditional
from pipeline.web.middleware.guard import SecurityMiddleware
from pipeline.web.middleware.sessions import Sessions
from pipeline.web.middleware.token_attempts import Attempts
from pipeline.web.routes import (
    api,
    browse,
    dashboard,
    file_detail,
    health,
    metrics,
    models,
    reports,
    review,
    session,
    thumbnails,
    try_photo,
)
from pipeline.web.services.byte_cache import ByteLRUCache
from pipeline.web.services.cached import Cache
from pipeline.web.services.context import AppContext, Page
from pipeline.web.services.database import DatabaseProvider
from pipeline.web.services.delivery import UploadDelivery
from pipeline.web.services.thumbnail_pool import ThumbnailPool
from pipeline.web.services.uploads import sweep
from pipeline.web.views.rendering import STATIC

ROOMS: tuple[ModuleType, ...] = (
    try_photo, review, browse, file_detail, dashboard, reports, models, api, thumbnails, metrics, health,
    session, visitor,
)  # fmt: skip


def create_app(
    settings: Settings, rooms: Sequence[ModuleType] = ROOMS, classifier: Main = serve_trials
) -> FastAPI:
    """Make the server's application; nothing is opened before the first request needs it.

    `classifier` is what runs in the children that classify, a parameter for tests.
    """
    app = FastAPI(
        title="Pawsort",
        summary="Ask what is on a photo, what became of each file, and mend decisions.",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,  # these pages would fetch scripts from another host
        redoc_url=None,
        redirect_slashes=False,  # by its full address, which behind a proxy is another one
        lifespan=_lifespan,
    )
    site = app.state.site = _site(settings, rooms, classifier)
    problems.register(app)
    app.add_middleware(Conditional)
    app.add_middleware(SecurityMiddleware, web=settings.web, sessions=site.sessions, attempts=site.attempts)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    openapi.describe(app, settings.web)
    for room in rooms:
        app.include_router(room.router)
    return app


def _site(settings: Settings, rooms: Sequence[ModuleType], classifier: Main) -> AppContext:
    store, choices = DatabaseProvider(settings), ModelRegistry(settings)
    return AppContext(
        settings=settings,
        store=store,
        painter=ThumbnailPool(settings.limits),
        shelf=ByteLRUCache(),
        kennel=ClassifierPool(settings, classifier),
        choices=choices,
        porter=UploadDelivery(settings, store),
        classes=LabelRegistry(settings, choices),
        cache=Cache(),
        sessions=Sessions(settings.web.token, settings.state / "signed_out.json"),
        attempts=Attempts(settings.web.token),
        pages=_pages(rooms),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    site: AppContext = app.state.site
    for folder in (*site.settings.inboxes, scratch_of(site.settings)):
        sweep(folder)
    yield
    site.kennel.close()
    site.painter.close()
    site.store.close()


def _pages(rooms: Sequence[ModuleType]) -> tuple[Page, ...]:
    pages: list[Page] = [room.PAGE for room in rooms if hasattr(room, "PAGE")]
    return tuple(sorted(pages, key=lambda page: page.order))
