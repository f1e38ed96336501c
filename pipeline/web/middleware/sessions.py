"""Sessions: cookies signed with the token, and a list of those that were ended by sign-out.

A cookie is `ID.TIME.SIGNATURE`, so open sessions need no storage, and a new token ends all of them. Ended
sessions are listed in a file, so that they stay ended after a restart.
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

from starlette.datastructures import Headers

from pipeline.files.replace_file import replace_file
from pipeline.web.middleware.cookies import cookies

log = logging.getLogger(__name__)

COOKIE = "pawsort"
"""How the name of the session cookie begins; the whole name in earlier versions."""

MONTH_SECONDS = 30 * 24 * 3600
"""How long a session lasts."""

MOST_ENDED = 1_000
"""Maximum number of listed sessions; one more ends all sessions, which needs no list."""


class Sessions:
    """The sessions of one token; thread-safe."""

    def __init__(self, token: str | None, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest((token or "").encode(), b"pawsort session 2", "sha256")
        # Browsers send cookies to every port of a host, where another installation may have another token.
        self.cookie = f"{COOKIE}_{hmac.digest(self._key, b'name', 'sha256').hex()[:10]}"
        """The name of the session cookie."""
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._ended: dict[str, float] = {}
        self._before = 0.0

    def begin(self) -> str:
        """Return the cookie of a new session."""
        id, began = secrets.token_urlsafe(12), f"{self._clock():.6f}"
        return f"{id}.{began}.{self._sign(id, began)}"

    def sent(self, headers: Headers) -> list[str]:
        """Return the session cookies of a request, also of the name that they had in earlier versions."""
        return [cookie for name in (self.cookie, COOKIE) for cookie in cookies(headers, name)]

    def is_valid(self, cookie: str) -> bool:
        """Return whether a cookie belongs to a session that has neither ended nor expired."""
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
        """End a session permanently; an invalid cookie has no effect."""
        if not self.is_valid(cookie):
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
        """Return ID and start time of a cookie, None if its signature is wrong."""
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
        """Read the file again if it has changed."""
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
                log.warning("%s is damaged: sessions that were signed out may be valid again", self._file)

    def _save(self) -> None:
        ended = json.dumps({"before": self._before, "ended": self._ended}).encode()
        try:
            replace_file(self._file, [ended], durable=False)
        except OSError as error:
            log.warning(
                "%s: %s; signed-out sessions become valid again after a restart", self._file, error.strerror
            )
