"""Divide the files of an inbox among several workers, by their names. Pure.

The files that belong together are in one share: the hash is of the folder and of what all their names have in
common, so that each worker decides without asking another, and whichever of them arrives first.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple, Self

from pipeline.companions.rules import kind
from pipeline.settings.config import Settings

BEGINNING = 22
"""Bytes of a name that count. Takeout cuts names after 43 characters or more: an `_ENDING` is whole there, or
begins after these."""

_ENDING = re.compile(
    rb"(?<=.)(?:\s*\(\d+\)|_\d\d|-edited|-bearbeitet|-modifi\xc3\xa9|-editado|-modificato|-bewerkt|\s+)\Z",
    re.IGNORECASE | re.DOTALL,
)
"""What the rules for companions and the choice of a free name add to a stem."""

_SUPPLEMENT = b"supplemental-metadata"
_APPLE = re.compile(rb"img_[eo]?(?=\d+$)", re.IGNORECASE)


class Share(NamedTuple):
    """Part `number`, from 1, of `total` equal parts of the files of an inbox."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the share that a text such as `1/3` names."""
        number, _, total = text.partition("/")
        return cls(int(number), int(total))

    def has(self, path: bytes) -> bool:
        """Return whether a file is in this share; `path` is relative to the inbox."""
        folder, _, name = path.rpartition(b"/")
        digest = hashlib.sha256(folder + b"/" + group(name)).digest()
        return int.from_bytes(digest[:8], "big") % self.total == self.number - 1


def share_of(settings: Settings, inbox: Path) -> Share | None:
    """Return which share of an inbox this worker takes, None for all of it."""
    text = settings.share_of(inbox)
    return Share.parse(text) if text else None


def group(name: bytes) -> bytes:
    """Return what the names of a photo and of all its companions have in common, in small letters.

    Other photos may have it too, such as copies with a number.
    """
    rest = name.lower()
    while (shorter := _without_ending(rest)) != rest:
        rest = shorter
    return _APPLE.sub(b"img_", rest)[:BEGINNING]


def _without_ending(name: bytes) -> bytes:
    stem, dot, extension = name.rpartition(b".")
    if dot and (kind(name) != "other" or _SUPPLEMENT.startswith(extension)):
        return stem
    return _ENDING.sub(b"", name)
