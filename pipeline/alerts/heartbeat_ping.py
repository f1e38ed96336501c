"""Fetch `notify.heartbeat_url` at intervals while the worker is well; a service alerts when that stops."""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from collections.abc import Callable

from models.errors import in_words
from pipeline.masking import masked_service_url
from pipeline.version import version

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
TIMEOUT_SECONDS = 10.0

FRESH_SECONDS = 5.0
"""A worker that took no step for so long is not well: five missed heartbeats."""


class HeartbeatPing:
    """Fetches an http or https URL; `note_healthy` is called by the worker, all else by the sender."""

    def __init__(self, url: str | None, fetch: Callable[[str], str | None] | None = None) -> None:
        self._url = url
        self._fetch = fetch or fetched
        self._healthy_at: float | None = None
        self._next_at = 0.0
        self._problem: str | None = None

    def note_healthy(self, seconds: float) -> None:
        """Note that the worker has taken a step and is well, at `seconds` of a clock that never goes back."""
        self._healthy_at = seconds

    def is_due(self, seconds: float) -> bool:
        """Return whether the URL is to be fetched now."""
        well = self._healthy_at is not None and seconds - self._healthy_at < FRESH_SECONDS
        return self._url is not None and well and seconds >= self._next_at

    def send(self, seconds: float) -> None:
        """Fetch the URL; log the first failure, and the first success after it."""
        assert self._url
        self._next_at = seconds + INTERVAL_SECONDS
        problem = self._fetch(self._url)
        if problem and not self._problem:
            log.warning("notify.heartbeat_url: %s; trying again each minute", problem)
        if self._problem and not problem:
            log.info("notify.heartbeat_url: answers again")
        self._problem = problem


def fetched(url: str) -> str | None:
    """Fetch a URL and return None, or why that failed, without the secrets of the URL."""
    request = urllib.request.Request(url, headers={"User-Agent": f"pawsort/{version()}"})  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"{masked_service_url(url)}: answers {error.code}"
    except urllib.error.URLError as error:
        return f"{masked_service_url(url)}: {error.reason}"
    except (OSError, ValueError) as error:  # ValueError: an answer that is no HTTP
        return f"{masked_service_url(url)}: {in_words(error)}"
