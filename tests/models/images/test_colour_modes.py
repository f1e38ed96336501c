"""Every format, colour mode and orientation decodes to the pixels of its plain twin."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from models.images import decode as images
from models.images.decode import decode
from tests.corpus.others import riff
from tests.models.images.conftest import SIZE, difference
from tests.support.pictures import FORMATS, encode, exif, noise, png, scene

Twin = Callable[[Image.Image], bytes]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.fault(49)
def test_each_format_shows_the_same_picture(kind: str, plain: images.Pixels) -> None:
    palette = 6.0 if kind == "GIF" else 2.5
    assert difference(encode(scene(), kind), plain) < palette


def _sixteen_bit_png(image: Image.Image) -> bytes:
    rows = (np.asarray(image).astype(">u2") * 257).reshape(image.height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(struct.pack(">IIBBBBB", image.width, image.height, 16, 2, 0, 0, 0), zlib.compress(raw))


def _adobe_cmyk(image: Image.Image) -> bytes:
    data = encode(image.convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data[:200], "Pillow writes CMYK the way Adobe does: inverted"
    return data


def _plain_cmyk(image: Image.Image) -> bytes:
    inverted = Image.merge("CMYK", [band.point(lambda v: 255 - v) for band in image.convert("CMYK").split()])
    data = encode(inverted, "JPEG", quality=95)
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + struct.unpack_from(">H", data, start + 2)[0] :]


def _lab(image: Image.Image) -> bytes:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    return encode(ImageCms.applyTransform(image, transform), "TIFF")  # type: ignore[arg-type]


COLOURED: dict[str, tuple[Twin, float]] = {
    "progressive": (lambda i: encode(i, "JPEG", progressive=True, quality=95), 2),
    "interlaced": (lambda i: encode(i, "PNG", interlace=1), 0.1),
    "RGBA, opaque": (lambda i: encode(i.convert("RGBA"), "PNG"), 0.6),
    "palette": (lambda i: encode(i.quantize(256), "PNG"), 6),
    "palette with transparency": (lambda i: encode(i.quantize(255), "PNG", transparency=255), 6),
    "CMYK JPEG by Adobe": (_adobe_cmyk, 3),
    "CMYK JPEG, plain": (_plain_cmyk, 3),
    "CMYK TIFF": (lambda i: encode(i.convert("CMYK"), "TIFF"), 1),
    "YCbCr TIFF": (lambda i: encode(i.convert("YCbCr"), "TIFF"), 2),
    "LAB TIFF": (_lab, 4),
    "16 bits a channel": (_sixteen_bit_png, 0.6),
    "TIFF, LZW": (lambda i: encode(i, "TIFF", compression="tiff_lzw"), 0.1),
    "TIFF, JPEG inside": (lambda i: encode(i, "TIFF", compression="jpeg", quality=95), 2),
    "WebP, lossless": (lambda i: encode(i, "WEBP", lossless=True), 0.1),
    "animated GIF": (lambda i: encode(i, "GIF", save_all=True, append_images=[noise()]), 6),
    "animated PNG": (lambda i: encode(i, "PNG", save_all=True, append_images=[noise()]), 0.1),
    "animated WebP": (lambda i: encode(i, "WEBP", save_all=True, append_images=[noise()], quality=95), 3),
    "animated AVIF": (lambda i: encode(i, "AVIF", save_all=True, append_images=[noise()], quality=95), 3),
    "two-page TIFF": (lambda i: encode(i, "TIFF", save_all=True, append_images=[noise()]), 0.1),
}


@pytest.mark.parametrize("name", COLOURED)
@pytest.mark.fault(49)
def test_each_colour_mode_decodes_like_plain_rgb(name: str, plain: images.Pixels) -> None:
    make, tolerance = COLOURED[name]
    assert difference(make(scene()), plain) < tolerance


def _grey(dtype: str, factor: float) -> Twin:
    return lambda i: encode(
        Image.fromarray((np.asarray(i.convert("L"), float) * factor).astype(dtype)), "TIFF"
    )


GREY: dict[str, tuple[Twin, float]] = {
    "L": (lambda i: encode(i.convert("L"), "PNG"), 0.1),
    "L JPEG": (lambda i: encode(i.convert("L"), "JPEG", quality=95), 2),
    "LA": (lambda i: encode(i.convert("LA"), "PNG"), 0.6),
    "I;16": (
        lambda i: encode(Image.fromarray(np.asarray(i.convert("L")).astype(np.uint16) * 257), "PNG"),
        0.6,
    ),
    "16 bit TIFF": (_grey("uint16", 257), 0.6),
    "I": (_grey("int32", 257), 3),
    "I up to 255": (_grey("int32", 1), 0.6),
    "F from 0 to 1": (_grey("float32", 1 / 255), 0.6),
    "F up to 255": (_grey("float32", 1), 0.6),
}


@pytest.mark.parametrize("name", GREY)
@pytest.mark.fault(49)
def test_each_grey_mode_decodes_like_plain_grey(name: str) -> None:
    make, tolerance = GREY[name]
    twin = decode(encode(scene().convert("L").convert("RGB"), "PNG"), SIZE)
    assert difference(make(scene()), twin) < tolerance


def test_one_bit_a_pixel_is_black_and_white() -> None:
    image = scene().convert("1")
    assert difference(encode(image, "PNG"), decode(encode(image.convert("RGB"), "PNG"), SIZE)) < 0.1


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    half = Image.new("RGBA", (40, 40), (255, 0, 0, 128))
    assert (decode(encode(clear, "PNG"), SIZE) == 255).all()
    assert (decode(encode(clear, "WEBP", lossless=True), SIZE) == 255).all()
    assert np.abs(decode(encode(half, "PNG"), SIZE).astype(int) - (255, 127, 127)).max() <= 1


@pytest.mark.parametrize("flags", [0x02, 0x12])
@pytest.mark.parametrize("background", [b"\0\0\0\0", b"\0\0\xff\xff"])
def test_what_the_first_frame_of_a_webp_leaves_free_is_white(background: bytes, flags: int) -> None:
    red = encode(Image.new("RGB", (20, 20), "red"), "WEBP", lossless=True)[12:]
    side, canvas = (19).to_bytes(3, "little"), (59).to_bytes(3, "little")
    frame = (b"ANMF", bytes(6) + side * 2 + bytes(4) + red)
    head = (b"VP8X", bytes([flags, 0, 0, 0]) + canvas * 2)
    shown = images.fit(riff(head, (b"ANIM", background + b"\0\0"), frame, frame), 100)
    assert (shown[25:] == 255).all()
    assert (shown[:15, :15] == (255, 0, 0)).all()


def test_transparency_is_seen_as_if_the_picture_lay_on_white_paper() -> None:
    image = scene().convert("RGBA")
    image.putalpha(noise(160, 120).convert("L"))
    paper = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    assert difference(encode(image, "PNG"), decode(encode(paper, "PNG"), SIZE)) < 1.0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
@pytest.mark.fault(49)
def test_every_orientation_stands_upright(orientation: int, kind: str, plain: images.Pixels) -> None:
    lying = scene()
    for turn in _LYING.get(orientation, ()):
        lying = lying.transpose(turn)
    assert difference(encode(lying, kind, exif=exif(orientation).tobytes()), plain) < 3


T = Image.Transpose


_LYING = {  # how the camera must have stored it for the tag to put it right
    2: (T.FLIP_LEFT_RIGHT,),
    3: (T.ROTATE_180,),
    4: (T.FLIP_TOP_BOTTOM,),
    5: (T.TRANSPOSE,),
    6: (T.ROTATE_90,),
    7: (T.TRANSVERSE,),
    8: (T.ROTATE_270,),
}


def test_a_large_jpeg_is_upright_too_though_decoded_at_a_reduced_scale(plain: images.Pixels) -> None:
    lying = scene(1600, 1200).transpose(T.ROTATE_90)
    assert difference(encode(lying, "JPEG", exif=exif(6), quality=95), plain) < 3


def test_a_reduced_scale_looks_like_the_whole() -> None:
    large = scene(1999, 1333)
    large.paste(noise(400, 300).resize((1200, 900)), (333, 222))
    twin = decode(encode(large, "PNG"), SIZE)
    assert difference(encode(large, "JPEG", quality=95), twin) < 3


def test_an_orientation_out_of_range_counts_as_none(plain: images.Pixels) -> None:
    assert difference(encode(scene(), "JPEG", exif=exif(99), quality=95), plain) < 2
