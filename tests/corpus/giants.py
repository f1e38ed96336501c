"""Pictures of nearly as many pixels as are allowed: what they cost is the most that one can cost."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.corpus.bmps import bmp, masks
from tests.corpus.case import FINE, Case
from tests.corpus.tiffs import tags, tiff
from tests.support.pictures import encode, png, png_bomb

SIDE = 14_000


def _png(side: int, depth: int, colours: int, bytes_a_pixel: int) -> bytes:
    packer = zlib.compressobj(1)
    row = b"\0" + bytes(side * bytes_a_pixel)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png(struct.pack(">IIBBBBB", side, side, depth, colours, 0, 0, 0), pixels)


def _small_frame() -> bytes:
    data = bytearray(encode(Image.new("L", (SIDE - 1, SIDE)), "GIF"))
    struct.pack_into("<H", data, 6, SIDE)
    return bytes(data)


def _runs() -> bytes:
    row = b"\xff\5" * (SIDE // 255) + bytes([SIDE % 255, 7]) + b"\0\0"
    return bmp(SIDE, SIDE, 8, packing=1, data=row * SIDE + b"\0\1")


def _masked(side: int) -> bytes:
    told = masks(0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    return bmp(side, side, 32, header=56, packing=3, masks=told, data=bytes(4 * side * side))


def _planes(side: int) -> bytes:
    plane = zlib.compress(bytes(2 * side * side), 1)
    return tiff(tags(side, side, bits=(16,) * 3, photo=2, packing=8, t284=(3, [2])), [plane] * 3)


def giants() -> Iterator[Case]:
    """Yield one after the other; each takes a second or more to make and to read."""
    yield Case("giant png of 1 bit", png_bomb(SIDE, SIDE), FINE)
    yield Case("giant png grey", _png(SIDE, 8, 0, 1), FINE)
    yield Case("giant png of 16 bits", _png(SIDE, 16, 0, 2), FINE)
    yield Case("giant png RGB", _png(SIDE, 8, 2, 3), FINE)
    yield Case("giant png RGBA", _png(SIDE, 8, 6, 4), FINE)
    yield Case("giant gif", encode(Image.new("L", (SIDE, SIDE)), "GIF"), FINE)
    yield Case("giant bmp of 1 bit", encode(Image.new("1", (SIDE, SIDE)), "BMP"), FINE)
    yield Case(
        "giant tiff packed", encode(Image.new("L", (SIDE, SIDE)), "TIFF", compression="tiff_deflate"), FINE
    )
    yield Case("giant tiff of floats", encode(Image.new("F", (6000, 6000)), "TIFF"), FINE)
    yield Case("giant gif of a small frame", _small_frame(), FINE)
    yield Case("giant bmp in runs", _runs(), FINE)
    yield Case("large bmp of masks", _masked(6000), FINE)
    yield Case("large tiff of planes", _planes(6000), FINE)
    yield Case("giant jpeg grey", encode(Image.new("L", (SIDE, SIDE)), "JPEG"), FINE)
    yield Case("giant jpeg", encode(Image.new("RGB", (10_000, 10_000)), "JPEG"), FINE)
    yield Case(
        "large jpeg, progressive", encode(Image.new("RGB", (7000, 7000)), "JPEG", progressive=True), FINE
    )
    yield Case("large webp", encode(Image.new("RGB", (8000, 6000)), "WEBP", lossless=True, method=0), FINE)
    yield Case("large avif", encode(Image.new("RGB", (8000, 8000)), "AVIF", speed=10), FINE)
    yield Case("large heif", encode(Image.new("RGB", (8000, 8000)), "HEIF"), FINE)
