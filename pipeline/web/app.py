"""Build the FastAPI application from its routers, behind the security middleware.

A route module has a `router`, and a `PAGE` if it is in the navigation. To add one, list it in ROUTERS.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from fastapi import FastAPI, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from pipeline.child_process import Main
from pipeline.learning.learning_process import LearningProcess
from pipeline.settings.config import Settings
from pipeline.web.metrics.scrape import Scraper
from pipeline.web.middleware import openapi, problems
from pipeline.web.middleware.conditional import Conditional
from pipeline.web.middleware.guard import SecurityMiddleware
from pipeline.web.middleware.sessions import Sessions
from pipeline.web.middleware.token_attempts import Attempts
from pipeline.web.public_address import PublicAddress
from pipeline.web.routes import (
    api,
    check,
    dashboard,
    file_detail,
    metrics,
    models,
    reports,
    review,
    session,
    thumbnails,
    try_photo,
)
from pipeline.web.routes.browse import actions, downloads, requests_api, view
from pipeline.web.routes.browse import api as many_api
from pipeline.web.routes.browse import page as browse
from pipeline.web.routes.learning import api as learning_api
from pipeline.web.routes.learning import page as learning_page
from pipeline.web.served_models.classifier_pool import SERVE, ClassifierPool
from pipeline.web.served_models.label_choices import LabelRegistry
from pipeline.web.served_models.model_registry import ModelRegistry
from pipeline.web.services.byte_cache import ByteLRUCache
from pipeline.web.services.cached import Cache
from pipeline.web.services.classify_uploads import scratch_of
from pipeline.web.services.context import AppContext, Page, other_machines
from pipeline.web.services.database import DatabaseProvider
from pipeline.web.services.delivery import UploadDelivery, moving_inboxes
from pipeline.web.services.thumbnail_pool import ThumbnailPool
from pipeline.web.services.uploads import sweep
from pipeline.web.services.write_report import ReportWriter
from pipeline.web.views.rendering import STATIC

ROUTERS: tuple[ModuleType, ...] = (
    try_photo, review, check, browse, actions, downloads, view, file_detail, dashboard, reports,
    learning_page, models, api, many_api, requests_api, learning_api, thumbnails, metrics, session,
)  # fmt: skip


def create_app(
    settings: Settings,
    routers: Sequence[ModuleType] = ROUTERS,
    classifier: Main = SERVE,
    learn: Sequence[str] = (),
    report: Sequence[str] = (),
) -> FastAPI:
    """Return the application; database and models are opened by the first request that needs them.

    `classifier` is the main function of classifier processes; tests pass another one. `learn` is the command
    that learns, `report` the one that writes the report of a day; without them the pages start none.
    """
    app = FastAPI(
        title="Pawsort",
        summary="Classify photos, list the results, and correct decisions.",
        version="1",
        openapi_url=None,  # `openapi.describe` adds it
        docs_url=None,  # these pages load scripts from another host
        redoc_url=None,
        redirect_slashes=False,  # it redirects to a full address, which behind a proxy is another one
        lifespan=_lifespan,
    )
    context = app.state.context = _make_context(settings, routers, classifier, learn, report)
    app.state.scraper = Scraper(context)
    problems.register(app)
    app.add_middleware(Conditional)
    app.add_middleware(
        SecurityMiddleware, web=settings.web, sessions=context.sessions, attempts=context.attempts
    )
    app.add_middleware(PublicAddress, web=settings.web)  # what is added last sees a request first
    app.mount("/static", _WholeFiles(directory=STATIC), name="static")
    openapi.describe(app, settings.web)
    for module in routers:
        app.include_router(module.router)
    return app


class _WholeFiles(StaticFiles):
    """Files that are sent whole, as a server may whatever range a request wants: RFC 9110, section 14.2.

    Starlette's errors about ranges would be plain text.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        if "accept-ranges" in response.headers:
            del response.headers["accept-ranges"]
        return response


def _make_context(
    settings: Settings,
    routers: Sequence[ModuleType],
    classifier: Main,
    learn: Sequence[str],
    report: Sequence[str],
) -> AppContext:
    database, registry = DatabaseProvider(settings), ModelRegistry(settings)
    return AppContext(
        settings=settings,
        database=database,
        thumbnails=ThumbnailPool(settings.limits),
        pictures=ByteLRUCache(),
        classifiers=ClassifierPool(settings, classifier),
        models=registry,
        delivery=UploadDelivery(settings, database),
        labels=LabelRegistry(settings, registry),
        cache=Cache(),
        sessions=Sessions(settings.web.token, settings.state / "signed_out.json"),
        attempts=Attempts(settings.web.token),
        learning=LearningProcess(settings.state, learn),
        report_writer=ReportWriter(report),
        other_machines=other_machines(settings),
        pages=_pages(routers),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: AppContext = app.state.context
    for folder in (*moving_inboxes(context.settings), scratch_of(context.settings)):
        sweep(folder)
    yield
    context.learning.close()
    context.report_writer.close()
    context.classifiers.close()
    context.thumbnails.close()
    context.other_machines.pages.close()
    context.database.close()


def _pages(routers: Sequence[ModuleType]) -> tuple[Page, ...]:
    pages: list[Page] = [module.PAGE for module in routers if hasattr(module, "PAGE")]
    return tuple(sorted(pages, key=lambda page: page.order))
