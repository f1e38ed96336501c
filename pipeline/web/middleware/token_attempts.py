"""Rate limit for wrong tokens, by client address and in total.

After the first few, each wrong token of an address doubles its waiting time. If all addresses together sent
very many, every address with a wrong token waits. An address without a wrong token never waits, so an
attacker elsewhere cannot lock out a user. Behind a reverse proxy all clients share one address.
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
"""Wrong tokens of one address without a waiting time."""

LONGEST_SECONDS = 60.0
"""The longest waiting time."""

FORGET_SECONDS = 600.0
"""Time without a wrong token after which an address is forgotten."""

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


class Attempts:
    """Counts wrong tokens; thread-safe."""

    def __init__(self, token: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = (token or "").encode()
        self._clock = clock
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._minute, self._wrong = 0, 0

    def is_right(self, address: str, shown: str) -> bool:
        """Return whether `shown` is the token. Raises Problem 429 while the address has to wait."""
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
        if digest != record.shown:  # a program with an old token repeats it, which is no guessing
            record.wrong += 1
            self._wrong += 1
            if record.wrong == FREE:
                log.warning("%s sent %d wrong tokens; it has to wait before each further one", key, FREE)
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
    words = f"Wait {wait} seconds, then send the value of `web.token` in the settings."
    return Problem(429, "Too many wrong tokens came from your address.", words, {"Retry-After": str(wait)})


def _network(address: str) -> str:
    """Return the key of an address: for IPv6 its /64 network, which one subscriber owns."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
