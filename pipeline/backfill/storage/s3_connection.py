"""Addresses in S3, or in a store that speaks like it, and connections by PyArrow's file system.

PyArrow is imported when it is needed; it finds keys of access as the tools of AWS do.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, urlsplit

from pipeline.errors import SettingsError

log = logging.getLogger(__name__)

T = TypeVar("T")

SCHEME = "s3://"

PIECE_BYTES = 32 << 20
"""Bytes of one request."""

ATTEMPTS = 4
CONNECT_SECONDS, REQUEST_SECONDS = 10.0, 30.0
"""How often PyArrow makes a request, with growing pauses, and how long it waits."""

PAUSES = 0.2, 1.0, 4.0
"""Seconds before each further attempt at an object, since PyArrow does not repeat what was cut off."""

_OPTIONS = ("endpoint", "region", "anonymous")


class Address(NamedTuple):
    """A bucket or a prefix of it: `top` is BUCKET/PREFIX, `query` says which store, and how to reach it."""

    top: str
    query: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.top}" + (f"?{self.query}" if self.query else "")

    def contains(self, other: Address) -> bool:
        """Return whether another prefix of the same store is this one or lies in it."""
        same = _options(self.query).get("endpoint") == _options(other.query).get("endpoint")
        return same and f"{other.top}/".startswith(f"{self.top}/")


def address(text: str) -> Address:
    """Return the address of `s3://BUCKET/PREFIX[?endpoint=URL&region=NAME&anonymous=true]`.

    Raises SettingsError for another text.
    """
    parts = urlsplit(text)
    unknown = set(_options(parts.query)) - set(_OPTIONS)
    if not text.startswith(SCHEME) or not parts.netloc or "@" in parts.netloc or parts.fragment or unknown:
        raise SettingsError(
            f"{text}: expected s3://BUCKET/PREFIX, perhaps with ?endpoint=http://HOST:PORT, region=NAME "
            "or anonymous=true"
        )
    return Address(f"{parts.netloc}{parts.path}".strip("/"), parts.query)


def _options(query: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(query).items()}


@lru_cache(maxsize=8)
def connected(query: str) -> Any:
    """Return PyArrow's file system for the store that the options of an address name."""
    from pyarrow import fs

    options = _options(query)
    endpoint = urlsplit(options.get("endpoint", ""))
    stores: dict[str, Any] = {"region": options.get("region")}
    if endpoint.netloc:
        stores = {
            "endpoint_override": endpoint.netloc,
            "scheme": endpoint.scheme,
            "region": stores["region"] or "us-east-1",
        }
    return fs.S3FileSystem(
        anonymous=options.get("anonymous") == "true",
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # an object below 10 MiB is one PUT
        **stores,
    )


def in_attempts(call: Callable[[], T], key: str) -> T:
    """Return what `call` does with an object, tried again after each of PAUSES.

    Raises FileNotFoundError if it is gone, and OSError; both name the object.
    """
    where = f"{SCHEME}{key}"
    for pause in (*PAUSES, None):
        try:
            return call()
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", where) from error
        except OSError as error:
            if pause is None:
                why = " ".join(str(error.strerror or error).split())
                raise OSError(error.errno or errno.EIO, why, where) from error
            log.info("%s: %s; trying again", where, error)
        time.sleep(pause)
    raise AssertionError
