"""JPEG: markers, of which the frame header (SOF) says the size; then entropy-coded data up to EOI.

Source: ITU T.81. What libjpeg does with a marker is in its `jdmarker.c`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from models.images.formats.errors import corrupt, truncated, unsupported

_STANDALONE = {0x01, *range(0xD0, 0xD9)}
FRAME_HEADERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NOBODYS_FRAMES = {0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}  # hierarchical; lossless and arithmetic
_JPEG_LS = 0xF7
_HEIGHT_BEHIND = b"\xff\xdc\x00\x04"
_SCAN, _END, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"  # how segments of this marker begin
_PROFILE, _MOST_PROFILE = b"ICC_PROFILE\0", 4_000_000  # then the number of a part, and how many there are
_QUANTISATION, _NEW_TABLES, _LAST_TABLE = 0xDB, b"\xff\xdb", 3  # of more bits are those beyond
_HEAD = 4  # bytes of a segment in front of its content: marker and length
_METADATA = set(range(0xE0, 0xF0)) | {0xFE}
_COLOURS = {0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12)}
"""Of the metadata, libjpeg reads how colours are meant: from segments that begin so, and are so long."""

Segment = tuple[int, int, int]
"""A marker, and where the content of its segment starts and ends, in bytes."""


class JpegHeader(NamedTuple):
    """Width and height in pixels, the first EXIF and XMP blocks and the ICC profile, which may be empty.

    `segments` are those that pixels need, in order, up to that of the first scan.
    """

    width: int
    height: int
    exif: bytes
    xmp: bytes
    segments: tuple[Segment, ...]
    profile: bytes = b""


def read_jpeg(data: bytes) -> JpegHeader:
    """Read all that stands in front of the pixels.

    Raises UnreadableImage (truncated, corrupt, unsupported); struct.error or IndexError where data ends.
    """
    width = height = 0
    exif = xmp = b""
    needed, profile = list[Segment](), list[Segment]()
    for segment in segments(data):
        marker, start, end = segment
        if marker not in _METADATA or _tells_colours(data, segment):
            needed.append(segment)
        if marker in FRAME_HEADERS or marker == _JPEG_LS:
            _check_kind(data, marker, start)
            height, width = struct.unpack_from(">HH", data, start + 1)
        elif marker == _APP1 and not exif and data.startswith(_EXIF, start, end):
            exif = data[start + len(_EXIF) : end]
        elif marker == _APP1 and not xmp and data.startswith(_XMP, start, end):
            xmp = data[start + len(_XMP) : end]
        elif marker == _APP2 and data.startswith(_PROFILE, start, end):
            profile.append(segment)
        elif marker == _SCAN:
            if not width:
                raise corrupt("the JPEG has pixels before it says how many")
            if not height and data.find(_HEIGHT_BEHIND, end) >= 0:
                raise unsupported("a JPEG that says only behind its pixels how high it is (DNL)")
            return JpegHeader(width, height, exif, xmp, tuple(needed), _joined(data, profile))
    raise corrupt("the JPEG has no pixels")


def _joined(data: bytes, parts: Sequence[Segment]) -> bytes:
    """Return an ICC profile of its parts by their numbers, empty where it is too long. Source: ICC.1."""
    head = len(_PROFILE) + 2
    if not parts or sum(end - start for _, start, end in parts) > _MOST_PROFILE:
        return b""
    ordered = sorted((data[start + head - 2 : start + head - 1], start, end) for _, start, end in parts)
    return b"".join(data[start + head : end] for _, start, end in ordered)


def without_metadata(data: bytes, needed: Sequence[Segment]) -> bytes:
    """Return a JPEG with the segments that `read_jpeg` says are needed, and all from the first scan on.

    Decoders then parse no EXIF, profile, thumbnail or comment, so none can spoil a good picture.
    """
    kept = [data[start - _HEAD : end] for _, start, end in needed[:-1]]
    return b"".join((b"\xff\xd8", *kept, data[needed[-1][1] - _HEAD :]))


def moved(needed: Sequence[Segment]) -> list[Segment]:
    """Return where the segments are in what `without_metadata` returns."""
    found, at = list[Segment](), 2
    for marker, start, end in needed:
        length = end - start
        found.append((marker, at + _HEAD, at + _HEAD + length))
        at += _HEAD + length
    return found


def means_of_blocks(data: bytes, head: Sequence[Segment]) -> tuple[bytes, list[float]] | None:
    """Return a JPEG that shows nothing of each block but its mean, at half of the contrast where that can be.

    Beside it stands how far from grey, 128, black and white then are for each channel, so that a mean beyond
    them can be seen. `head` are the segments of `data` up to the first scan. None if the tables are of a rare
    kind.
    """
    plain, contrasts, tables = bytearray(data), dict[int, float](), list[int]()
    for marker, start, end in head:
        if marker in FRAME_HEADERS:
            tables = [data[at] for at in range(start + 8, end, 3)]
        for at in range(start, end, 65) if marker == _QUANTISATION else ():
            table, step = data[at], data[at + 1]
            if table > _LAST_TABLE or not step:
                return None
            plain[at + 1 : at + 65] = bytes((max(1, step // 2), *bytes(63)))
            contrasts[table] = plain[at + 1] / step
    if not contrasts.keys() >= set(tables) or data.find(_NEW_TABLES, head[-1][2]) >= 0:
        return None
    return bytes(plain), [128 * contrasts[table] for table in tables]


def _tells_colours(data: bytes, segment: Segment) -> bool:
    marker, start, end = segment
    word, least = _COLOURS.get(marker, (b"", 0))
    return bool(word) and data.startswith(word, start) and end - start >= least


def _check_kind(data: bytes, marker: int, start: int) -> None:
    bits, channels = data[start], data[start + 5]
    if marker in _NOBODYS_FRAMES:
        raise unsupported(f"a JPEG of a kind that no decoder reads (SOF{marker - 0xC0})")
    if marker == _JPEG_LS:
        raise unsupported("a JPEG-LS picture")
    if bits != 8:
        raise unsupported(f"a JPEG of {bits} bits a channel")
    if channels not in (1, 3, 4):
        raise unsupported(f"a JPEG of {channels} channels")


def segments(data: bytes, at: int = 2) -> Iterator[Segment]:
    """Yield each segment from byte `at` to the end marker.

    Raises UnreadableImage (truncated); struct.error or IndexError where data ends.
    """
    while True:
        at = data.find(b"\xff", at)
        while at >= 0 and data[at + 1] == 0xFF:
            at += 1
        if at < 0:
            raise truncated("the JPEG ends before its pixels")
        marker = data[at + 1]
        at += 2
        if marker == _END:
            return
        if marker == 0 or marker in _STANDALONE:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if at + length > len(data):
            raise truncated("the JPEG ends within a segment")
        yield marker, at + 2, at + length
        at += max(length, 2)
