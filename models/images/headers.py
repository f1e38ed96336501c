"""Read the header of an image without a decoder, and without trusting it.

Every loop is bounded by the length of the data. Files that end too early and invalid ones have separate
errors. Sources: RFC 9649 (WebP), ISO/IEC 14496-12 (HEIF, AVIF); the longer formats have modules of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.images.formats.bmp import read_bmp
from models.images.formats.errors import UnreadableImage, corrupt, truncated, unsupported
from models.images.formats.gif import read_gif
from models.images.formats.heif import read_heif
from models.images.formats.jpeg import Segment, read_jpeg
from models.images.formats.png import is_damaged, read_png
from models.images.formats.sniff import foreign, is_beginning, sniff
from models.images.formats.tiff import read_tiff
from models.images.raw.header import is_raw, read_raw


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture says of itself.

    `format` is Pillow's name of it, or one of `models.images.raw.header.FORMATS`; `width` and `height` are
    in pixels, as stored, before any rotation; `frames` counts the pictures of an animation or the pages of a
    TIFF; `exif` is a TIFF structure, or empty, and `xmp` is XML, or empty; `segments` are those that the
    decoder of a JPEG needs. `orientation`, 1 to 8, says how it lies where the file around it knows better
    than the picture itself. `profile` is the ICC profile of a JPEG, or empty.
    """

    format: str
    width: int
    height: int
    frames: int = 1
    exif: bytes = b""
    xmp: bytes = b""
    segments: tuple[Segment, ...] = ()
    orientation: int | None = None
    profile: bytes = b""


def read_header(data: bytes) -> Header:
    """Read the header of a picture and check that the file does not end before its first picture does.

    Raises UnreadableImage: empty, not_an_image, unsupported, truncated or corrupt.
    """
    if not data:
        raise UnreadableImage("empty", "0 bytes")
    kind = sniff(data)
    if kind is None:
        raise _unknown(data)
    try:
        header = _READERS[kind](data)
    except (struct.error, IndexError) as error:
        raise truncated(f"the {kind} ends too early") from error
    if header.width < 1 or header.height < 1:
        raise corrupt(f"the header says {header.width} x {header.height} pixels")
    return header


def _unknown(data: bytes) -> UnreadableImage:
    if is_beginning(data):
        return truncated(f"the file ends within its first {len(data) + 1} bytes")
    if name := foreign(data):
        return unsupported(name)
    if is_damaged(data):
        return corrupt("the first bytes of the PNG are damaged, as by a transfer in text mode")
    return UnreadableImage("not_an_image", f"begins with {_shown(data[:16])}")


def _shown(head: bytes) -> str:
    """Return bytes as text if they are printable, else as numbers."""
    text = head.decode("latin-1")
    return f"the text '{text}'" if text.isascii() and text.isprintable() else f"the bytes {head.hex(' ')}"


def _read_jpeg(data: bytes) -> Header:
    header = read_jpeg(data)
    return Header(
        "JPEG",
        header.width,
        header.height,
        1,
        header.exif,
        header.xmp,
        header.segments,
        profile=header.profile,
    )


def _read_png(data: bytes) -> Header:
    header = read_png(data)
    return Header("PNG", header.width, header.height, header.frames, header.exif, header.xmp)


def _read_gif(data: bytes) -> Header:
    header = read_gif(data)
    return Header("GIF", header.width, header.height, header.frames)


def _read_bmp(data: bytes) -> Header:
    header = read_bmp(data)
    return Header("BMP", header.width, abs(header.height))


# WebP: RIFF chunks.


def _read_webp(data: bytes) -> Header:
    width = height = frames = 0
    exif = xmp = b""
    for name, start, end in _riff_chunks(data):
        if name == b"ANMF":
            frames += 1
        elif name == b"EXIF":
            exif = data[start:end].removeprefix(b"Exif\0\0")
        elif name == b"XMP ":
            xmp = data[start:end]
        elif name in _WEBP_SIZES and not width:
            width, height = _WEBP_SIZES[name](data, start)
    if _riff_end(data) > len(data) and not webp_spans(data):
        raise truncated(f"the WebP should have {_riff_end(data)} bytes and has {len(data)}")
    return Header("WEBP", width, height, max(1, frames), exif, xmp)


def webp_spans(data: bytes) -> list[tuple[int, int]]:
    """Return where the pixels of the first picture of a WebP are; none where the file ends before."""
    for name, start, stop in _riff_chunks(data):
        if name == b"ANMF":
            return [
                (at, last) for inner, at, last in _riff_chunks(data, stop, start + 16) if inner in _PIXELS
            ]
        if name in _PIXELS:
            return [(start, stop)]
    return []


def whole_webp(data: bytes) -> bytes:
    """Return a WebP that ends with a whole chunk, as its decoder needs it, without what was cut."""
    if _riff_end(data) <= len(data):
        return data
    end = max((stop for _, _, stop in _riff_chunks(data)), default=12)
    kept = data[12:end] + bytes(end & 1)
    return b"RIFF" + struct.pack("<I", len(kept) + 4) + b"WEBP" + kept


def _riff_end(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, 4)[0]) + 8


def _riff_chunks(data: bytes, end: int | None = None, at: int = 12) -> Iterator[tuple[bytes, int, int]]:
    """Yield each whole chunk up to `end`, by default that of the file or where it was cut."""
    told = _riff_end(data) if end is None else end
    while at + 8 <= min(told, len(data)):
        (length,) = struct.unpack_from("<I", data, at + 4)
        if at + 8 + length > told:
            raise corrupt("a chunk of the WebP is longer than the file says it is")
        if at + 8 + length > len(data):
            return
        yield data[at : at + 4], at + 8, at + 8 + length
        at += 8 + length + (length & 1)


def _vp8x(data: bytes, at: int) -> tuple[int, int]:
    width, height = data[at + 4 : at + 7], data[at + 7 : at + 10]
    return 1 + int.from_bytes(width, "little"), 1 + int.from_bytes(height, "little")


def _vp8l(data: bytes, at: int) -> tuple[int, int]:
    (bits,) = struct.unpack_from("<I", data, at + 1)
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


def _vp8(data: bytes, at: int) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, at + 6)
    return width & 0x3FFF, height & 0x3FFF


_Sizer = Callable[[bytes, int], tuple[int, int]]
_PIXELS = (b"VP8 ", b"VP8L")
_WEBP_SIZES: dict[bytes, _Sizer] = {b"VP8X": _vp8x, b"VP8L": _vp8l, b"VP8 ": _vp8}


def _read_heif(data: bytes) -> Header:
    header = read_heif(data, "HEIF")
    return Header(header.format, header.width, header.height, header.frames)


def _read_avif(data: bytes) -> Header:
    header = read_heif(data, "AVIF")
    return Header(header.format, header.width, header.height, header.frames)


def _read_raw(data: bytes) -> Header:
    header = read_raw(data)
    return Header(header.format, header.width, header.height, exif=header.exif)


def _read_tiff(data: bytes) -> Header:
    if is_raw(data):
        return _read_raw(data)
    page = read_tiff(data)
    return Header("TIFF", page.width, page.height, page.pages, exif=data)


_READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "GIF": _read_gif,
    "BMP": _read_bmp,
    "WEBP": _read_webp,
    "TIFF": _read_tiff,
    "HEIF": _read_heif,
    "AVIF": _read_avif,
    "RAW": _read_raw,
}
