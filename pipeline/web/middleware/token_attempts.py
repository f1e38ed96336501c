"""Rate limit for wrong tokens, by client address and in total.

The first wrong tokens of an address are free, each further one doubles a waiting time. If there are very many
from all addresses, every address with a wrong token waits. Behind a reverse proxy all clients share one
address, so the right token is accepted also while its address waits. Guessing stays slow nevertheless: each
refusal keeps its connection for HOLD_SECONDS, and an address has COMPARED tokens compared in a second at
most, even if it does not wait for the answers.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from pipeline.web.middleware.busy import network_of
from pipeline.web.middleware.problems import Problem

log = logging.getLogger(__name__)

FREE = 5
"""Wrong tokens of one address without a waiting time."""

LONGEST_SECONDS = 60.0
"""The longest waiting time."""

FORGET_SECONDS = 600.0
"""Time without a wrong token after which an address is forgotten."""

HOLD_SECONDS = 1.0
"""How long a refusal is kept back; the caller waits, without occupying a thread."""

COMPARED = 100
"""Wrong tokens of one address that are compared in a second; fewer than one client can have connections."""

TOGETHER = 100
"""Wrong tokens of all addresses in a minute above which every address with a wrong token waits."""

ADDRESSES = 10_000
"""Maximum number of addresses in memory; the oldest are forgotten."""


@dataclass(slots=True)
class _Record:
    wrong: int = 0
    last: float = 0.0
    until: float = 0.0
    shown: bytes = b""
    second: int = 0
    compared: int = 0

    def may_compare(self, now: float) -> bool:
        """Return whether another token may be compared in this second."""
        return int(now) != self.second or self.compared < COMPARED

    def count(self, now: float) -> None:
        """Count a wrong token in this second."""
        before = self.compared if int(now) == self.second else 0
        self.second, self.compared = int(now), before + 1


class Attempts:
    """Counts wrong tokens; thread-safe."""

    def __init__(self, token: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = _digest(token or "")
        self._clock = clock
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._minute, self._wrong = 0, 0

    def is_right(self, address: str, shown: str) -> bool:
        """Return whether `shown` is the token. Raises Problem 429 for a wrong one while its address waits.

        Raises it also for a right one if the address had COMPARED wrong ones within the same second.
        """
        digest = _digest(shown)
        with self._lock:
            now, key = self._clock(), network_of(address)
            record = self._record(key, now)
            if not record.may_compare(now):
                raise _too_many(1.0)
            if hmac.compare_digest(digest, self._token):
                return True
            waits = record.until > now
            self._note(key, record, digest, now)
            if waits:
                raise _too_many(record.until - now)
            return False

    def _record(self, key: str, now: float) -> _Record:
        many, record = self._many(now), self._records.get(key)
        if record is None or now - record.last > FORGET_SECONDS:
            # Behind a proxy that passes what its clients say, each request may come from another address.
            return _Record(until=now + 1.0 if many else 0.0)
        if many:
            record.until = max(record.until, record.last + LONGEST_SECONDS)
        return record

    def _note(self, key: str, record: _Record, digest: bytes, now: float) -> None:
        if digest != record.shown:  # a program with an old token repeats it, which is no guessing
            record.count(now)
            record.wrong += 1
            self._wrong += 1
            if record.wrong == FREE:
                log.warning("%s sent %d wrong tokens; it has to wait before each further one", key, FREE)
        record.shown, record.last = digest, now
        if record.wrong >= FREE:
            record.until = now + min(LONGEST_SECONDS, 2.0 ** min(record.wrong - FREE, 16))
        self._records[key] = record
        self._records.move_to_end(key)
        if len(self._records) > ADDRESSES:
            self._records.popitem(last=False)

    def _many(self, now: float) -> bool:
        if self._minute != (minute := int(now // 60)):
            self._minute, self._wrong = minute, 0
        return self._wrong > TOGETHER


def _digest(token: str) -> bytes:
    # Of one length, so that the time of the comparison says nothing of the token's.
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _too_many(seconds: float) -> Problem:
    wait = max(1, ceil(seconds))
    words = f"Wait {wait} seconds, then send the value of `web.token` in the settings."
    return Problem(429, "Too many wrong tokens came from your address.", words, {"Retry-After": str(wait)})
