r"""A reversible text form of file names, which may be any bytes.

Valid UTF-8 stays; an invalid byte becomes `\xNN`, a backslash becomes `\\`, and NUL, which no file system
allows and PostgreSQL cannot store, becomes `\x00`. So most names look the same in the tables, and different
names stay different.
"""

from __future__ import annotations

import re
from typing import TypeAlias

RawName: TypeAlias = bytes
"""A file name or path as the file system gives it."""

_ESCAPE = re.compile(rb"\\(\\|x[0-9a-f]{2})?")


def escape(name: RawName) -> str:
    """Return the text form of `name`; different names give different texts."""
    text = name.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")
    return text.replace("\0", r"\x00")


def unescape(text: str) -> RawName:
    """Return the name whose text form is `text`.

    Raises ValueError where a backslash begins neither `\\\\` nor `\\xNN`: no name has that form.
    """
    name = text.encode("utf-8")
    return _ESCAPE.sub(_unescape_one, name) if b"\\" in name else name


def can_stand(text: str | None, *, path: bool = False) -> bool:
    """Return whether a table can contain a text: no NUL, and valid Unicode; a `path` may be any bytes.

    A search for any other text finds all rows in SQLite and raises an error in PostgreSQL.
    """
    try:
        (text or "").encode("utf-8", "surrogateescape" if path else "strict")
    except UnicodeEncodeError:
        return False
    return "\0" not in (text or "")


def _unescape_one(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    if code is None:
        raise ValueError(f"a lone backslash at byte {match.start()} of {match.string!r}")
    return b"\\" if code == b"\\" else bytes.fromhex(code[1:].decode())
