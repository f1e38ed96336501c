"""Where a page may lead after a form: to a page of this server, whatever the form was given."""

from __future__ import annotations

from urllib.parse import unquote

LONGEST = 2_000
"""Characters of an address that is kept."""


def own_path(address: str) -> str:
    """Return the path and query of a page of this server, `/` for whatever a browser may take for another."""
    path = address.partition("?")[0].partition("#")[0]
    # Twice, because something before this server may decode once more than it should.
    plain = all(map(_is_plain, (path, once := unquote(path), unquote(once))))
    return address if plain and len(address) <= LONGEST and address.isprintable() else "/"


def _is_plain(path: str) -> bool:
    return path.startswith("/") and "//" not in path and "\\" not in path and path.isprintable()
