"""Open the database at the start; as a service, wait for one that cannot be used now.

Exit code 4 of a service then always needs a person, and systemd does not start it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from sqlalchemy import Engine

from db.connection.engine import DatabaseUnavailable, open_database
from db.connection.errors import LedgerError
from pipeline.errors import PawsortError
from pipeline.files.permissions import own_mode
from pipeline.service.watchdog import Watchdog
from pipeline.settings.config import Settings
from pipeline.worker.loop import BACKOFF_SECONDS

log = logging.getLogger(__name__)


def open_when_possible(settings: Settings, watchdog: Watchdog, once: bool) -> Engine:
    """Open the database. Raises DatabaseError; a service tries again, unless `once`, if it is unavailable."""
    for attempt in count():
        watchdog.prepare("opening the database")
        try:
            return open_database(settings.database_url, "worker", file_mode=own_mode(0o644))
        except DatabaseUnavailable as error:
            if once or not watchdog.has_manager:
                raise
            log.error("paused: %s; trying again", error)
            watchdog.prepare(f"paused: {error}")
        time.sleep(BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)])
    raise AssertionError("it tries for ever")


@contextmanager
def another_start(watchdog: Watchdog) -> Iterator[None]:
    """Let an error of the database that another start may end be an error of code 1 of a service."""
    try:
        yield
    except (DatabaseUnavailable, LedgerError) as error:
        if not watchdog.has_manager:
            raise
        raise PawsortError(str(error)) from error
