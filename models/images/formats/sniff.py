"""Recognise the type of a file by its first bytes, never by its name."""

from __future__ import annotations

import codecs
import re
import struct
import zlib

from models.images.formats.foreign import FOREIGN, FOREIGN_AT, FOREIGN_TEXT

_HEIF_BRANDS = {
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"hevm",
    b"hevs",
    b"mif1",
    b"msf1",
    b"mif2",
}
_AVIF_BRANDS = {b"avif", b"avis"}

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_RAWS = (b"FUJIFILMCCD-RAW", b"IIU\x00", b"IIRO", b"IIRS", b"MMOR")
"""Fujifilm's RAF, Panasonic's RW2, and Olympus' ORF in three dresses."""
_PCX = re.compile(rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]")


def sniff(data: bytes) -> str | None:
    """Return the format, named as Pillow names it, of a picture that we read; None for anything else.

    RAW is a RAW photo that shows it by its first bytes; others begin like any TIFF.
    """
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return "RAW" if data[8:12] == b"crx " else _brand(data)
    if data[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "RAW" if data[8:10] == b"CR" else "TIFF"  # Canon's RAW photos are TIFFs that say so
    if data.startswith(_RAWS) and not _is_text(data[:512]):
        return "RAW"
    # Two letters are few: text may begin with them, but not with a known size of header behind.
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return None


_BMP_HEADERS = {12, *range(16, 65), 108, 124}  # OS/2 may end one after any field


def foreign(data: bytes) -> str | None:
    """Name a picture, document or film of a kind that we do not read; None for anything else."""
    for pattern, name in FOREIGN_TEXT:
        if pattern.match(data):
            return name
    if _is_svg(data):
        return "an SVG drawing"
    # Words may begin with the letters of any format; what is only words is none.
    return None if _is_text(data[:512]) else _foreign_bytes(data)


def _foreign_bytes(data: bytes) -> str | None:
    if data[-18:] == b"TRUEVISION-XFILE.\0" or _is_tga(data):  # before cursors, which may begin like one
        return "a TGA picture"
    for magic, name in FOREIGN:
        if data.startswith(magic):
            return name
    for at, magic, name in FOREIGN_AT:
        if data[at : at + len(magic)] == magic:
            return name
    if len(data) >= 128 and _PCX.match(data):
        return "a PCX picture"
    return _film(data) or _container(data) or _windows_or_os2(data) or _old_pict(data)


_FILM_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp", b"sidx"}
_PACKETS = ((0, 188), (4, 192), (0, 204))  # where the first one begins, and how long each is


def _film(data: bytes) -> str | None:
    if data[4:8] == b"ftyp" and _brand(data) is None:
        return "a video"
    if data[4:8] in _FILM_BOXES:
        return "a QuickTime video"
    for first, length in _PACKETS:
        marks = data[first : first + 5 * length : length]
        if len(marks) >= 3 and set(marks) == {0x47} and data[:960].count(0x47) < 96:
            return "an MPEG video (TS, MTS)"
    return None


_RIFF = {
    b"AVI ": "a video or sound file", b"WAVE": "a video or sound file", b"ACON": "a Windows animated cursor",
    b"CDXA": "an MPEG video", b"RDIB": "a Windows bitmap in a RIFF file",
}  # fmt: skip
_IFF_PICTURES = {
    b"ILBM",
    b"PBM ",
    b"ACBM",
    b"RGB8",
    b"RGBN",
    b"RGFX",
    b"DEEP",
    b"DR2D",
    b"VDEO",
    b"TVPP",
    b"CIMG",
}
_IFF_FILMS = {b"ANIM", b"YAFA"}


def _container(data: bytes) -> str | None:
    kind = data[8:12]
    if data[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return "a CorelDRAW drawing" if kind[:3] in (b"CDR", b"cdr") else _RIFF.get(kind)
    if data[:4] in (b"FORM", b"FOR4", b"FOR8"):
        if kind in _IFF_FILMS:
            return "an IFF animation"
        return "an IFF picture" if kind in _IFF_PICTURES else None
    return None


def _windows_or_os2(data: bytes) -> str | None:
    """Name icons and arrays of OS/2, and a bitmap as it is on the clipboard, without the header of a file."""
    header = int.from_bytes(data[14:18], "little")
    if data[:2] == b"BA" and data[14:16] in (b"BM", b"IC", b"PT", b"CI", b"CP"):
        return "an OS/2 bitmap array"
    if data[:2] in (b"IC", b"PT", b"CI", b"CP") and header in _BMP_HEADERS:
        return "an OS/2 icon or pointer"
    if len(data) < 16 or int.from_bytes(data[:4], "little") not in (40, 108, 124):
        return None
    width, height, planes, bits = struct.unpack_from("<iiHH", data, 4)
    sane = 0 < width < 1 << 16 and 0 < abs(height) < 1 << 16 and planes == 1
    return "a Windows bitmap without the header of a file" if sane and bits in (1, 4, 8, 16, 24, 32) else None


def _old_pict(data: bytes) -> str | None:
    if len(data) < 530 or any(data[:512]) or data[522:524] != b"\x11\x01":
        return None
    top, left, bottom, right = struct.unpack_from(">hhhh", data, 514)
    return "a PICT drawing" if top < bottom and left < right else None


_TGA_DEPTHS = {1: (8, 16), 2: (15, 16, 24, 32), 3: (8, 16)}  # of palettes, colours and grey


def _is_tga(data: bytes) -> bool:
    """Return whether all numbers of a TGA's header fit together; there is no other mark."""
    if len(data) < 19:
        return False
    words, has_map, kind, _, colours, map_bits = struct.unpack_from("<BBBHHB", data)
    _, _, width, height, bits, flags = struct.unpack_from("<HHHHBB", data, 8)
    plain, packed = kind & 7, bool(kind & 8)
    if kind & ~11 or has_map > 1 or bits not in _TGA_DEPTHS.get(plain, ()) or flags & 0xC0:
        return False
    if has_map != (plain == 1) and not (plain == 2 and has_map):
        return False
    if (has_map and (not colours or map_bits not in (15, 16, 24, 32))) or (not has_map and any(data[3:8])):
        return False
    start = 18 + words + colours * ((map_bits + 7) // 8) * has_map
    least = (height if packed else width * height * ((bits + 7) // 8)) or 1
    return bool(width and height) and len(data) >= start + least


_PROLOG = rb"(?>\s++|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\s++(?:[\w.-]++:)?svg\b[^>\[]*+(?:\[.*?\]\s*+)?>)*+"
_SVG = re.compile(_PROLOG + rb"<(?:[\w.-]+:)?svg[\s>/]", re.IGNORECASE | re.DOTALL)
_HEAD = 1 << 16


def _is_svg(data: bytes) -> bool:
    """Return whether the outermost element of XML is an SVG, in any encoding, packed by gzip or not."""
    head = data[:_HEAD]
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(31).decompress(head, _HEAD)
        except zlib.error:
            return False
    if head[:2] in (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<"):
        order = "utf-16-be" if head[:1] in (b"\xfe", b"\0") else "utf-16-le"
        head = head.decode(order, "ignore").lstrip("\ufeff").encode()
    return _SVG.match(head.removeprefix(b"\xef\xbb\xbf")) is not None


def _is_text(head: bytes) -> bool:
    """Return whether bytes are words in UTF-8, the last of which may be cut."""
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _brand(data: bytes) -> str | None:
    size = min(int.from_bytes(data[:4], "big"), 1024)
    brands = {data[8:12]} | {data[at : at + 4] for at in range(16, size, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    # A film may list mif1 among what it is compatible with; what it is comes first.
    return "HEIF" if data[8:12] in _HEIF_BRANDS else None


def is_beginning(data: bytes) -> bool:
    """Return whether some bytes are too few to be a picture of a known format, and begin like one."""
    cut = any(4 <= len(data) < len(magic) and magic.startswith(data) for magic in _SIGNATURES)
    box = data[4:8] == b"ftyp" and len(data) < 12
    return cut or box or data == b"\xff\xd8" or (data[:4] == b"RIFF" and len(data) < 12)
