"""Write file paths into database URLs, read them, and hide passwords, all without SQLAlchemy.

Its import takes time. In a URL `%` and `?` have a meaning: a folder called `My%20Pets` would be looked up as
`My Pets`.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

_FILES = frozenset({"passfile", "sslcert", "sslcrl", "sslcrldir", "sslkey", "sslrootcert"})
"""Options of a PostgreSQL URL that name a file or folder, see libpq, "Parameter Key Words"."""

_NO_FILES = ("", "system")

_SECRETS = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)
"""Options of a PostgreSQL URL that are secret."""


def of_file(path: Path) -> str:
    """Return the SQLite URL of a file; `path` is absolute."""
    return f"sqlite:///{_quoted(path)}"


def file_of(url: str) -> str | None:
    """Return the path of the file that an SQLite URL names, None for other URLs.

    Raises ValueError for a path that cannot be.
    """
    scheme, slashes, rest = url.partition(":///")
    if not (scheme.startswith("sqlite") and slashes):
        return None
    return _possible(unquote(rest.partition("?")[0]))


def absolute(url: str, base: Path) -> str:
    """Return a URL whose relative paths begin at `base`: an SQLite file, certificates for a server.

    Raises ValueError for a path that cannot be.
    """
    address, mark, options = url.partition("?")
    path = file_of(address)
    if path is None:
        return f"{address}{mark}{_absolute_options(options, base)}"
    if not path or path.startswith(("/", ":memory:")):
        return url
    return f"{address.partition(':///')[0]}:///{_quoted(_below(base, path))}{mark}{options}"


def without_secrets(url: str) -> str:
    """Return a URL with *** in place of the passwords among its options, such as `?password=`."""
    address, mark, options = url.partition("?")
    pairs = (option.partition("=") for option in options.split("&"))
    shown = (f"{key}=***" if unquote(key) in _SECRETS else key + sign + value for key, sign, value in pairs)
    return address + mark + "&".join(shown)


def _absolute_options(options: str, base: Path) -> str:
    given = parse_qsl(options, keep_blank_values=True)
    named = [
        (key, str(_below(base, value)) if key in _FILES and value not in _NO_FILES else value)
        for key, value in given
    ]
    if named == given:
        return options
    return urlencode(named, safe="/", errors="surrogateescape", quote_via=quote)


def _below(base: Path, path: str) -> Path:
    try:
        return Path(os.path.normpath(base / Path(_possible(path)).expanduser()))
    except RuntimeError as error:
        raise ValueError(f"{path} begins in the home of an unknown user") from error


def _possible(path: str) -> str:
    if "\0" in path:
        raise ValueError("a path has a zero byte")
    return path


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3F")
