"""PNG: a signature, then chunks of length, name, data and check sum. Source: W3C PNG, third edition."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from models.images.formats.errors import corrupt, truncated, unsupported

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE = 3
_HEADER_BYTES = 13
_CLEAR_BYTES = {0: (2,), 2: (6,), _PALETTE: range(1, 257)}  # of a tRNS chunk, by colour type
_DEPTH_AT = 24  # of the file, in the header chunk

_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_RAW_EXIF, _RAW_APP1 = (
    b"Raw profile type exif",
    b"Raw profile type APP1",
)  # as ImageMagick and exiftool write it
_XMP = b"XML:com.adobe.xmp"
_TEXTS = (_RAW_EXIF, _RAW_APP1, _XMP)
_MOST_TEXT = 1 << 20
_ENDS = "the PNG ends before its last chunk"


@dataclass(frozen=True, slots=True)
class PngHeader:
    """Width and height in pixels, the frames of an animation, and the EXIF and XMP blocks."""

    width: int
    height: int
    frames: int
    exif: bytes
    xmp: bytes


def is_damaged(data: bytes) -> bool:
    """Return whether bytes that are no PNG were one, before a transfer in text mode or a flipped bit."""
    same = sum(a == b for a, b in zip(data[:8], SIGNATURE, strict=False))
    return data.startswith(SIGNATURE[:4]) or same >= 6


def read_png(data: bytes) -> PngHeader:
    """Read the chunks that matter and check their sums.

    Raises UnreadableImage (truncated, corrupt, unsupported); struct.error where data ends.
    """
    header: tuple[int, ...] = ()
    told, frames, exif, palette, pixels = 1, 0, b"", 0, False
    texts = dict.fromkeys(_TEXTS, b"")
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
        elif name in _TEXT_CHUNKS:
            keyword = data[start : min(start + 80, end)].partition(b"\0")[0]
            if texts.get(keyword) == b"":  # the first counts; one that is broken is not empty
                texts[keyword] = _text(name, data[start + len(keyword) + 1 : end]) or b"?"
    if not pixels:
        raise corrupt("the PNG has no pixels")
    if header[3] == _PALETTE and (not 0 < palette <= 768 or palette % 3):
        raise corrupt(f"the PNG needs a palette and has one of {palette} bytes")
    exif = exif or _raw_profile(texts[_RAW_EXIF]) or _raw_profile(texts[_RAW_APP1])
    return PngHeader(header[0], header[1], max(1, min(told, frames)), exif, texts[_XMP])


def correct_transparency(image: Image.Image, data: bytes) -> None:
    """Bring the colour that is transparent to the range in which Pillow gives pixels, where it forgets to."""
    depth, clear = data[_DEPTH_AT], image.info.get("transparency")
    if isinstance(clear, int) and depth in (2, 4) and image.mode == "L":
        image.info["transparency"] = clear * 255 // ((1 << depth) - 1)
    elif isinstance(clear, tuple) and depth == 16:  # of 16 bits, Pillow keeps the upper 8
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def without_metadata(data: bytes) -> bytes:
    """Return a PNG that `read_png` has accepted, without what pixels do not need.

    Decoders then parse no text, profile or later frame: these can neither spoil a good picture nor swell
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


_COLOUR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")


def colour_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return what a PNG that `read_png` has accepted says of its colours, by the names of the chunks.

    They stand in front of the pixels. One whose check sum is wrong is left out; the first of several counts.
    """
    found: dict[bytes, bytes] = {}
    at = len(SIGNATURE)
    while at + 8 <= len(data) and (name := data[at + 4 : at + 8]) not in (b"PLTE", b"IDAT"):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if name in _COLOUR_CHUNKS and _is_sound(data, at + 8, end):
            found.setdefault(name, data[at + 8 : end])
        at = end + 4
    return found


_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced PNG: the first column and row of each pass, and the steps to the next ones."""

_CHANNELS = {0: 1, 2: 3, _PALETTE: 1, 4: 2, 6: 4}
_PIECE = 1 << 20


def unpacked_share(data: bytes) -> float:
    """Return the share of its pixels, 0 to 1, that the data of a PNG accepted by `read_png` unpack to."""
    unpacker, count, needed = zlib.decompressobj(), 0, 0
    for name, start, end in _chunks(data):
        if name == b"IHDR":
            needed = _unpacked_bytes(data, start)
        elif name == b"IDAT" and not unpacker.eof:
            count += _unpacked(unpacker, data[start:end])
        if count >= needed:
            return 1.0
    return count / needed


def _unpacked(unpacker: zlib._Decompress, packed: bytes) -> int:
    """Return how many bytes some more packed ones give, none of which are kept."""
    count = 0
    while packed and not unpacker.eof:
        count += len(unpacker.decompress(packed, _PIECE))
        packed = unpacker.unconsumed_tail
    return count


def _unpacked_bytes(data: bytes, at: int) -> int:
    width, height, depth, colours, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, at)
    bits = depth * _CHANNELS[colours]
    sizes = [
        ((width - left + across - 1) // across, (height - top + down - 1) // down)
        for left, top, across, down in (_PASSES if interlaced else ((0, 0, 1, 1),))
    ]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _text(name: bytes, rest: bytes) -> bytes:
    """Return what a text chunk says behind its keyword; empty where it is broken."""
    packed = name == b"zTXt"
    if name == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif packed:
        rest = rest[1:]
    try:
        return zlib.decompressobj().decompress(rest, _MOST_TEXT) if packed else rest[:_MOST_TEXT]
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> bytes:
    """Return the EXIF block of a profile in hexadecimal: its kind, its length, then digits in lines."""
    try:
        exif = bytes.fromhex(text.split(maxsplit=2)[2].decode("ascii"))
    except (IndexError, ValueError):
        return b""
    return exif.removeprefix(b"Exif\0\0") if exif[:6] == b"Exif\0\0" or exif[:2] in (b"II", b"MM") else b""


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
    """Yield each chunk up to the last, or up to a cut behind the pixels."""
    at, name, pixels = 8, b"", False
    while name != b"IEND":
        (length,) = struct.unpack_from(">I", data, at) if at + 8 <= len(data) else (0,)
        name = data[at + 4 : at + 8]
        if at + 12 + length > len(data):
            if pixels and name != b"IDAT":
                return
            raise truncated(f"the PNG ends within its {name.decode()} chunk" if name.isalpha() else _ENDS)
        if not name.isalpha():
            raise corrupt(f"the PNG has a chunk named {name.decode('latin-1')!r}")
        # A capital: who does not understand this chunk cannot show the picture.
        if name[:1].isupper() and not _is_sound(data, at + 8, at + 8 + length):
            raise corrupt(f"the check sum of the PNG's {name.decode()} chunk is wrong")
        pixels = pixels or name == b"IDAT"
        yield name, at + 8, at + 8 + length
        at += 12 + length


def _is_sound(data: bytes, start: int, end: int) -> bool:
    promised: int = struct.unpack_from(">I", data, end)[0]
    return zlib.crc32(memoryview(data)[start - 4 : end]) == promised
