"""What a picture's own header says, read without a decoder and without believing it.

Every walk is bounded by the bytes that are there, and tells what ends too early from what is wrong.
Sources: RFC 9649 (WebP), ISO/IEC 14496-12 (HEIF, AVIF); the longer formats have modules of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.bmp import read_bmp
from models.gif import read_gif
from models.jpeg import read_jpeg
from models.orientation import xmp_of_jpeg
from models.png import is_damaged, read_png
from models.sniffing import foreign, is_beginning, sniff
from models.tiff import read_tiff
from models.unreadable import UnreadableImage, corrupt, truncated, unsupported


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture says of itself.

    `format` is Pillow's name of it; `width` and `height` are in pixels, as stored, before any rotation;
    `frames` counts the pictures of an animation or the pages of a TIFF; `exif` is a TIFF structure, or empty,
    and `xmp` is XML, looked for where there is no EXIF.
    """

    format: str
    width: int
    height: int
    frames: int = 1
    exif: bytes = b""
    xmp: bytes = b""


def read_header(data: bytes) -> Header:
    """Read the header of a picture and check that the file does not end before the picture does.

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
    return UnreadableImage("not_an_image", f"begins with {data[:16]!r}")


def _read_jpeg(data: bytes) -> Header:
    width, height, exif = read_jpeg(data)
    return Header("JPEG", width, height, exif=exif, xmp=b"" if exif else xmp_of_jpeg(data))


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
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data):
        raise truncated(f"the WebP should have {size + 8} bytes and has {len(data)}")
    width = height = frames = 0
    exif = xmp = b""
    for name, start, end in _riff_chunks(data, size + 8):
        if name == b"ANMF":
            frames += 1
        elif name == b"EXIF":
            exif = data[start:end].removeprefix(b"Exif\0\0")
        elif name == b"XMP ":
            xmp = data[start:end]
        elif name in _WEBP_SIZES and not width:
            width, height = _WEBP_SIZES[name](data, start)
    return Header("WEBP", width, height, max(1, frames), exif, xmp)


def _riff_chunks(data: bytes, end: int) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    while at + 8 <= end:
        (length,) = struct.unpack_from("<I", data, at + 4)
        if at + 8 + length > end:
            raise corrupt("a chunk of the WebP is longer than the file says it is")
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
_WEBP_SIZES: dict[bytes, _Sizer] = {b"VP8X": _vp8x, b"VP8L": _vp8l, b"VP8 ": _vp8}


# HEIF and AVIF: boxes within boxes. `ispe` says the size of an item, `stsz` the number of frames of a track.

_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}
_TOP_LEVEL = {b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"uuid"}


def _read_heif(data: bytes) -> Header:
    return _read_boxes("HEIF", data)


def _read_avif(data: bytes) -> Header:
    return _read_boxes("AVIF", data)


def _read_boxes(kind: str, data: bytes) -> Header:
    sizes: list[tuple[int, int]] = []
    frames = [1]
    for name, start, end in _boxes(data, 0, len(data)):
        if end > len(data):
            raise truncated(f"the {kind} ends within its {name.decode('latin-1')!r} box")
        if name == b"ispe":
            sizes.append(struct.unpack_from(">II", data, start + 4))
        elif name == b"stsz":
            frames.append(struct.unpack_from(">I", data, start + 8)[0])
    if not sizes:
        raise truncated(f"the {kind} ends before it says how large it is")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Header(kind, width, height, max(frames))


def _boxes(data: bytes, at: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    while at + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        after = at + length if length else end
        if depth == 0 and name not in _TOP_LEVEL and after > end:
            return  # something behind the picture
        if after < start:
            raise corrupt(f"the box {name!r} is shorter than its own header")
        yield name, start, after
        if name in _CONTAINERS and depth < len(_CONTAINERS):
            yield from _boxes(data, start + _CONTAINERS[name], min(after, end), depth + 1)
        at = after


def _read_tiff(data: bytes) -> Header:
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
}
