"""Detect long runs of zeros in compressed data, which an interrupted copy leaves.

The space was reserved and not written. Decoders of WebP, HEIF and AVIF show wrong pixels there, and no error.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.images.formats.errors import corrupt

_SHORTEST = 256  # bytes
_TOLERATED = 50  # a run of up to 1/50 of the data is accepted
_PLAIN = 4096
"""Pixels of one colour that WebP may encode as one zero byte, with a margin."""

Span = tuple[int, int]
"""Where compressed data start and end."""


def check(data: bytes, spans: Iterable[Span], pixels: int, kind: str) -> None:
    """Raise UnreadableImage (corrupt) if spans of `data`, an image of `pixels`, have a long run of zeros."""
    inside = [(start, min(end, len(data))) for start, end in spans]
    length = sum(end - start for start, end in inside)
    if length > len(data):
        return  # overlapping spans, which no real file has, would take long
    run = bytes(max(_SHORTEST, pixels // _PLAIN, length // _TOLERATED))
    if any(data.find(run, start, end) >= 0 for start, end in inside):
        raise corrupt(f"the {kind} has a long run of zeros where data should be")
