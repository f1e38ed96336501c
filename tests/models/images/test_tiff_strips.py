"""A TIFF whose strips are missing or damaged is refused, though its decoder shows something."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from models.images import tiff_strips
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


def of_jpegs(sizes: list[tuple[int, int]], rows: int, tile: int = 0) -> bytes:
    """Make a TIFF of 200 x 160 pixels whose strips or tiles are JPEGs of these sizes."""
    jpegs = [encode(noise(*size), "JPEG", subsampling=0) for size in sizes]
    offsets = [8 + sum(map(len, jpegs[:nth])) for nth in range(len(jpegs))]
    ifd_at = 8 + sum(map(len, jpegs))
    layout = [(322, [tile]), (323, [tile])] if tile else [(278, [rows])]
    tags = [
        (256, [200]),
        (257, [160]),
        (258, [8, 8, 8]),
        (259, [7]),
        (262, [6]),
        (277, [3]),
        (530, [1, 1]),
        *layout,
    ]
    tags += [(324 if tile else OFFSETS, offsets), (325 if tile else LENGTHS, [len(jpeg) for jpeg in jpegs])]
    entries, behind = b"", b""
    for tag, told in sorted(tags):
        raw = (
            struct.pack(f"<{len(told)}I", *told)
            if tag not in (258, 530)
            else struct.pack(f"<{len(told)}H", *told)
        )
        at = struct.pack("<I", ifd_at + 2 + 12 * len(tags) + 4 + len(behind))
        entries += struct.pack("<HHI", tag, 3 if tag in (258, 530) else 4, len(told))
        entries += raw.ljust(4, b"\0") if len(raw) <= 4 else at
        behind += raw if len(raw) > 4 else b""
    ifd = struct.pack("<H", len(tags)) + entries + bytes(4) + behind
    return b"II*\0" + struct.pack("<I", ifd_at) + b"".join(jpegs) + ifd


WHOLE, LAST = (200, 48), (200, 16)


@pytest.mark.parametrize("small", [(200, 16), (100, 48), (104, 24)])
@pytest.mark.parametrize("nth", [0, 1, 2])
@pytest.mark.fault(42)
def test_jpeg_strips_smaller_than_their_place_are_refused(small: tuple[int, int], nth: int) -> None:
    sizes = [WHOLE, WHOLE, WHOLE, LAST]
    assert decode(of_jpegs(sizes, 48), 32).any()
    sizes[nth] = small
    with pytest.raises(UnreadableImage, match="truncated"):
        decode(of_jpegs(sizes, 48), 32)


def test_a_last_jpeg_strip_may_be_as_high_as_the_others() -> None:
    assert decode(of_jpegs([WHOLE] * 4, 48), 32).any()


def test_jpeg_tiles_need_only_what_the_picture_shows_of_them() -> None:
    full, edge, corner = (128, 128), (72, 128), (72, 32)
    for sizes in ([full] * 4, [full, edge, (128, 32), corner]):
        assert decode(of_jpegs(sizes, 0, 128), 32).any()
    for sizes in ([(128, 64), full, full, full], [full, (40, 128), full, full]):
        with pytest.raises(UnreadableImage, match="truncated"):
            decode(of_jpegs(sizes, 0, 128), 32)


@pytest.mark.parametrize("tile", [0, 128])
def test_a_jpeg_far_larger_than_the_tiff_is_not_loaded(monkeypatch: pytest.MonkeyPatch, tile: int) -> None:
    monkeypatch.setattr(tiff_strips, "load_jpeg", lambda *_: pytest.fail("takes gigabytes of memory"))
    data = of_jpegs([(128, 128)] * 4, 128, tile)
    huge = data.replace(
        b"\x08" + struct.pack(">HH", 128, 128), b"\x08" + struct.pack(">HH", 65_500, 65_500), 1
    )
    assert huge != data
    with pytest.raises(UnreadableImage, match="corrupt"):
        decode(huge, 32)


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


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.fault(42)
def test_zeros_that_a_deflated_strip_takes_for_pixels_are_corrupt(share: float) -> None:
    levels = (
        np.random.default_rng(3).normal(100, 6, (160, 200)).astype(np.uint8)
    )  # zeros mean a level of these
    data = bytearray(tiff("tiff_adobe_deflate", 160, Image.fromarray(levels)))
    (start,), (length,) = values(bytes(data), OFFSETS), values(bytes(data), LENGTHS)
    data[start + round(length * share) : start + length] = bytes(length - round(length * share))
    with pytest.raises(UnreadableImage, match="corrupt"):
        decode(bytes(data), 32)


@pytest.mark.parametrize("packing", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg", "group4"])
@pytest.mark.parametrize("colour", [0, 255])
def test_an_area_of_one_colour_is_accepted(packing: str, colour: int) -> None:
    image = Image.new("1" if packing == "group4" else "L", (900, 700), colour)
    assert (decode(tiff(packing, 700, image), 32) == colour).all()
