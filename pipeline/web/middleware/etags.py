"""Make, parse and compare entity tags. Source: RFC 9110, sections 8.8.3 and 13.1."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')

ANY = "*"
"""The value that matches any existing version."""


def tag_of(content: bytes, prefix: str = "") -> str:
    """Return a strong tag for `content`; `prefix` begins it."""
    return f'"{prefix}{hashlib.blake2b(content, digest_size=9).hexdigest()}"'


def tags_in(header: str) -> tuple[str, ...] | None:
    """Parse If-Match or If-None-Match into its tags, or `("*",)`; None if the value is invalid."""
    if header.strip() == ANY:
        return (ANY,)
    # One tag or nothing between commas; a single pattern for all would backtrack on many commas.
    between = {part.strip(" \t") for part in _TAG.sub('""', header).split(",")}
    tags = tuple(_TAG.findall(header))
    return tags if tags and between <= {'""', ""} else None


def matches_weakly(tags: Sequence[str], current: str) -> bool:
    """Compare for If-None-Match: weak and strong tags are equal."""
    return ANY in tags or current.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags}


def matches_strongly(tags: Sequence[str], current: str) -> bool:
    """Compare for If-Match: a weak tag matches nothing."""
    return ANY in tags or (current in tags and not current.startswith("W/"))
