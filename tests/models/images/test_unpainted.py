"""A picture whose data end early and properly is no whole picture, whatever its last rows look like."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest

from models.images.decode import UnreadableImage, decode, fit
from tests.support.pictures import chunk, noise

WIDTH, HEIGHT = 160, 120
Pixels = npt.NDArray[np.uint8]
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def pixels(black_from: int = HEIGHT, height: int = HEIGHT) -> Pixels:
    values = np.asarray(noise(WIDTH, height)).copy()
    values[black_from:] = 0
    return values


def rows(values: Pixels, interlaced: bool) -> bytes:
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    parts = [values[top::down, left::across] for left, top, across, down in passes]
    return b"".join(b"\0" + row.tobytes() for part in parts for row in part if part.size)


def png(
    unpacked: bytes, interlaced: bool, height: int = HEIGHT, piece: int = 500, animated: bool = False
) -> bytes:
    header = struct.pack(">IIBBBBB", WIDTH, height, 8, 2, 0, 0, interlaced)
    packed = zlib.compress(unpacked)
    body = b"".join(chunk(b"IDAT", packed[at : at + piece]) for at in range(0, len(packed), piece))
    control = struct.pack(">IIIIIHHBB", 0, WIDTH, height, 0, 0, 1, 1, 0, 0)
    if animated:
        later = struct.pack(">I", 2) + zlib.compress(rows(pixels(), False))
        body = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", control) + body
        body += chunk(b"fcTL", b"\0\0\0\1" + control[4:]) + chunk(b"fdAT", later)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("piece", [97, 500, 1 << 20])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.fault(42)
def test_a_png_whose_data_end_early_is_truncated(interlaced: bool, share: float, piece: int) -> None:
    whole = rows(pixels(), interlaced)
    with pytest.raises(UnreadableImage, match="truncated"):
        decode(png(whole[: int(share * len(whole))], interlaced, piece=piece), 32)


@pytest.mark.parametrize("animated", [False, True])
@pytest.mark.fault(42)
def test_only_the_first_frame_counts(animated: bool) -> None:
    whole = rows(pixels(), False)
    assert decode(png(whole, False, animated=animated), 32).any()
    with pytest.raises(UnreadableImage, match=r"truncated.*50% of the picture is missing"):
        decode(png(whole[: len(whole) // 2], False, animated=animated), 32)


@pytest.mark.parametrize("height", [1, 2, 7, 8, 119, 120])
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_that_is_black_below_is_whole(interlaced: bool, height: int) -> None:
    values = pixels(height // 2, height)
    shown = fit(png(rows(values, interlaced), interlaced, height), 1000)
    assert (shown == values).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
@pytest.mark.fault(42)
def test_every_mode_is_counted(mode: str) -> None:
    depth, colours, size = {
        "1": (1, 0, 20), "L": (8, 0, 160), "P": (8, 3, 160), "RGB": (8, 2, 480), "RGBA": (8, 6, 640),
        "LA": (8, 4, 320), "I;16": (16, 0, 320),
    }[mode]  # fmt: skip
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colours, 0, 0, 0))
    table = chunk(b"PLTE", bytes(range(256)) * 3) if mode == "P" else b""
    dark = b"".join(b"\0" + bytes(size) for _ in range(HEIGHT))

    def made(unpacked: bytes) -> bytes:
        packed = zlib.compress(unpacked, 0)
        body = b"".join(chunk(b"IDAT", packed[at : at + 300]) for at in range(0, len(packed), 300))
        return b"\x89PNG\r\n\x1a\n" + head + table + body + chunk(b"IEND", b"")

    assert decode(made(dark), 32).shape == (32, 32, 3)
    with pytest.raises(UnreadableImage, match="truncated"):
        decode(made(dark[: len(dark) // 2]), 32)


def test_more_data_than_there_are_rows_are_passed_over() -> None:
    values = pixels(HEIGHT // 2)
    assert (fit(png(rows(values, False) * 2, False), 1000) == values).all()
