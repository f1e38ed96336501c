# ruff: noqa: E501
"""A picture stands upright wherever it says how it lies, and however that is stored."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.images.decode import Pixels, fit
from models.images.formats.orientation import read_orientation
from models.images.headers import read_header
from tests.corpus.jpegs import segment
from tests.support.pictures import chunk, encode, exif, scene

W, H = 40, 24


def show(data: bytes) -> Pixels:
    return fit(data, 1000)


def is_turned(data: bytes, upright: Pixels, tolerance: float = 3) -> bool:
    """Return whether a picture is turned by a quarter, to the right."""
    shown = show(data)
    if shown.shape != (W, H, 3):
        return False
    return float(np.abs(shown.astype(int) - np.rot90(upright, k=-1)).mean()) < tolerance


PLAIN = np.asarray(scene(W, H))
PNG = encode(scene(W, H), "PNG")
BLOCK = exif(6).tobytes().removeprefix(b"Exif\0\0")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" %s</x:xmpmeta>'
SAYS = {
    "attribute": XMP % b'tiff:Orientation="6"/>',
    "element": XMP % b"><tiff:Orientation>6</tiff:Orientation></rdf:Description>",
    "spaces": XMP % b"tiff:Orientation = '6' />",
}


def with_chunk(name: bytes, data: bytes) -> bytes:
    return PNG[:33] + chunk(name, data) + PNG[33:]


def raw_profile(kind: bytes, block: bytes) -> bytes:
    digits = block.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\n" + kind + b"\n%8d\n" % len(block) + lines + b"\n"


PNGS = {
    "eXIf": with_chunk(b"eXIf", BLOCK),
    "eXIf as in a JPEG": with_chunk(b"eXIf", b"Exif\0\0" + BLOCK),
    "tEXt": with_chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(b"exif", b"Exif\0\0" + BLOCK)),
    "zTXt": with_chunk(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_profile(b"exif", b"Exif\0\0" + BLOCK))
    ),
    "zTXt, bare": with_chunk(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_profile(b"exif", BLOCK))
    ),
    "zTXt, APP1": with_chunk(
        b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(raw_profile(b"app1", b"Exif\0\0" + BLOCK))
    ),
    "iTXt": with_chunk(b"iTXt", b"Raw profile type exif\0\0\0\0\0" + raw_profile(b"exif", BLOCK)),
    **{
        f"XMP, {name}": with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
        for name, xmp in SAYS.items()
    },
    "XMP, packed": with_chunk(
        b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0words\0" + zlib.compress(SAYS["element"])
    ),
}


@pytest.mark.parametrize("name", PNGS)
def test_a_png_is_turned_wherever_it_says_so(name: str) -> None:
    assert is_turned(PNGS[name], PLAIN)


def test_exif_wins_over_profiles_and_those_over_xmp() -> None:
    upright = exif(1).tobytes().removeprefix(b"Exif\0\0")
    data = PNGS["zTXt"]
    assert not is_turned(data[:33] + chunk(b"eXIf", upright) + data[33:], PLAIN)
    data = PNGS["XMP, element"]
    text = chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(b"exif", upright))
    assert not is_turned(data[:33] + text + data[33:], PLAIN)


@pytest.mark.parametrize(
    "rest",
    [b"", b"\nexif\n", b"\nexif\n 12\nnot hex", b"\nexif\n 12\n4d4d", b"\nexif\n 2\n4d4d2a", b"\nexif\n 8\n" + b"4d4d002affffffff"],
)  # fmt: skip
def test_a_broken_profile_spoils_nothing(rest: bytes) -> None:
    assert (show(with_chunk(b"tEXt", b"Raw profile type exif\0" + rest)) == PLAIN).all()
    assert (show(with_chunk(b"zTXt", b"Raw profile type exif\0\0" + rest)) == PLAIN).all()


@pytest.mark.timeout(20)
def test_a_profile_that_swells_is_cut_and_only_the_first_is_unpacked() -> None:
    bomb = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(80_000_000), 9))
    data = PNG[:33] + bomb * 60 + PNG[33:]
    tracemalloc.start()
    assert (show(data) == PLAIN).all()
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_a_png_with_a_profile_has_its_date_too() -> None:
    block = exif(6, "2024:05:01 12:33:44").tobytes()
    data = with_chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(b"exif", block))
    assert b"2024:05:01" in read_header(data).exif


@pytest.mark.parametrize("says", SAYS)
def test_xmp_turns_a_jpeg_a_webp_and_a_tiff(says: str) -> None:
    options = {"xmp": SAYS[says]}
    assert is_turned(encode(scene(W, H), "JPEG", quality=95, **options), PLAIN)
    assert is_turned(encode(scene(W, H), "WEBP", lossless=True, **options), PLAIN)
    assert is_turned(encode(scene(W, H), "TIFF", tiffinfo={700: SAYS[says]}), PLAIN)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_xmp_counts_only_where_exif_says_nothing(kind: str) -> None:
    data = encode(scene(W, H), kind, exif=exif(1).tobytes(), xmp=SAYS["element"])
    assert show(data).shape == (H, W, 3)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize("block", [exif(taken="2024:05:01 12:33:44"), exif(0)], ids=["none", "zero"])
def test_xmp_counts_where_there_is_exif_that_does_not_say_it(kind: str, block: Image.Exif) -> None:
    if kind == "PNG":
        data = PNGS["XMP, element"]
        data = data[:33] + chunk(b"eXIf", block.tobytes().removeprefix(b"Exif\0\0")) + data[33:]
    else:
        options = {"quality": 95} if kind == "JPEG" else {"lossless": True}
        data = encode(scene(W, H), kind, exif=block.tobytes(), xmp=SAYS["element"], **options)
    assert is_turned(data, PLAIN)


def test_xmp_of_a_jpeg_counts_behind_a_thumbnail_and_a_long_profile() -> None:
    data = encode(scene(W, H), "JPEG", quality=95, xmp=SAYS["element"], comment=b"?" * 60_000)
    for ahead in (segment(0xE0, b"JFXX\0\x10" + encode(scene(), "JPEG")), segment(0xE2, bytes(60_000)) * 5):
        assert is_turned(data[:2] + ahead + data[2:], PLAIN)


def test_an_avif_is_turned_by_its_properties_alone() -> None:
    lossless = {"quality": 100, "subsampling": "4:4:4"}
    for block in (b"", exif(taken="2024:05:01 12:33:44").tobytes()):
        data = encode(scene(W, H), "AVIF", xmp=SAYS["element"], exif=block, **lossless)
        assert show(data).shape == (H, W, 3)
    assert is_turned(encode(scene(W, H), "AVIF", exif=exif(6).tobytes(), **lossless), PLAIN, 6)


def stored(kind: int, value: bytes, order: str = "<", where: bytes = b"") -> bytes:
    """EXIF of one tag, with a value of this type."""
    mark = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    return mark + struct.pack(order + "HHHI", 1, 274, kind, 1) + value.ljust(4, b"\0") + bytes(4) + where


STORED = {
    "BYTE": (1, "B", ()), "SHORT": (3, "H", ()), "LONG": (4, "I", ()), "SBYTE": (6, "b", ()), "SSHORT": (8, "h", ()),
    "SLONG": (9, "i", ()), "RATIONAL": (5, "I", ("II", 6, 1)), "RATIONAL of twelve halves": (5, "I", ("II", 12, 2)),
    "SRATIONAL": (10, "I", ("ii", 6, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_number_may_have_any_type(name: str, order: str) -> None:
    kind, code, fraction = STORED[name]
    behind = struct.pack(order + str(fraction[0]), *fraction[1:]) if fraction else b""
    value = struct.pack(order + code, 26 if fraction else 6)
    block = stored(kind, value, order, behind)
    assert read_orientation(block) == 6
    assert is_turned(with_chunk(b"eXIf", block), PLAIN)


@pytest.mark.parametrize(
    "block",
    [
        b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"words", stored(3, b"\0\0"), stored(3, b"\x09\0"), stored(3, b"\xff\xff"),
        stored(8, b"\xff\xff"), stored(5, b"\x1a\0\0\0", where=struct.pack("<II", 6, 0)), stored(5, b"\xff\xff\0\0"),
        stored(12, b"\6"), stored(2, b"6"), stored(3, b"\6\0")[:19],
    ],
)  # fmt: skip
def test_an_invalid_orientation_is_ignored(block: bytes) -> None:
    assert read_orientation(block) == 1
    assert read_orientation(block, b"tiff:Orientation='9'") == 1
    assert read_orientation(block, SAYS["element"]) == 6


def test_a_profile_of_text_turns_a_png(shared_cases: Path) -> None:
    data = (shared_cases / "pictures/png_exif_raw_profile.png").read_bytes()
    assert read_orientation(read_header(data).exif) not in (0, 1)
