"""Channels to people: the URLs of `notify.urls`, delivered by Apprise, which knows a hundred services.

Apprise takes half a second to import, so this is done when a channel is opened. What it logs may have parts
of a URL: these are masked.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from models.installation import install_command
from pipeline.alerts.message import Message
from pipeline.errors import SettingsError
from pipeline.masking import masked_service_url, without_parts_of_url

if TYPE_CHECKING:
    from apprise import NotifyBase


class Channel(Protocol):
    """A way to one or more people."""

    @property
    def key(self) -> str:
        """A name that is the same in the next run, and tells no secret."""

    @property
    def place(self) -> str:
        """Where it stands in the settings, for messages."""

    def send(self, message: Message) -> str | None:
        """Deliver a message, and return None, or why it was not delivered."""


def missing_package() -> str | None:
    """Return what to install so that `notify.urls` can be used; None if it is there."""
    if find_spec("apprise"):
        return None
    return (
        f"notify.urls: alerts need apprise, which is not installed; run `{install_command(extra='notify')}`"
    )


def key_of(url: str) -> str:
    """Return the key of the channel of a URL: the beginning of a hash, too short to guess the URL by it."""
    return hashlib.sha256(url.encode()).hexdigest()[:8]


def check(urls: tuple[str, ...]) -> None:
    """Raise SettingsError with a line for each URL that Apprise does not know."""
    if problems := [each for each in open_all(urls) if isinstance(each, str)]:
        raise SettingsError("\n".join(problems))


def open_all(urls: tuple[str, ...]) -> list[Channel | str]:
    """Return for each URL its channel, or what is wrong with it. Needs Apprise."""
    return [_opened(number, url) for number, url in enumerate(urls)]


def _opened(number: int, url: str) -> Channel | str:
    from apprise import Apprise, AppriseAsset

    # The pictures of its themes would be fetched from another host.
    asset = AppriseAsset(app_id="Pawsort", app_desc="Pawsort", image_url_mask="", image_url_logo="")
    with _captured():
        service = Apprise.instantiate(url, asset=asset)
    place = f"notify.urls.{number}"
    if service is None:
        return (
            f"{place}: {masked_service_url(url)}: Apprise does not know this URL, or a part of it is missing"
        )
    return _AppriseChannel(url, f"{place} ({service.service_name})", service)


@dataclass(frozen=True, slots=True, repr=False)
class _AppriseChannel:
    """A service of Apprise; `url` has secrets."""

    url: str
    place: str
    service: NotifyBase

    @property
    def key(self) -> str:
        """See `key_of`."""
        return key_of(self.url)

    def send(self, message: Message) -> str | None:
        from apprise import NotifyType

        with _captured() as said:
            try:
                # Not by an Apprise object, whose threads would outlive a stop.
                taken = self.service.notify(
                    title=message.title, body=message.body, notify_type=NotifyType(message.kind)
                )
            except Exception as error:  # a service that fails in any way must not end the others
                return without_parts_of_url(f"{type(error).__name__}: {error}", self.url)
        return None if taken else without_parts_of_url("; ".join(said) or "it was not taken", self.url)


class _Said(logging.Handler):
    """Keeps the warnings of this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.lines.append(record.getMessage())


@contextlib.contextmanager
def _captured() -> Iterator[list[str]]:
    """Keep what Apprise logs out of the log, and give its warnings."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    handler = _Said()
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
