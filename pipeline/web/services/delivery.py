"""Bringing an upload into an inbox, from where it takes the way of any file.

The order is what counts: the file is durable under a name that the worker leaves alone, then it gets its own,
then that is durable, and only then the client hears of it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from db.queries.listing import arrived_as
from pipeline.config import Settings
from pipeline.files import moves
from pipeline.permissions import as_usual
from pipeline.watch.ignore_rules import ignorer
from pipeline.web.middleware.problems import Problem
from pipeline.web.services.database import DatabaseProvider
from pipeline.web.services.uploads import Upload

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
"""What is kept of the name that a client gives; any other ending might make the inbox leave a file alone."""

_TRIES = 10


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file in an inbox, or one that was there before; `id` is its row's, once the worker has it."""

    name: str
    inbox: str
    bytes: int
    sha256: str
    already: bool = False
    id: int | None = None


class UploadDelivery:
    """Delivers uploads; for all threads."""

    def __init__(self, settings: Settings, store: DatabaseProvider) -> None:
        self._ignored = ignorer(settings.watch.ignore)
        self._store = store
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[threading.Lock, int]] = {}

    def deliver(self, upload: Upload, inbox: Path, key: str | None = None) -> Delivery:
        """Bring a file into `inbox`, which holds it under its first name; with a `key`, once only.

        Durable when it returns. Raises Problem 409 (the settings ignore such names), 422 (the key was
        another file's), 503; OSError.
        """
        _sync(upload.path)
        if key is None:
            return self._carry(upload, inbox, _new_stem())
        with self._alone(key):
            stem = "upload-" + hashlib.sha256(key.encode()).hexdigest()[:32]
            return self._known(upload, inbox, stem) or self._carry(upload, inbox, stem)

    def _carry(self, upload: Upload, inbox: Path, stem: str) -> Delivery:
        as_usual(upload.path, 0o666)  # until now it was private
        for attempt in range(_TRIES):
            name = stem + extension(upload.name)
            if self._ignored(name.encode()):
                words = f"The setting `watch.ignore` leaves {name} alone."
                raise Problem(409, words, "Change the setting, or put the photo into the inbox yourself.")
            try:
                moves.rename(os.fsencode(upload.path), os.fsencode(inbox / name))
            except FileExistsError:
                if attempt == _TRIES - 1:
                    raise
                stem = _new_stem()
                continue
            break
        moves.sync_folders([os.fsencode(inbox)])
        return Delivery(name, str(inbox), upload.bytes, upload.sha256)

    def _known(self, upload: Upload, inbox: Path, stem: str) -> Delivery | None:
        """Look for an earlier delivery under this stem: first in the inbox, then in the ledger.

        The worker commits a claim before it takes the file away, so one of the two has it.
        """
        names = [stem + ending for ending in ("", *EXTENSIONS)]
        for name in names:
            path = os.fsencode(inbox / name)
            if os.path.lexists(path):
                moves.sync_folders([os.fsencode(inbox)])  # who brought it may not have come that far
                return self._same(upload, Delivery(name, str(inbox), upload.bytes, _hash(path), already=True))
        engine = self._store.reader()
        row = arrived_as(engine, inbox, [name.encode() for name in names]) if engine else None
        if row is None:
            return None
        sha256 = row.sha256 or upload.sha256
        return self._same(
            upload, Delivery(os.fsdecode(row.name), str(inbox), row.bytes, sha256, already=True, id=row.id)
        )

    @staticmethod
    def _same(upload: Upload, earlier: Delivery) -> Delivery:
        if earlier.sha256 != upload.sha256:
            words = "This Idempotency-Key was used for another file."
            raise Problem(422, words, "Use a new key for each file.")
        return earlier

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        with self._lock:
            lock, users = self._keys.get(key, (threading.Lock(), 0))
            self._keys[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._keys.pop(key)
                if users > 1:
                    self._keys[key] = (lock, users - 1)


def extension(name: str) -> str:
    """Return the ending of a client's name for a file if it is one of a photo, else nothing."""
    ending = os.path.splitext(name)[1].lower()
    return ending if ending in EXTENSIONS else ""


def _new_stem() -> str:
    return f"upload-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(8)}"


def _hash(path: bytes) -> str:
    try:
        return moves.sha256(path)
    except OSError as error:  # the worker took it in this moment
        raise Problem(409, "That file is just being taken by the worker.", "Send it again.") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
