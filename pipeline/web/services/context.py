"""What every route may use: the settings, the database, and the pages that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy import Engine

from db.queries import listing
from pipeline.config import Settings
from pipeline.web.classifiers.classifier_pool import ClassifierPool
from pipeline.web.classifiers.labels import LabelRegistry
from pipeline.web.classifiers.model_registry import ModelRegistry
from pipeline.web.middleware.sessions import Sessions
from pipeline.web.middleware.token_attempts import Attempts
from pipeline.web.services.byte_cache import ByteLRUCache
from pipeline.web.services.cached import Cache
from pipeline.web.services.database import DatabaseProvider
from pipeline.web.services.delivery import UploadDelivery
from pipeline.web.services.thumbnail_pool import ThumbnailPool


@dataclass(frozen=True, slots=True)
class Page:
    """An entry of the navigation; smaller `order` stands further left."""

    title: str
    path: str
    order: int


@dataclass(frozen=True, slots=True)
class AppContext:
    """One server: made by `create_app`, found by routes as `request.app.state.site`."""

    settings: Settings
    store: DatabaseProvider
    painter: ThumbnailPool
    shelf: ByteLRUCache
    kennel: ClassifierPool
    choices: ModelRegistry
    porter: UploadDelivery
    classes: LabelRegistry
    cache: Cache
    sessions: Sessions
    attempts: Attempts
    pages: tuple[Page, ...]

    def counts(self, engine: Engine) -> dict[str, int]:
        """Count the files by outcome, as `queries.counts`; kept for a while, since a million takes long."""
        return self.cache.get("counts", lambda: listing.counts(engine))


def site_of(request: Request) -> AppContext:
    """Return the site that a request is for."""
    return cast(AppContext, request.app.state.site)


ContextDep = Annotated[AppContext, Depends(site_of)]
"""The type of a route's parameter that is the site."""
