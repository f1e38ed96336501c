"""The application context: the objects that routes and services share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple, cast

from fastapi import Depends, Request
from sqlalchemy import Engine

from db.queries import listing
from db.queries.requests import has_one_owner
from db.queries.workers import KnownWorker
from db.schema.worker_tables import FIRST
from pipeline.corrections.own_folders import own_folders, with_own_folders
from pipeline.learning.learning_process import LearningProcess
from pipeline.requests.owners import known_workers, name_of, others_of
from pipeline.settings.config import Settings
from pipeline.web.elsewhere.owner import Owner
from pipeline.web.elsewhere.owners_pages import OwnersPages
from pipeline.web.elsewhere.shared_folders import SharedFolders
from pipeline.web.middleware.sessions import Sessions
from pipeline.web.middleware.token_attempts import Attempts
from pipeline.web.served_models.classifier_pool import ClassifierPool
from pipeline.web.served_models.label_choices import Answer, LabelRegistry
from pipeline.web.served_models.model_registry import ModelRegistry
from pipeline.web.services.byte_cache import ByteLRUCache
from pipeline.web.services.cached import Cache
from pipeline.web.services.database import DatabaseProvider
from pipeline.web.services.delivery import UploadDelivery
from pipeline.web.services.thumbnail_pool import ThumbnailPool
from pipeline.web.services.write_report import ReportWriter
from pipeline.worker import status as worker_status
from pipeline.worker.identity import own_id
from pipeline.worker.status import Status

MOST_OWN = 6
"""Largest number of people's folders with a button and a key of their own, those with the most photos."""


@dataclass(frozen=True, slots=True)
class Page:
    """An entry of the navigation, sorted by `order`."""

    title: str
    path: str
    order: int


class OtherMachines(NamedTuple):
    """The ways to the files of other machines: folders that are shared, and the pages there."""

    shared: SharedFolders
    pages: OwnersPages


@dataclass(frozen=True, slots=True)
class AppContext:
    """The objects of one server; `create_app` makes it, and routes get it as a `ContextDep`."""

    settings: Settings
    database: DatabaseProvider
    thumbnails: ThumbnailPool
    pictures: ByteLRUCache
    classifiers: ClassifierPool
    models: ModelRegistry
    delivery: UploadDelivery
    labels: LabelRegistry
    cache: Cache
    sessions: Sessions
    attempts: Attempts
    learning: LearningProcess
    report_writer: ReportWriter
    other_machines: OtherMachines
    pages: tuple[Page, ...]

    @property
    def _neither(self) -> str:
        return self.settings.outcomes.neither

    def counts(self, engine: Engine) -> dict[str, int]:
        """Return the number of files by outcome; cached, because counting a million rows is slow."""
        return self.cache.get("counts", lambda: listing.counts(engine))

    def outcomes(self, engine: Engine) -> tuple[str, ...]:
        """Return the folders that a file may be in: those of `labels`, then those that people made."""
        own = own_folders(self.labels.folders(), self.counts(engine), self._neither)
        return (*self.labels.outcomes(), *own)

    def folders(self) -> dict[str, str]:
        """Return the folder of each label: the model's, and those of people that have photos."""
        engine = self.database.reader()
        return with_own_folders(self.labels.folders(), self.counts(engine) if engine else (), self._neither)

    def answers(self) -> tuple[Answer, ...]:
        """Return the labels to choose from, with a key each: the model's, neither, and people's folders."""
        engine = self.database.reader()
        counts = self.counts(engine) if engine else {}
        own = sorted(
            own_folders(self.labels.folders(), counts, self._neither), key=lambda name: -counts[name]
        )
        return self.labels.answers(sorted(own[:MOST_OWN]))

    def own_id(self) -> int:
        """Return the id of this machine's worker, 0 if it has never started."""
        engine = self.database.reader()
        if engine is None or has_one_owner(engine):
            return FIRST
        return self.cache.get("own id", lambda: own_id(engine, self.settings))

    def workers(self) -> dict[int, KnownWorker]:
        """Return the workers of the database by id; none on SQLite, which has one."""
        engine = self.database.reader()
        if engine is None or has_one_owner(engine):
            return {}
        return self.cache.get("workers", lambda: known_workers(engine))

    def owner_of(self, file_id: int) -> Owner | None:
        """Return the worker of another machine that has a file; None for one of this machine."""
        engine = self.database.reader()
        other = others_of(engine, self.own_id(), [file_id]).get(file_id) if engine else None
        if other is None:
            return None
        worker = self.workers().get(other)
        return Owner(other, name_of(worker), worker.address if worker else None)

    def worker_names(self) -> dict[int, str]:
        """Return the names of the workers by id, if there are many."""
        found = {id: worker.name for id, worker in self.workers().items()}
        return found if len(found) > 1 else {}

    def status(self) -> Status:
        """Return the status of the worker, with the cached counts."""
        return worker_status.read(self.settings, self.database.reader(), count=self.counts)


def other_machines(settings: Settings) -> OtherMachines:
    """Return the ways to the files of other machines."""
    return OtherMachines(SharedFolders(settings), OwnersPages(settings.web.token))


def context_of(request: Request) -> AppContext:
    """Return the context of the application that serves a request."""
    return cast(AppContext, request.app.state.context)


ContextDep = Annotated[AppContext, Depends(context_of)]
"""The type of a route's parameter that receives the context."""
