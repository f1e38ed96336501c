"""Strips and tiles of a TIFF whose data are missing or damaged without an error of its decoder."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator

from PIL.JpegImagePlugin import JpegImageFile

from models.images import zero_rows, zero_runs
from models.images.formats.errors import corrupt, truncated
from models.images.formats.jpeg import segments
from models.images.formats.jpeg_decoding import load as load_jpeg
from models.images.formats.tiff_decoder import TiffDecoder
from models.images.zero_rows import Rows

_BITS, _SAMPLES, _ROWS_PER_STRIP, _PLANAR, _JPEG_TABLES, _PHOTOMETRIC = 258, 277, 278, 284, 347, 262
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_UNCOMPRESSED, _JPEG, _DEFLATE = 1, 7, (8, 32946)
_NO_ZEROS = (2, 3, 4, 5, 32771, 32773)
"""Packings in which a long run of zeros means nothing: fax, LZW and PackBits."""
_YCBCR = 6
_TOLERATED = 0.02  # the share of strips or tiles that may be missing
_ZEROS = bytes(64)
_LARGEST_TILE = 16_000_000  # pixels of a JPEG that may be larger than the picture; they take 100 MB
_SMALL = (8, 8)  # the least that a JPEG is decoded to

Span = tuple[int, int]


def check(image: TiffDecoder, data: bytes) -> None:
    """Raise UnreadableImage (truncated, corrupt) if a picture to be loaded lacks over a fiftieth."""
    spans = _spans(image)
    if image.packing == _UNCOMPRESSED:
        _check_count(image, spans)
        zero_rows.check(data, _rows(image, spans), "TIFF")
    elif image.packing in _NO_ZEROS:
        zero_runs.check(data, spans, image.width * image.height, "TIFF")
    elif image.packing in _DEFLATE:
        _check_deflated(data, spans)
    elif image.packing == _JPEG:
        _check_jpegs(image, data, spans)


def _spans(image: TiffDecoder) -> list[Span]:
    """Return where each strip or tile starts and ends; one that is missing is empty."""
    tags = image.tag_v2
    offsets, lengths = tags.get(_STRIPS, ()), tags.get(_STRIP_BYTES, ())
    if _TILES in tags:
        offsets, lengths = tags[_TILES], tags.get(_TILE_BYTES, ())
    known = any(lengths)  # some programs write no lengths, or only zeros
    lengths = tuple(lengths) if known else (1,) * len(offsets)
    return [(at, at + length if at else at) for at, length in zip(offsets, lengths, strict=False)]


def _chunk(image: TiffDecoder) -> tuple[int, int]:
    """Return width and height of a tile or strip."""
    tags, (width, height) = image.tag_v2, image.size
    if _TILES in tags:
        return tags.get(_TILE_WIDTH, width), tags.get(_TILE_HEIGHT, height)
    return width, min(tags.get(_ROWS_PER_STRIP, height), height)


def _check_count(image: TiffDecoder, spans: list[Span]) -> None:
    across, down = _chunk(image)
    planes = image.tag_v2.get(_SAMPLES, 1) if image.tag_v2.get(_PLANAR, 1) == 2 else 1
    needed = -(-image.width // max(1, across)) * -(-image.height // max(1, down)) * planes
    missing = 1 - sum(end > start for start, end in spans[:needed]) / needed
    if missing > _TOLERATED:
        raise truncated(f"{missing:.0%} of the TIFF's strips or tiles are missing")


def _rows(image: TiffDecoder, spans: list[Span]) -> list[Rows]:
    """Return the rows of plain pixels, plane by plane; none where pixels are arranged otherwise."""
    tags, (across, down) = image.tag_v2, _chunk(image)
    if tags.get(_PHOTOMETRIC) == _YCBCR:
        return []
    planes = tags.get(_SAMPLES, 1) if tags.get(_PLANAR, 1) == 2 else 1
    bits = sum(tags.get(_BITS, (1,))[:1]) * tags.get(_SAMPLES, 1) // planes
    stride, tall = (across * bits + 7) // 8, image.height
    each = -(-len(spans) // planes)
    blocks: list[Rows] = []
    for nth, (start, _) in enumerate(spans):
        tall = tall if nth % each else image.height
        count = down if _TILES in tags else min(down, tall)
        tall -= count
        last = blocks[-1] if blocks else None
        if last and last.end == start and _TILES not in tags and nth % each:
            blocks[-1] = Rows(last.start, stride, stride, last.count + count, last.pixel)
        elif count > 0:
            blocks.append(Rows(start, stride, stride, count, max(1, bits // 8)))
    return blocks


def _check_deflated(data: bytes, spans: list[Span]) -> None:
    """Unpack what has zeros in its data, as libtiff does not compare the check sum."""
    for start, end in spans:
        if data.find(_ZEROS, start, end) < 0:
            continue
        unpacker, packed = zlib.decompressobj(), data[start:end]
        try:
            while packed and not unpacker.eof:
                unpacker.decompress(packed, 1 << 20)
                packed = unpacker.unconsumed_tail
        except zlib.error as error:
            raise corrupt(f"the TIFF has zeros where data should be: {error}") from error
        if not unpacker.eof:  # zeros may mean pixels, but then no end follows
            raise corrupt("the TIFF has zeros where data should be, and no end of them")


def _check_jpegs(image: TiffDecoder, data: bytes, spans: list[Span]) -> None:
    """Load each JPEG, and compare its size with what is shown of it; libtiff fills up the rest."""
    across, down = _chunk(image)
    columns, missing = -(-image.width // across), 0
    for nth, jpeg in enumerate(_jpegs(image, data, spans)):
        strip = JpegImageFile(io.BytesIO(jpeg))
        width, height = strip.size
        if width * height > max(_LARGEST_TILE, image.width * image.height):
            raise corrupt("a JPEG strip or tile of the TIFF is far larger than the picture")
        load_jpeg(strip, _SMALL, list(segments(jpeg)))
        row, column = divmod(nth, columns)
        shown = min(across, image.width - column * across), max(0, min(down, image.height - row * down))
        missing += shown[0] * shown[1] - min(width, shown[0]) * min(height, shown[1])
    # Planes of colour may be smaller than that of brightness.
    if image.tag_v2.get(_PLANAR, 1) == 1 and missing > _TOLERATED * image.width * image.height:
        raise truncated("JPEG strips or tiles of the TIFF are smaller than their places")


def _jpegs(image: TiffDecoder, data: bytes, spans: list[Span]) -> Iterator[bytes]:
    """Yield each strip or tile as a JPEG of its own."""
    tables = image.tag_v2.get(_JPEG_TABLES, b"")
    for start, end in spans:
        strip = data[start:end]
        yield tables[:-2] + strip[2:] if len(tables) > 4 else strip
