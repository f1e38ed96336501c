"""Detect long runs of zeros in compressed data, which an interrupted copy leaves.

The space was reserved and not written. Decoders of WebP, HEIF and AVIF show wrong pixels there, and no error.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.images.formats.errors import corrupt

_SHORTEST = 256  # bytes
_TOLERATED = 50  # one part in so many may be spoilt
_PLAIN = 4096
"""Pixels of one colour that lossy WebP may encode as one zero byte, with a margin."""

Span = tuple[int, int]
"""Where compressed data start and end."""


def check(data: bytes, spans: Iterable[Span], pixels: int, kind: str) -> None:
    """Raise UnreadableImage (corrupt) if spans of `data` have a long run of zeros.

    A run spoils what follows in its span, so a span counts as a whole: strips of a fiftieth may have one.
    `pixels` of the image may be of one colour; 0 for a format that never encodes them as zeros.
    """
    inside = [(start, min(end, len(data))) for start, end in spans]
    length = sum(end - start for start, end in inside)
    if length > len(data):
        return  # overlapping spans, which no real file has, would take long
    run = bytes(max(_SHORTEST, pixels // _PLAIN))
    spoilt = sum(end - start for start, end in inside if data.find(run, start, end) >= 0)
    if spoilt > length / _TOLERATED:
        raise corrupt(f"the {kind} has a long run of zeros where data should be")
