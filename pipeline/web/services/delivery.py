"""Deliver an upload to an inbox, where the worker claims it like any other file.

The order matters: first the file is synced under a name that the worker ignores, then it is renamed, then the
folder is synced, and only then the client gets its response.
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
from pipeline.companions.shares import share_of
from pipeline.files import moves
from pipeline.files.permissions import as_usual
from pipeline.settings.config import Settings
from pipeline.watch.ignore_rules import ignorer
from pipeline.web.middleware.problems import Problem
from pipeline.web.services.database import DatabaseProvider
from pipeline.web.services.uploads import Upload

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
"""Extensions that are kept from the client's name; the worker might ignore a file with another one."""

_TRIES = 10


def moving_inboxes(settings: Settings) -> list[Path]:
    """Return the inboxes from which files are moved, or the first of all; the first is for uploads."""
    moving = [inbox for inbox in settings.inboxes if settings.action_of(inbox) == "move"]
    return moving or list(settings.inboxes[:1])


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivered file; `already` if an earlier request delivered it, `id` of its row once it is claimed."""

    name: str
    inbox: str
    bytes: int
    sha256: str
    already: bool = False
    id: int | None = None


class UploadDelivery:
    """Delivers uploads; for all threads."""

    def __init__(self, settings: Settings, database: DatabaseProvider) -> None:
        self._settings = settings
        self._ignored = ignorer(settings.watch.ignore)
        self._database = database
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[threading.Lock, int]] = {}

    def deliver(self, upload: Upload, inbox: Path, key: str | None = None) -> Delivery:
        """Move an upload from its temporary name in `inbox` to a final one; with a `key`, once only.

        Durable when it returns. Raises Problem 409 (the settings ignore such names), 422 (the key was used
        for another file), 503; OSError.
        """
        _sync(upload.path)
        if key is None:
            return self._move(upload, inbox, self._stem(inbox))
        with self._exclusively(key):
            stem = self._stem(inbox, key)
            return self._known(upload, inbox, stem) or self._move(upload, inbox, stem)

    def _stem(self, inbox: Path, key: str | None = None) -> str:
        """Return a new stem, or that of a key; in a divided inbox one of the part of this machine's worker.

        Else the worker of another machine has the file, and an upload with the same key would come again.
        """
        share = share_of(self._settings, inbox)
        if share is None and key is None:
            return _new_stem()
        digest = hashlib.sha256((secrets.token_hex() if key is None else key).encode())
        while share and not share.has(_stem_of(digest).encode()):
            digest = hashlib.sha256(digest.digest())
        return _stem_of(digest)

    def _move(self, upload: Upload, inbox: Path, stem: str) -> Delivery:
        as_usual(upload.path, 0o666)  # it was private so far
        for attempt in range(_TRIES):
            name = stem + extension(upload.name)
            if self._ignored(name.encode()):
                words = f"The setting `watch.ignore` excludes {name}."
                raise Problem(409, words, "Change the setting, or put the photo into the inbox yourself.")
            try:
                moves.rename(os.fsencode(upload.path), os.fsencode(inbox / name))
            except FileExistsError:
                if attempt == _TRIES - 1:
                    raise
                stem = self._stem(inbox)
                continue
            break
        moves.sync_folders([os.fsencode(inbox)])
        return Delivery(name, str(inbox), upload.bytes, upload.sha256)

    def _known(self, upload: Upload, inbox: Path, stem: str) -> Delivery | None:
        """Return an earlier delivery under this stem: first from the inbox, then from the ledger.

        The worker commits a claim before it moves the file, so one of the two has it.
        """
        names = [stem + ending for ending in ("", *EXTENSIONS)]
        for name in names:
            path = os.fsencode(inbox / name)
            if os.path.lexists(path):
                moves.sync_folders([os.fsencode(inbox)])  # the earlier request may have ended before this
                return self._checked(
                    upload, Delivery(name, str(inbox), upload.bytes, _hash(path), already=True)
                )
        # Only of this machine's files: another one may have an inbox at the same path.
        engine = None if self._database.is_new else self._database.own()
        row = arrived_as(engine, inbox, [name.encode() for name in names]) if engine else None
        if row is None:
            return None
        sha256 = row.sha256 or upload.sha256
        return self._checked(
            upload, Delivery(os.fsdecode(row.name), str(inbox), row.bytes, sha256, already=True, id=row.id)
        )

    @staticmethod
    def _checked(upload: Upload, earlier: Delivery) -> Delivery:
        if earlier.sha256 != upload.sha256:
            words = "This Idempotency-Key was used for another file."
            raise Problem(422, words, "Use a new key for each file.")
        return earlier

    @contextmanager
    def _exclusively(self, key: str) -> Iterator[None]:
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
    """Return the extension of a client's file name if it is one of EXTENSIONS, else an empty string."""
    ending = os.path.splitext(name)[1].lower()
    return ending if ending in EXTENSIONS else ""


def _new_stem() -> str:
    return f"upload-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(8)}"


def _stem_of(digest: hashlib._Hash) -> str:
    return f"upload-{digest.hexdigest()[:32]}"


def _hash(path: bytes) -> str:
    try:
        return moves.sha256(path)
    except OSError as error:  # the worker claimed it just now
        raise Problem(409, "The worker is claiming that file just now.", "Send it again.") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
