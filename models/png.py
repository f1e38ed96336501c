"""PNG: a signature, then chunks of length, name, data and check sum. Source: W3C PNG, third edition."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from models.unreadable import corrupt, truncated, unsupported

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE = 3
_HEADER_BYTES = 13
_CLEAR_BYTES = {0: (2,), 2: (6,), _PALETTE: range(1, 257)}  # of a tRNS chunk, by colour type


@dataclass(frozen=True, slots=True)
class PngHeader:
    """Width and height in pixels, the frames of an animation, and the EXIF block."""

    width: int
    height: int
    frames: int
    exif: bytes


def is_damaged(data: bytes) -> bool:
    """Tell whether bytes that are no PNG were one, before a transfer in text mode or a flipped bit."""
    same = sum(a == b for a, b in zip(data[:8], SIGNATURE, strict=False))
    return data.startswith(SIGNATURE[:4]) or same >= 6


def read_png(data: bytes) -> PngHeader:
    """Read the chunks that matter and check their sums.

    Raises UnreadableImage (truncated, corrupt, unsupported); struct.error where data ends.
    """
    header: tuple[int, ...] = ()
    told, frames, exif, palette, pixels = 1, 0, b"", 0, False
    for name, start, end in _chunks(data):
        if not header:
            header = _read_header(data, name, start, end)
        elif name == b"PLTE":
            palette = end - start
        elif name == b"IDAT":
            pixels = True
        elif name == b"acTL" and end - start >= 4:
            (told,) = struct.unpack_from(">I", data, start)
        elif name == b"fcTL":
            frames += 1
        elif name == b"eXIf":
            exif = data[start:end]
    if not pixels:
        raise corrupt("the PNG has no pixels")
    if header[3] == _PALETTE and (not 0 < palette <= 768 or palette % 3):
        raise corrupt(f"the PNG needs a palette and has one of {palette} bytes")
    return PngHeader(header[0], header[1], max(1, min(told, frames)), exif)


def without_metadata(data: bytes) -> bytes:
    """Return a PNG that `read_png` has accepted, without what pixels do not need.

    Text, profiles and later frames are parsed by nobody then: they can neither spoil a good picture nor swell
    when they are unpacked.
    """
    kept, colours = [SIGNATURE], 0
    for name, start, end in _chunks(data):
        if name == b"IHDR" and len(kept) == 1:
            colours = data[start + 9]
        needed = name in (b"IHDR", b"IDAT") or (name == b"PLTE" and colours == _PALETTE)
        clear = name == b"tRNS" and end - start in _CLEAR_BYTES.get(colours, ())
        if needed or (clear and _is_sound(data, start, end)):
            kept.append(data[start - 8 : end + 4])
    return b"".join([*kept, b"\0\0\0\0IEND\xaeB`\x82"])


def _read_header(data: bytes, name: bytes, start: int, end: int) -> tuple[int, ...]:
    if name == b"CgBI":
        raise unsupported("a PNG in Apple's own form, for the inside of apps")
    if name != b"IHDR" or end - start != _HEADER_BYTES:
        raise corrupt("the PNG does not begin with its header")
    width, height, depth, colours, packing, filters, interlace = struct.unpack_from(">IIBBBBB", data, start)
    if depth not in _DEPTHS.get(colours, ()) or packing or filters or interlace > 1:
        raise corrupt(
            f"the PNG says {depth} bits, colour type {colours}, methods {packing, filters, interlace}"
        )
    return width, height, depth, colours


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at, name, pixels = 8, b"", False
    while name != b"IEND":
        if at + 12 > len(data):
            if pixels and at == len(data):
                return  # all is there but the closing chunk
            raise truncated("the PNG ends before its last chunk")
        (length,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        if not name.isalpha():
            raise corrupt(f"the PNG has a chunk named {name!r}")
        if at + 12 + length > len(data):
            raise truncated(f"the PNG ends within its {name.decode()} chunk")
        # A capital: who does not understand this chunk cannot show the picture.
        if name[:1].isupper() and not _is_sound(data, at + 8, at + 8 + length):
            raise corrupt(f"the check sum of the PNG's {name.decode()} chunk is wrong")
        pixels = pixels or name == b"IDAT"
        yield name, at + 8, at + 8 + length
        at += 12 + length


def _is_sound(data: bytes, start: int, end: int) -> bool:
    promised: int = struct.unpack_from(">I", data, end)[0]
    return zlib.crc32(memoryview(data)[start - 4 : end]) == promised
