"""Who is signed in: a cookie that the token signs, and a list of those that were ended before their time.

A cookie is `ID.TIME.SIGNATURE`, so nothing needs to be remembered of a session that goes on, and another
token ends all of them. Those that were ended stand in a file, so they stay ended when the server is started
again.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.files.replace_file import replace_file

log = logging.getLogger(__name__)

MONTH_SECONDS = 30 * 24 * 3600
"""How long a session lasts."""

MOST_ENDED = 1_000
"""Sessions that are remembered as ended; with one more all sessions end, which needs no list."""


class Sessions:
    """The sessions of one token; for all threads."""

    def __init__(self, token: str | None, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest((token or "").encode(), b"pawsort session 2", "sha256")
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._ended: dict[str, float] = {}
        self._before = 0.0

    def begin(self) -> str:
        """Return a cookie for somebody who showed the token."""
        id, began = secrets.token_urlsafe(12), f"{self._clock():.6f}"
        return f"{id}.{began}.{self._sign(id, began)}"

    def goes_on(self, cookie: str) -> bool:
        """Tell whether a cookie is of a session that neither ended nor became too old."""
        known = self._read(cookie)
        if known is None:
            return False
        id, began = known
        if abs(self._clock() - began) > MONTH_SECONDS:
            return False
        with self._lock:
            self._load()
            return id not in self._ended and began > self._before

    def end(self, cookie: str) -> None:
        """End a session for good, whoever still has its cookie; another cookie changes nothing."""
        if not self.goes_on(cookie):
            return
        id, began = self._read(cookie) or ("", 0.0)
        now = self._clock()
        with self._lock:
            kept = {key: at for key, at in self._ended.items() if at + MONTH_SECONDS >= now}
            self._ended = {**kept, id: began}
            if len(self._ended) > MOST_ENDED:
                self._ended, self._before = {}, now
            self._save()

    def _read(self, cookie: str) -> tuple[str, float] | None:
        """Return the ID and the beginning that a cookie states, None if it is not signed by the token."""
        id, _, rest = cookie.partition(".")
        began, _, signature = rest.rpartition(".")
        shown = signature.encode("utf-8", "replace")
        if not hmac.compare_digest(shown, self._sign(id, began).encode()):
            return None
        return id, float(began)

    def _sign(self, id: str, began: str) -> str:
        said = f"{id}.{began}".encode("utf-8", "replace")
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()

    def _load(self) -> None:
        """Read the file again if another server wrote it."""
        with contextlib.suppress(OSError):
            found = os.stat(self._file)
            if (stamp := (found.st_mtime_ns, found.st_ino)) == self._seen:
                return
            self._seen = stamp
            try:
                said = json.loads(self._file.read_text(encoding="utf-8"))
                ended = {str(id): float(at) for id, at in said["ended"].items()}
                self._ended, self._before = {**self._ended, **ended}, max(self._before, float(said["before"]))
            except (ValueError, TypeError, KeyError, AttributeError):
                log.warning("%s is damaged: who signed out before may be signed in again", self._file)

    def _save(self) -> None:
        ended = json.dumps({"before": self._before, "ended": self._ended}).encode()
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._file, [ended], durable=False)
        except OSError as error:
            log.warning("%s: %s; who signed out is signed in again after a start", self._file, error.strerror)
