"""What every route may use: the settings, the database, and the pages that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy import Engine

from db.queries import listing
from pipeline.config import Settings
from pipeline.web.classifiers.classifier_pool import Kennel
from pipeline.web.classifiers.labels import Classes
from pipeline.web.classifiers.model_registry import Choices
from pipeline.web.middleware.sessions import Sessions
from pipeline.web.middleware.token_attempts import Attempts
from pipeline.web.services.byte_cache import Shelf
from pipeline.web.services.cached import Cache
from pipeline.web.services.database import Store
from pipeline.web.services.delivery import Porter
from pipeline.web.services.thumbnail_pool import Painter


@dataclass(frozen=True, slots=True)
class Page:
    """An entry of the navigation; smaller `order` stands further left."""

    title: str
    path: str
    order: int


@dataclass(frozen=True, slots=True)
class Site:
    """One server: made by `create_app`, found by routes as `request.app.state.site`."""

    settings: Settings
    store: Store
    painter: Painter
    shelf: Shelf
    kennel: Kennel
    choices: Choices
    porter: Porter
    classes: Classes
    cache: Cache
    sessions: Sessions
    attempts: Attempts
    pages: tuple[Page, ...]

    def counts(self, engine: Engine) -> dict[str, int]:
        """Count the files by outcome, as `queries.counts`; kept for a while, since a million takes long."""
        return self.cache.get("counts", lambda: listing.counts(engine))


def site_of(request: Request) -> Site:
    """Return the site that a request is for."""
    return cast(Site, request.app.state.site)


Here = Annotated[Site, Depends(site_of)]
"""The type of a route's parameter that is the site."""
