"""Bring the sidecars of filed photos up to their answers; the ledger knows which are due.

First the sidecar is written, then the ledger: after a kill between the two it is written again, which changes
nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import monotonic

from sqlalchemy import Engine

from db.connection.errors import DatabaseError
from db.ledger.keywords import KeywordBook
from db.schema.records import Entry
from pipeline.errors import LockError
from pipeline.files.folders import SYSTEM_ERRNOS
from pipeline.keywords import sidecar
from pipeline.keywords.elements import UnusableSidecarError

log = logging.getLogger(__name__)

AT_ONCE = 20
"""Sidecars that are written between two steps of the worker; each is made durable, some milliseconds."""

WAIT_SECONDS = 60.0
"""After an error that concerns every file."""

AGAIN_SECONDS = 3600.0
"""After an error that concerns one sidecar; the others do not wait for it."""


class KeywordStep:
    """Write keywords a few at a time, if the settings want them (`on`).

    `lock` excludes commands that move photos; it raises LockError.
    """

    def __init__(
        self,
        engine: Engine,
        on: bool,
        lock: Callable[[], AbstractContextManager[None]],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.idle = not on
        self._on = on
        self._book = KeywordBook(engine)
        self._lock = lock
        self._clock = clock
        self._resume_at = float("-inf")
        self._after = 0  # the last photo whose sidecar could not be written
        self._again_at = float("inf")
        self._said: set[int] = set()

    def advance(self) -> None:
        """Write the keywords of the next photos; an error is logged, and tried again later."""
        if not self._on or self._clock() < self._resume_at:
            return
        self.idle = False
        try:
            with self._lock():
                self.idle = not self._write_some()
        except LockError:
            return
        except (OSError, DatabaseError) as error:
            log.warning("keywords are not written: %s; trying again in %d s", error, WAIT_SECONDS)
            self.idle, self._resume_at = True, self._clock() + WAIT_SECONDS

    def _write_some(self) -> int:
        if self._clock() >= self._again_at:
            self._after, self._again_at = 0, float("inf")
        due = self._book.due(AT_ONCE, after=self._after)
        for entry, keyword in due:
            try:
                _write_due(self._book, entry, keyword)
            except OSError as error:
                if error.errno in SYSTEM_ERRNOS:
                    raise
                self._pass_by(entry, error)
        return len(due)

    def _pass_by(self, entry: Entry, error: OSError) -> None:
        """Go on with the photos after this one, since due ones come by their numbers; try it again later."""
        self._after = entry.id
        self._again_at = min(self._again_at, self._clock() + AGAIN_SECONDS)
        if entry.id not in self._said:
            self._said.add(entry.id)
            log.warning(
                "the keyword of %a is not written: %s; trying again in %d s", entry.path, error, AGAIN_SECONDS
            )


def write_due(book: KeywordBook, file_id: int) -> None:
    """Write the keyword of a photo if it is due.

    The caller holds the lock of those who move photos. Raises OSError, DatabaseError.
    """
    for entry, keyword in book.due(1, [file_id]):
        _write_due(book, entry, keyword)


def _write_due(book: KeywordBook, entry: Entry, keyword: str) -> None:
    if os.path.lexists(entry.path or b""):
        _write(book, entry, keyword)
    else:
        book.write(entry.id, keyword)  # when it comes back, its sidecar does too


def take_out(book: KeywordBook, entry: Entry) -> tuple[bytes, ...]:
    """Take the keyword of a photo out of its sidecar, before it leaves `sorted`; return its companions then.

    Raises OSError, DatabaseError.
    """
    if entry.keyword is None:
        return entry.companion_names
    book.write(entry.id, "")  # first: if its move is given up, the keyword is due again
    return _write(book, entry, "")


def _write(book: KeywordBook, entry: Entry, keyword: str) -> tuple[bytes, ...]:
    try:
        names = sidecar.write(entry, keyword)
    except UnusableSidecarError as error:
        log.warning("the keyword of %a is not written, its sidecar stays as it is: %s", entry.path, error)
        book.write(entry.id, None)
        return entry.companion_names
    book.write(entry.id, keyword, names)
    return names
