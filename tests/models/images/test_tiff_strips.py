"""A TIFF whose strips are missing or damaged is refused, though its decoder shows something."""

from __future__ import annotations

import struct

import pytest
from PIL import Image

from models.images.decode import UnreadableImage, decode
from tests.support.pictures import encode, noise

OFFSETS, LENGTHS = 273, 279


def tiff(packing: str, rows: int, image: Image.Image | None = None) -> bytes:
    return encode(image or noise(200, 160), "TIFF", compression=packing, tiffinfo={278: rows})


def place(data: bytes, tag: int) -> tuple[int, int, str]:
    """Return where the values of a tag are, how many, and their code."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        found, kind, values = struct.unpack_from("<HHI", data, entry)
        if found == tag:
            code = {3: "H", 4: "I"}[kind]
            inside = struct.calcsize(code) * values <= 4
            return entry + 8 if inside else struct.unpack_from("<I", data, entry + 8)[0], values, code
    raise AssertionError(tag)


def values(data: bytes, tag: int) -> list[int]:
    at, count, code = place(data, tag)
    return list(struct.unpack_from(f"<{count}{code}", data, at))


def emptied(data: bytes, share: float) -> bytes:
    """Mark the last strips as missing, as in a sparse TIFF."""
    changed = bytearray(data)
    for tag in (OFFSETS, LENGTHS):
        at, count, code = place(data, tag)
        told = values(data, tag)
        kept = round(share * count)
        struct.pack_into(f"<{count}{code}", changed, at, *told[:kept], *[0] * (count - kept))
    return bytes(changed)


@pytest.mark.parametrize("packing", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"])
@pytest.mark.fault(42)
def test_a_tiff_that_lacks_strips_is_refused(packing: str) -> None:
    data = tiff(packing, 8)
    assert decode(data, 32).any()
    with pytest.raises(UnreadableImage):
        decode(emptied(data, 0.5), 32)


@pytest.mark.parametrize("rows", [16, 160])
@pytest.mark.fault(42)
def test_half_a_jpeg_strip_is_refused(rows: int) -> None:
    data = bytearray(tiff("jpeg", rows))
    assert decode(bytes(data), 32).any()
    at, count, code = place(bytes(data), LENGTHS)
    struct.pack_into(f"<{count}{code}", data, at, *(told // 2 for told in values(bytes(data), LENGTHS)))
    with pytest.raises(UnreadableImage):
        decode(bytes(data), 32)


@pytest.mark.parametrize(
    "packing", ["group3", "group4", "tiff_ccitt", "tiff_lzw", "tiff_adobe_deflate", "jpeg"]
)
@pytest.mark.fault(42)
def test_zeros_in_place_of_half_a_strip_are_refused(packing: str) -> None:
    fax = packing in ("group3", "group4", "tiff_ccitt")
    data = bytearray(tiff(packing, 160, noise(200, 160).convert("1") if fax else None))
    assert decode(bytes(data), 32).any()
    (start,), (length,) = values(bytes(data), OFFSETS), values(bytes(data), LENGTHS)
    data[start + length // 2 : start + length] = bytes(length - length // 2)
    with pytest.raises(UnreadableImage):
        decode(bytes(data), 32)


@pytest.mark.parametrize("packing", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg", "group4"])
@pytest.mark.parametrize("colour", [0, 255])
def test_one_colour_is_no_hole(packing: str, colour: int) -> None:
    image = Image.new("1" if packing == "group4" else "L", (900, 700), colour)
    assert (decode(tiff(packing, 700, image), 32) == colour).all()
