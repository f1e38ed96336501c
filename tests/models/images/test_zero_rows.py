"""A hole of zeros in plain pixels is noticed; black that belongs to a picture is not."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from models.images.decode import UnreadableImage, decode
from tests.corpus.tiffs import tags, tiff
from tests.support.pictures import encode, noise

KINDS = ["BMP", "TIFF"]


def with_hole(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + bytes(end - start) + data[end:]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.fault(42)
def test_zeros_up_to_the_end_are_corrupt(kind: str, share: float, mode: str) -> None:
    image = noise(200, 150).convert(mode)
    data = encode(image, kind)
    first = len(data) - len(image.tobytes()) if kind == "BMP" else data.index(image.tobytes()[:64])
    start = first + len(image.tobytes()) // 150 * round(150 * share) + len(image.tobytes()) // 300
    with pytest.raises(UnreadableImage, match=r"corrupt.*zeros"):
        decode(with_hole(data, start, len(data)), 32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.fault(42)
def test_a_hole_within_is_corrupt(kind: str) -> None:
    data = encode(noise(211, 150), kind)
    with pytest.raises(UnreadableImage, match=r"corrupt.*zeros"):
        decode(with_hole(data, 40_000, 50_000), 32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.fault(42)
def test_a_dark_picture_that_ends_on_a_page_is_corrupt(kind: str) -> None:
    values = np.asarray(noise(211, 150)) // 250
    data = encode(Image.fromarray(values), kind)
    start = len(data) // 2 // 4096 * 4096
    with pytest.raises(UnreadableImage, match=r"corrupt.*zeros"):
        decode(with_hole(data[: start - 1] + b"\7" + data[start:], start, len(data)), 32)


def black(name: str) -> Image.Image:
    image = noise(211, 150)
    draw = ImageDraw.Draw(image)
    if name == "letterbox":
        draw.rectangle((0, 0, 211, 30), fill=0)
        draw.rectangle((0, 120, 211, 150), fill=0)
    elif name == "half":
        draw.rectangle((0, 75, 211, 150), fill=0)
    elif name == "frame":
        frame = Image.new("RGB", (300, 200))
        frame.paste(image, (40, 20))
        return frame
    elif name == "turned":
        return image.rotate(7, expand=True)
    elif name == "night":
        return Image.eval(image, lambda value: max(0, value - 200))
    elif name == "round":
        mask = Image.new("L", image.size)
        ImageDraw.Draw(mask).ellipse((30, 20, 180, 120), fill=255)
        return Image.composite(image, Image.new("RGB", image.size), mask)
    return image


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
@pytest.mark.parametrize("name", ["letterbox", "half", "frame", "turned", "night", "round"])
@pytest.mark.parametrize("kind", KINDS)
def test_black_areas_of_the_picture_are_accepted(kind: str, name: str, mode: str) -> None:
    assert decode(encode(black(name).convert(mode), kind), 32).shape == (32, 32, 3)


def in_planes(image: Image.Image, rows: int, *, tiled: bool = False) -> bytes:
    """An uncompressed TIFF with a plane for each channel, each in strips or tiles of so many rows."""
    values = np.asarray(image.convert("RGB"))
    height, width = values.shape[:2]
    padded = np.pad(values, ((0, -height % rows), (0, -width % 64 if tiled else 0), (0, 0)))
    step = 64 if tiled else width
    pieces = [
        padded[y : y + rows if tiled else min(y + rows, height), x : x + step, channel].tobytes()
        for channel in range(3)
        for y in range(0, height, rows)
        for x in range(0, width, step)
    ]
    told = tags(width, height, bits=(8, 8, 8), photo=2, rows=rows) | {284: (3, [2])}
    return tiff(told | ({322: (4, [64]), 323: (4, [rows])} if tiled else {}), pieces, tiled=tiled)


@pytest.mark.parametrize(("rows", "tiled"), [(192, False), (16, False), (64, True)])
@pytest.mark.fault(42)
def test_a_hole_in_planes_is_corrupt(rows: int, tiled: bool) -> None:
    data = in_planes(noise(256, 192), rows, tiled=tiled)
    decode(data, 32)
    for start, end in ((2_970, 13_090), (40_025, 50_010), (50_010, 94_010)):
        with pytest.raises(UnreadableImage, match=r"corrupt.*zeros"):
            decode(with_hole(data, start, end), 32)


@pytest.mark.parametrize(("rows", "tiled"), [(150, False), (16, False), (64, True)])
@pytest.mark.parametrize("name", ["letterbox", "half", "frame", "turned", "night", "round"])
def test_black_areas_in_planes_are_accepted(name: str, rows: int, tiled: bool) -> None:
    assert decode(in_planes(black(name), rows, tiled=tiled), 32).shape == (32, 32, 3)


@pytest.mark.parametrize("rows", [150, 16])
def test_planes_of_saturated_colours_are_accepted(rows: int) -> None:
    image = noise(211, 150)
    draw = ImageDraw.Draw(image)
    draw.polygon([(20, 30), (190, 10), (170, 140), (40, 120)], fill=(250, 200, 0))
    draw.rectangle((0, 100, 211, 150), fill=(0, 0, 255))
    assert decode(in_planes(image, rows), 32).shape == (32, 32, 3)
