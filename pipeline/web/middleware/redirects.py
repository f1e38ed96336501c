"""Targets of redirects after a form: only pages of this server, whatever the form contains."""

from __future__ import annotations

from urllib.parse import unquote

LONGEST = 2_000
"""Maximum length of an address."""


def own_path(address: str) -> str:
    """Return `address` if browsers read it as a path on this server, else `/`."""
    path = address.partition("?")[0].partition("#")[0]
    # Decoded twice, because a proxy may decode once more than it should.
    plain = all(map(_is_plain, (path, once := unquote(path), unquote(once))))
    return address if plain and len(address) <= LONGEST and address.isprintable() else "/"


def _is_plain(path: str) -> bool:
    return path.startswith("/") and "//" not in path and "\\" not in path and path.isprintable()
