"""Long runs of zeros in a compressed picture: a copy leaves them that stopped after its space was reserved.

Decoders of WebP, HEIF and AVIF paint something there and do not complain.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.images.formats.errors import corrupt

_SHORTEST = 256  # bytes
_TOLERATED = 50  # one part in so many may be missing
_PLAIN = 4096
"""Pixels of one colour that WebP may pack into a byte of zeros, with a margin; HEIF and AVIF never do."""

Span = tuple[int, int]
"""Where compressed data start and end."""


def check(data: bytes, spans: Iterable[Span], pixels: int, kind: str) -> None:
    """Raise UnreadableImage (corrupt) if a long run of zeros stands in the data of a picture."""
    inside = [(start, min(end, len(data))) for start, end in spans]
    length = sum(end - start for start, end in inside)
    if length > len(data):
        return  # spans that overlap without end would take long; there is no such file
    hole = bytes(max(_SHORTEST, pixels // _PLAIN, length // _TOLERATED))
    if any(data.find(hole, start, end) >= 0 for start, end in inside):
        raise corrupt(f"the {kind} has a long run of zeros where data should be")
