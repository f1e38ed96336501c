"""The structure of a TIFF, shared by EXIF: folders of tags. Sources: TIFF 6.0, BigTIFF, DNG 1.7, EXIF 3."""

from __future__ import annotations

import struct
from typing import NamedTuple

from models.images.formats.errors import corrupt, truncated, unsupported

_PAGES = 10_000  # more are not counted; a chain that bites its own tail is none

_WIDTH, _HEIGHT, _COMPRESSION = 256, 257, 259
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_PHOTOMETRIC, _PLANAR, _YCBCR = 262, 284, 6
_DATA = ((273, 279), (324, 325))  # where the strips, or the tiles, are; and how long
_NEEDED = {_WIDTH, _HEIGHT, *(tag for pair in _DATA for tag in pair)}
_NEEDED |= {_COMPRESSION, _TILE_WIDTH, _TILE_HEIGHT}
_NEEDED |= {_PHOTOMETRIC, _PLANAR}
_NEEDED |= {258, 320, 338, 339, 347}  # bits, palette, kinds of channels and numbers, tables of JPEG
_COMPRESSIONS = {1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946, 34925, 50000}  # what Pillow's libtiff has
_NAMES = {
    9: "JBIG", 10: "JBIG", 32766: "NeXT", 32809: "ThunderScan", 32908: "PIXAR Film", 32909: "PIXAR Log",
    33003: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "SGI Log", 34677: "SGI Log",
    34712: "JPEG 2000",
    34713: "Nikon's NEF", 34887: "LERC", 34892: "lossy JPEG", 34933: "PNG", 34934: "JPEG XR", 50001: "WebP",
    50002: "JPEG XL", 52546: "JPEG XL", 65000: "Kodak's DCR",
}  # fmt: skip
_LARGEST_TILE = 1 << 26  # pixels; a decoder makes room for a whole one, however small the picture
_MOST_VALUES = 1_000_000  # of one tag; a strip for each row of the tallest picture is far fewer
_RAW_TYPES = {1, 2, 6, 7}  # of which decoders make no list of numbers
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 13: 4, 16: 8, 18: 8}  # bytes of whole numbers, text and raw bytes
_ALL_SIZES = _SIZES | {5: 8, 6: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 17: 8}
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class TiffHeader(NamedTuple):
    """Width and height of the first page in pixels, and the number of pages."""

    width: int
    height: int
    pages: int


class _Layout(NamedTuple):
    order: str
    counter: str  # how many tags a folder has
    offset: str
    entry: int  # bytes of a tag


def read_tiff(data: bytes) -> TiffHeader:
    """Read the size of the first page and count the pages; pixels are not touched.

    Raises UnreadableImage (unsupported, truncated, corrupt); struct.error where data ends. A RAW photo, whose
    first page may be a small preview, is not for this.
    """
    layout, first = _open(data)
    if layout.order == ">" and layout.counter == "Q":
        raise unsupported("a BigTIFF whose numbers begin with the large end")
    page = _folder(data, first, layout)
    for offsets, lengths in _DATA if _lengths_count(page) else ():
        for start, length in zip(page.get(offsets, []), page.get(lengths, []), strict=False):
            if start + length > len(data):
                raise truncated(f"the TIFF should have {start + length} bytes and has {len(data)}")
    if not page.get(_WIDTH) or not page.get(_HEIGHT):
        raise corrupt("the TIFF does not say how large it is")
    if (packing := page.get(_COMPRESSION) or [1])[0] not in _COMPRESSIONS:
        raise unsupported(f"a TIFF packed by {_NAMES.get(packing[0], f'method {packing[0]}')}")
    tile = [*page.get(_TILE_WIDTH, [0]), 0][0] * [*page.get(_TILE_HEIGHT, [0]), 0][0]
    if tile > max(_LARGEST_TILE, 4 * page[_WIDTH][0] * page[_HEIGHT][0]):
        raise corrupt(f"the TIFF has tiles of {tile} pixels")
    return TiffHeader(page[_WIDTH][0], page[_HEIGHT][0], _count_pages(data, first, layout))


