"""JPEG: markers, of which the frame header (SOF) says the size; then entropy-coded data up to EOI.

Source: ITU T.81. What libjpeg does with a marker is in its `jdmarker.c`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from models.images.formats.errors import corrupt, truncated, unsupported

_STANDALONE = {0x01, *range(0xD0, 0xD9)}
FRAME_HEADERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NOBODYS_FRAMES = {0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}  # hierarchical; lossless and arithmetic
_JPEG_LS = 0xF7
_HEIGHT_BEHIND = b"\xff\xdc\x00\x04"
_SCAN, _END, _EXIF = 0xDA, 0xD9, 0xE1
_METADATA = set(range(0xE0, 0xF0)) | {0xFE}
_COLOURS = {0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12)}
"""Of the metadata, libjpeg reads how colours are meant: from segments that begin so, and are so long."""


def read_jpeg(data: bytes) -> tuple[int, int, bytes]:
    """Return width and height in pixels, and the EXIF block, which may be empty.

    Raises UnreadableImage (truncated, corrupt, unsupported); struct.error or IndexError where data ends.
    """
    width = height = 0
    exif = b""
    for marker, start, end in segments(data):
        if marker in FRAME_HEADERS or marker == _JPEG_LS:
            _check_kind(data, marker, start)
            height, width = struct.unpack_from(">HH", data, start + 1)
        elif marker == _EXIF and not exif and data[start : start + 6] == b"Exif\0\0":
            exif = data[start + 6 : end]
        elif marker == _SCAN:
            if not width:
                raise corrupt("the JPEG has pixels before it says how many")
            if not height and data.find(_HEIGHT_BEHIND, end) >= 0:
                raise unsupported("a JPEG that says only behind its pixels how high it is (DNL)")
            return width, height, exif
    raise corrupt("the JPEG has no pixels")


def without_metadata(data: bytes) -> bytes:
    """Return a JPEG that `read_jpeg` has accepted, without what pixels do not need.

    Decoders then parse no EXIF, profile, thumbnail or comment, so none can spoil a good picture.
    """
    kept = [b"\xff\xd8"]
    for marker, start, end in segments(data):
        if marker == _SCAN:
            kept.append(data[start - 4 :])
            break
        word, least = _COLOURS.get(marker, (b"", 0))
        tells_colours = word and data.startswith(word, start) and end - start >= least
        if marker not in _METADATA or tells_colours:
            kept.append(data[start - 4 : end])
    return b"".join(kept)


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


def segments(data: bytes, at: int = 2) -> Iterator[tuple[int, int, int]]:
    """Yield each segment from byte `at` to the end marker: its marker, and start and end of its content.

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
