"""Entity tags: made, read from a request, and compared. Source: RFC 9110, sections 8.8.3 and 13.1."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')

ANY = "*"
"""What a client writes for "whatever the version, if there is one"."""


def tag_of(content: bytes, prefix: str = "") -> str:
    """Return a strong tag for `content`; `prefix` begins it."""
    return f'"{prefix}{hashlib.blake2b(content, digest_size=9).hexdigest()}"'


def tags_in(header: str) -> tuple[str, ...] | None:
    """Read the value of If-Match or If-None-Match: tags as they stand, `("*",)`; None if it is neither."""
    if header.strip() == ANY:
        return (ANY,)
    # Between commas stands one tag or nothing; not one pattern for all, which commas alone would keep busy.
    between = {part.strip(" \t") for part in _TAG.sub('""', header).split(",")}
    tags = tuple(_TAG.findall(header))
    return tags if tags and between <= {'""', ""} else None


def matches_weakly(tags: Sequence[str], current: str) -> bool:
    """Compare for If-None-Match: a weak tag and a strong one are alike."""
    return ANY in tags or current.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags}


def matches_strongly(tags: Sequence[str], current: str) -> bool:
    """Compare for If-Match: a weak tag matches nothing."""
    return ANY in tags or (current in tags and not current.startswith("W/"))
