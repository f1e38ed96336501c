"""Guesses of the token, which are slowed down: by the address they come from, and by all of them together.

The first wrong tokens of an address cost nothing, each further one a wait that doubles. When there are very
many from everywhere, every address that was wrong before waits. An address that never was wrong may try at
any time, so whoever knows the token is not locked out by an attacker elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from pipeline.web.middleware.problems import Problem

log = logging.getLogger(__name__)

FREE = 5
"""Wrong tokens of one address without a wait."""

LONGEST_SECONDS = 60.0
"""The longest wait."""

FORGET_SECONDS = 600.0
"""After so long without a wrong token an address is as one that never was wrong."""

TOGETHER = 100
"""Wrong tokens of all addresses in a minute; with more, all addresses that were wrong before wait."""

ADDRESSES = 10_000
"""Addresses that are remembered, the newest."""


@dataclass(slots=True)
class _Record:
    wrong: int = 0
    last: float = 0.0
    until: float = 0.0
    shown: bytes = b""


class Attempts:
    """What was tried against one token; for all threads."""

    def __init__(self, token: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = (token or "").encode()
        self._clock = clock
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._minute, self._wrong = 0, 0

    def is_right(self, address: str, shown: str) -> bool:
        """Tell whether `shown` is the token. Raises Problem 429 while the address has to wait."""
        with self._lock:
            now, key = self._clock(), _network(address)
            record = self._record(key, now)
            if record.until > now:
                raise _too_many(record.until - now)
            if hmac.compare_digest(shown.encode("utf-8", "replace"), self._token):
                self._records.pop(key, None)
                return True
            self._note(key, record, shown, now)
            return False

    def _record(self, key: str, now: float) -> _Record:
        many, record = self._many(now), self._records.get(key)
        if record is None or now - record.last > FORGET_SECONDS:
            return _Record()
        if many:
            record.until = max(record.until, record.last + LONGEST_SECONDS)
        return record

    def _note(self, key: str, record: _Record, shown: str, now: float) -> None:
        digest = hashlib.sha256(shown.encode("utf-8", "replace")).digest()
        if (
            digest != record.shown
        ):  # a program with an old token sends it again and again, and guesses nothing
            record.wrong += 1
            self._wrong += 1
            if record.wrong == FREE:
                log.warning("%s gave %d wrong tokens; it has to wait before each further one", key, FREE)
        record.shown, record.last = digest, now
        if record.wrong >= FREE:
            record.until = now + min(LONGEST_SECONDS, 2.0 ** (record.wrong - FREE))
        self._records[key] = record
        self._records.move_to_end(key)
        if len(self._records) > ADDRESSES:
            self._records.popitem(last=False)

    def _many(self, now: float) -> bool:
        if self._minute != (minute := int(now // 60)):
            self._minute, self._wrong = minute, 0
        return self._wrong > TOGETHER


def _too_many(seconds: float) -> Problem:
    wait = max(1, ceil(seconds))
    words = f"Wait {wait} seconds, then give the token that stands in the settings as `web.token`."
    return Problem(429, "Too many wrong tokens came from your address.", words, {"Retry-After": str(wait)})


def _network(address: str) -> str:
    """Return what counts as one address: in IPv6 all that one subscriber has."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
