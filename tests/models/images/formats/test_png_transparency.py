"""A colour of a PNG that is transparent is white, at every depth."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from models.images import resize
from models.images.decode import decode, fit
from tests.support.pictures import chunk

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(values: list[int], depth: int, colours: int, clear: bytes, palette: bytes = b"") -> bytes:
    """One row of samples."""
    channels = 3 if colours == 2 else 1
    bits = "".join(f"{value:0{depth}b}" for value in values)
    row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    header = struct.pack(">IIBBBBB", len(values) // channels, 1, depth, colours, 0, 0, 0)
    table = chunk(b"PLTE", palette) if palette else b""
    body = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return SIGNATURE + chunk(b"IHDR", header) + table + chunk(b"tRNS", clear) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("clear", [0, 1, 2, -1])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_white(depth: int, clear: int) -> None:
    most = (1 << depth) - 1
    values = [0, most // 3, 2 * (most // 3), most]
    hidden = values[clear]
    shown = fit(png(values, depth, 0, struct.pack(">H", hidden)), 100)
    expected = [255 if value == hidden else round(value * 255 / most) for value in values]
    assert shown[0, :, 0].tolist() == expected


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_is_white(depth: int) -> None:
    low = 256 if depth == 16 else 1
    values = [10 * low + 5 * (low > 1), 20 * low, 30 * low, 10 * low, 20 * low, 31 * low]
    shown = fit(png(values, depth, 2, struct.pack(">HHH", *values[:3])), 100)
    assert shown[0].tolist() == [[255, 255, 255], [10, 20, 31]]


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_transparent_entry_of_a_palette_is_white(depth: int) -> None:
    palette = bytes([10, 20, 30, 40, 50, 60])
    shown = fit(png([0, 1], depth, 3, b"\xff\0", palette), 100)
    assert shown[0].tolist() == [[10, 20, 30], [255, 255, 255]]


def test_a_colour_that_no_depth_can_name_hides_nothing() -> None:
    shown = fit(png([0, 1, 2, 3], 2, 0, struct.pack(">H", 300)), 100)
    assert shown[0, :, 0].tolist() == [0, 85, 170, 255]


def test_a_large_picture_of_16_bits_is_clear_in_every_band(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resize, "BAND_PIXELS", 4000)
    row = b"\0" + b"\x12\x34" * 300
    header = struct.pack(">IIBBBBB", 300, 200, 16, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(row * 200))
    clear = chunk(b"tRNS", b"\x12\x34")
    data = SIGNATURE + chunk(b"IHDR", header) + clear + body + chunk(b"IEND", b"")
    assert (decode(data, 32) == 255).all()


def test_a_cube_lies_on_white(shared_cases: Path) -> None:
    shown = fit((shared_cases / "pictures/png_grey16_trns.png").read_bytes(), 100)
    assert all((shown[y, x] == 255).all() for y in (0, -1) for x in (0, -1))
    assert np.asarray(shown).min() < 100