def _lengths_count(page: dict[int, list[int]]) -> bool:
    """Return whether decoders need the lengths of strips; of plain pixels they know how many there are."""
    plain = (page.get(_COMPRESSION) or [1])[0] == 1 and (page.get(_PLANAR) or [1])[0] != 2
    return not plain or page.get(_PHOTOMETRIC) == [_YCBCR]


def _open(data: bytes) -> tuple[_Layout, int]:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    layout = _Layout(order, "Q", "Q", 20) if big else _Layout(order, "H", "I", 12)
    (first,) = struct.unpack_from(order + layout.offset, data, 8 if big else 4)
    return layout, first


def _count_pages(data: bytes, at: int, layout: _Layout) -> int:
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _PAGES and at + 8 <= len(data):
        seen.add(at)
        (count,) = struct.unpack_from(layout.order + layout.counter, data, at)
        after = at + struct.calcsize(layout.counter) + count * layout.entry
        if after + struct.calcsize(layout.offset) > len(data):
            break
        (at,) = struct.unpack_from(layout.order + layout.offset, data, after)
    return len(seen)


def without_broken_tags(data: bytes) -> bytes:
    """Return a TIFF that `read_tiff` has accepted, without tags of its first page whose values are not there.

    libtiff passes over such a description or date; Pillow would forget all tags behind it.
    """
    layout, first = _open(data)
    broken = [entry for entry in _entries(data, first, layout) if _end(data, entry, layout) > len(data)]
    if not broken:
        return data
    patched = bytearray(data)
    for entry in broken:
        patched[entry + 2 : entry + 4] = b"\0\0"  # a type that no decoder knows
    return bytes(patched)


def _entries(data: bytes, at: int, layout: _Layout) -> range:
    """Return where the tags of a page are."""
    (count,) = struct.unpack_from(layout.order + layout.counter, data, at)
    at += struct.calcsize(layout.order + layout.counter)
    return range(at, at + min(count, 65535) * layout.entry, layout.entry)


def _end(data: bytes, entry: int, layout: _Layout) -> int:
    """Return where the values of a tag end, if they stand elsewhere; else 0."""
    (kind,) = struct.unpack_from(layout.order + "H", data, entry + 2)
    count, place = struct.unpack_from(layout.order + 2 * layout.offset, data, entry + 4)
    length = int(count * _ALL_SIZES.get(kind, 0))
    return place + length if length > struct.calcsize(layout.offset) else 0


def _folder(data: bytes, at: int, layout: _Layout) -> dict[int, list[int]]:
    if at >= len(data):
        raise truncated(f"the TIFF has its first page at byte {at} and has {len(data)} bytes")
    tags = {}
    for entry in _entries(data, at, layout):
        tag, kind = struct.unpack_from(layout.order + "HH", data, entry)
        (values,) = struct.unpack_from(layout.order + layout.offset, data, entry + 4)
        if values > _MOST_VALUES and kind not in _RAW_TYPES:
            raise corrupt(f"tag {tag} of the TIFF has {values} values")
        if tag in _NEEDED and kind in _SIZES:
            tags[tag] = _values(data, entry + 4, _SIZES[kind], layout)
    return tags


def _values(data: bytes, at: int, size: int, layout: _Layout) -> list[int]:
    (count,) = struct.unpack_from(layout.order + layout.offset, data, at)
    width = struct.calcsize(layout.offset)
    at += width
    if count > _MOST_VALUES:
        raise corrupt(f"a tag of the TIFF has {count} values")
    if count * size > width:
        (at,) = struct.unpack_from(layout.order + layout.offset, data, at)
    if at + count * size > len(data):
        raise truncated("the TIFF ends before a list of numbers that it needs")
    return list(struct.unpack_from(f"{layout.order}{count}{_CODES[size]}", data, at))
