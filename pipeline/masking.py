"""Mask secrets in what people may see: settings, messages, the log, the support bundle."""

from __future__ import annotations

import re

from db.connection.paths_in_urls import without_secrets

SHORTEST_SECRET = 4
"""Characters of a part of a URL that is masked in messages; `org` may stand there."""


def masked(secret: str | None) -> str | None:
    """Return a token, or a URL with passwords, with the secrets replaced by ***."""
    if secret is None:
        return None
    if "://" not in secret:
        return "***"
    secret = without_secrets(secret)
    head, at, tail = secret.rpartition("@")
    scheme, _, user = head.partition("://")
    return f"{scheme}://{user.split(':')[0]}:***@{tail}" if at and ":" in user else secret


def masked_service_url(url: str | None) -> str | None:
    """Return a URL of a notification service with all but its kind, and of a web address the host, masked.

    Any other part may be a token: the user, the host, or the path.
    """
    if url is None:
        return None
    scheme, _, rest = url.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2] if scheme in ("http", "https") else ""
    return f"{scheme}://{host}/***" if host else f"{scheme}://***"


def without_parts_of_url(text: str, url: str) -> str:
    """Return a text, such as an error of a library, with *** for each part of a URL that has secrets."""
    parts = set(re.split(r"[/:@?&=#%+,]+", url.partition("://")[2]))
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= SHORTEST_SECRET:
            text = text.replace(part, "***")
    return text
