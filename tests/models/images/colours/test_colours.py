"""Colours far from sRGB are brought to it, by what any file says of them; others stay as they are."""

from __future__ import annotations

import io
import os
import struct
import threading
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops

from models.images.colours import found, to_srgb
from models.images.colours.code_points import profile_of
from models.images.colours.matrix_profile import D65, VALUES, matrix_profile
from models.images.colours.to_srgb import conversion
from models.images.decode import decode, fit
from tests.support.icc_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    GAMMA_22,
    LINEAR,
    PROPHOTO_RGB,
    SRGB,
    WIDE,
    cmyk_profile,
    grey_profile,
)
from tests.support.pictures import chunk, encode, noise, scene

SIZE = 32
RED = (200, 50, 50)
"""As Display P3 it is (218, 24, 40) in sRGB, by CSS Color 4 as by LittleCMS, within 2 levels."""
RED_OF_P3 = (218, 24, 40)
QUALITY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 98}, "WEBP": {"lossless": True}, "HEIF": {"quality": 98}, "AVIF": {"quality": 98},
}  # fmt: skip
WITH_PROFILES = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")


def plain(colour: Any = RED, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (96, 64), colour)


def shown(data: bytes) -> tuple[int, ...]:
    """The colour in the middle of a picture as it is decoded."""
    return tuple(int(value) for value in decode(data, SIZE)[SIZE // 2, SIZE // 2])


def near(colour: tuple[int, ...], wanted: tuple[int, ...], levels: int = 4) -> bool:
    return max(abs(a - b) for a, b in zip(colour, wanted, strict=True)) <= levels


@pytest.mark.parametrize("kind", WITH_PROFILES)
def test_each_format_is_shown_by_its_profile(kind: str) -> None:
    data = encode(plain(), kind, icc_profile=DISPLAY_P3, **QUALITY.get(kind, {}))
    assert near(shown(data), RED_OF_P3)
    assert near(tuple(int(value) for value in fit(data, 48)[9, 9]), RED_OF_P3)


@pytest.mark.parametrize("name", WIDE)
def test_a_wide_profile_gives_what_its_numbers_mean(name: str) -> None:
    """Each wide space has the colours of sRGB; those of a scene, written in it, come back."""
    image = scene(96, 64)
    srgb = np.asarray(image) / 255
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    wide = wide_values(light, name)
    back = decode(
        encode(Image.fromarray(np.round(wide * 255).astype(np.uint8)), "PNG", icc_profile=WIDE[name]), 64
    )
    unmanaged = decode(encode(Image.fromarray(np.round(wide * 255).astype(np.uint8)), "PNG"), 64)
    wanted = decode(encode(image, "PNG"), 64).astype(int)
    assert np.abs(back.astype(int) - wanted).mean() < 1.5
    assert np.abs(unmanaged.astype(int) - wanted).mean() > 5


def wide_values(light: np.ndarray, name: str) -> np.ndarray:
    """Linear sRGB as values of a wide space; matrices as published by Lindbloom and in CSS Color 4."""
    matrices = {
        "Adobe RGB": ([[0.7152, 0.2848, 0], [0, 1, 0], [0, 0.0412, 0.9588]], 563 / 256),
        "Display P3": ([[0.8225, 0.1774, 0], [0.0332, 0.9669, 0], [0.0171, 0.0724, 0.9108]], None),
        "ProPhoto RGB": ([[0.5293, 0.3300, 0.1405], [0.0983, 0.8735, 0.0283], [0.0169, 0.1177, 0.8655]], 1.8),
    }
    matrix, gamma = matrices[name]
    wide = np.clip(light @ np.array(matrix).T, 0, 1)
    if gamma is None:
        return np.where(wide <= 0.0031308, 12.92 * wide, 1.055 * wide ** (1 / 2.4) - 0.055)
    return wide ** (1 / gamma)


@pytest.mark.parametrize("kind", WITH_PROFILES)
@pytest.mark.parametrize("profile", [SRGB, GAMMA_22], ids=["sRGB", "gamma 2.2"])
def test_a_profile_near_srgb_changes_no_byte(kind: str, profile: bytes) -> None:
    options = QUALITY.get(kind, {})
    told = decode(encode(noise(96, 64), kind, icc_profile=profile, **options), SIZE)
    assert np.array_equal(told, decode(encode(noise(96, 64), kind, **options), SIZE))


BROKEN = [
    b"\0", b"no profile at all" * 20, DISPLAY_P3[:200], DISPLAY_P3[:128] + bytes(len(DISPLAY_P3) - 128),
    os.urandom(5000), matrix_profile((D65, (0.3, 0.3), (0.3, 0.31), (0.31, 0.3)), VALUES),
    matrix_profile((D65, (0.64, 0.33), (0.3, 0.6), (0.15, 0.06)), VALUES * 0.05),
    DISPLAY_P3.replace(b"RGB XYZ ", b"HSV XYZ "),
    DISPLAY_P3 + bytes(found.MOST_PROFILE_BYTES),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("profile", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_or_absurd_profile_is_ignored(kind: str, profile: bytes) -> None:
    data = encode(plain(), kind, icc_profile=profile, **QUALITY.get(kind, {}))
    assert near(shown(data), RED, 2)


@pytest.mark.parametrize("cut", range(4, len(DISPLAY_P3), 601))
def test_no_profile_that_is_cut_or_damaged_harms_the_photo(cut: int) -> None:
    for profile in (DISPLAY_P3[:cut], DISPLAY_P3[:cut] + b"\xff" * 8 + DISPLAY_P3[cut + 8 :]):
        assert decode(encode(plain(), "PNG", icc_profile=profile), SIZE).shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize(
    ("mode", "profile"), [("L", DISPLAY_P3), ("RGB", grey_profile(1.0)), ("RGB", cmyk_profile())]
)
def test_a_profile_of_other_channels_is_ignored(mode: str, profile: bytes) -> None:
    image = plain(100 if mode == "L" else RED, mode)
    assert shown(encode(image, "PNG", icc_profile=profile)) == shown(encode(image, "PNG"))


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_is_shown_by_its_curve(mode: str) -> None:
    image = plain(0, "L")
    image.paste(100, (0, 0, 96, 64))
    data = encode(image.convert(mode), "PNG", icc_profile=grey_profile(1.0))
    wanted = (100, 100, 100) if mode == "1" else (168, 168, 168)  # 100 / 255 of the light
    assert near(shown(data), wanted, 3) or mode == "1"
    assert shown(encode(image.convert(mode), "PNG", icc_profile=grey_profile(2.2))) == shown(
        encode(image.convert(mode), "PNG")
    )


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("ink", [1.0, 0.6])
def test_cmyk_is_shown_as_its_inks_print(kind: str, ink: float) -> None:
    image = Image.new("CMYK", (96, 64), (0, 255, 255, 0))
    assert near(shown(encode(image, kind, **QUALITY.get(kind, {}))), (255, 0, 0), 3)
    light = (1 - ink) ** (1 / 2.4) * 1.055 - 0.055 if ink < 1 else 0
    red = (255, round(255 * light), round(255 * light))
    assert near(shown(encode(image, kind, icc_profile=cmyk_profile(ink), **QUALITY.get(kind, {}))), red, 16)


def test_cmyk_whose_inks_print_nothing_is_shown_without_its_profile() -> None:
    image = Image.new("CMYK", (96, 64), (0, 255, 255, 0))
    assert near(shown(encode(image, "TIFF", icc_profile=cmyk_profile(0, 0))), (255, 0, 0), 3)


def test_cmyk_of_a_jpeg_that_is_not_by_adobe_is_not_inverted_twice() -> None:
    image = ImageChops.invert(Image.new("CMYK", (96, 64), (0, 255, 255, 0)))
    data = encode(image, "JPEG", quality=98, icc_profile=cmyk_profile(0.6))
    at = data.index(b"\xff\xee")
    without = data[:at] + data[at + 2 + struct.unpack_from(">H", data, at + 2)[0] :]
    assert near(shown(without), (255, 168, 168), 16)


def test_a_palette_and_transparency_are_shown_by_the_profile() -> None:
    palette = encode(plain().quantize(4), "PNG", icc_profile=DISPLAY_P3)
    assert near(shown(palette), RED_OF_P3)
    clear = Image.new("RGBA", (96, 64), (*RED, 255))
    assert near(shown(encode(clear, "PNG", icc_profile=DISPLAY_P3)), RED_OF_P3)
    clear.putalpha(0)
    assert shown(encode(clear, "PNG", icc_profile=DISPLAY_P3)) == (255, 255, 255)


# What a PNG says without a profile.


def png_with(*chunks: bytes) -> bytes:
    data = encode(plain(), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def chromaticities(*numbers: int) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *numbers))


def icc_chunk(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"P3\0\0" + zlib.compress(profile))


P3 = chromaticities(31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
GAMMA = chunk(b"gAMA", struct.pack(">I", 45455))
PNGS = {
    "cICP of P3": ([chunk(b"cICP", b"\x0c\x0d\0\1")], RED_OF_P3),
    "cICP of sRGB": ([chunk(b"cICP", b"\1\x0d\0\1")], RED),
    "cICP before a profile": ([chunk(b"cICP", b"\1\x0d\0\1"), icc_chunk(DISPLAY_P3)], RED),
    "profile before sRGB": ([icc_chunk(DISPLAY_P3), chunk(b"sRGB", b"\0")], RED_OF_P3),
    "chromaticities and gamma": ([P3, GAMMA], (219, 14, 35)),
    "chromaticities": ([P3], RED_OF_P3),
    "sRGB before chromaticities": ([chunk(b"sRGB", b"\0"), P3, GAMMA], RED),
    "gamma of sRGB": ([GAMMA], RED),
    "gamma 1": ([chunk(b"gAMA", struct.pack(">I", 100_000))], (228, 123, 123)),
    "gamma 0": ([chunk(b"gAMA", bytes(4))], RED),
    "absurd gamma": ([chunk(b"gAMA", struct.pack(">I", 45))], RED),
    "absurd chromaticities": ([chromaticities(*[0] * 8), GAMMA], RED),
    "chromaticities on a line": ([chromaticities(*[31270, 32900] * 4), GAMMA], RED),
    "short chunks": ([chunk(b"gAMA", b"\0"), chunk(b"cHRM", b"\0"), chunk(b"cICP", b"\0")], RED),
    "a bomb of a profile": ([chunk(b"iCCP", b"P3\0\0" + zlib.compress(bytes(50_000_000)))], RED),
    "a profile that is not packed": ([chunk(b"iCCP", b"P3\0\0" + DISPLAY_P3)], RED),
    "a wrong check sum": ([icc_chunk(DISPLAY_P3)[:-1] + b"?"], RED),
}


@pytest.mark.parametrize("name", PNGS)
def test_a_png_is_shown_by_what_it_says_of_its_colours(name: str) -> None:
    chunks, colour = PNGS[name]
    assert near(shown(png_with(*chunks)), colour)


@pytest.mark.fault(45)
def test_a_packed_profile_is_not_unpacked_beyond_the_limit() -> None:
    bomb = png_with(chunk(b"iCCP", b"P3\0\0" + zlib.compress(bytes(200_000_000))))
    tracemalloc.start()
    try:
        assert near(shown(bomb), RED)
        assert tracemalloc.get_traced_memory()[1] < 5 * found.MOST_PROFILE_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("transfer", "value", "light"),
    [(16, 148, 1.0), (16, 128, 0.455), (16, 255, 1.0), (18, 191, 1.0), (18, 128, 0.314), (8, 55, 0.2157)],
)
def test_light_of_hdr_is_brought_to_the_white_of_paper(transfer: int, value: int, light: float) -> None:
    """PQ 0.58 and HLG 0.75 are white (BT.2408); the others are by the formulas of BT.2100."""
    data = encode(plain((value,) * 3), "PNG")
    data = data[:33] + chunk(b"cICP", bytes((9, transfer, 0, 1))) + data[33:]
    grey = round(255 * (1.055 * light ** (1 / 2.4) - 0.055))
    assert near(shown(data), (grey,) * 3, 5)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_numbers_of_a_heif_count_where_it_has_no_profile(kind: str) -> None:
    data = encode(plain(), kind, icc_profile=None, quality=98)
    at = data.index(b"colrnclx")
    told = data[: at + 8] + struct.pack(">HH", 12, 13) + data[at + 12 :]
    assert near(shown(data), RED, 6)
    assert near(shown(told), RED_OF_P3, 8)


# A JPEG has its profile in parts.


def parted(profile: bytes, numbers: list[int]) -> bytes:
    """A JPEG whose profile is in as many parts as there are numbers, written in this order."""
    size = -(-len(profile) // len(numbers))
    parts = {n: profile[size * (n - 1) : size * n] for n in sorted(numbers)}
    segments = b""
    for n in numbers:
        content = b"ICC_PROFILE\0" + bytes((n, len(numbers))) + parts[n]
        segments += b"\xff\xe2" + struct.pack(">H", len(content) + 2) + content
    data = encode(plain(), "JPEG", quality=98)
    return data[:2] + segments + data[2:]


def test_a_profile_in_parts_is_joined_by_their_numbers() -> None:
    assert near(shown(parted(DISPLAY_P3, [1])), RED_OF_P3)
    assert near(shown(parted(DISPLAY_P3, [2, 3, 1])), RED_OF_P3)


def test_a_profile_beyond_the_limit_is_not_joined() -> None:
    long = DISPLAY_P3.ljust(found.MOST_PROFILE_BYTES + 1, b"\0")
    assert near(shown(parted(long, list(range(1, 80)))), RED, 3)


# What is kept.


def test_conversions_are_kept_by_profile_and_few_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(to_srgb, "_made", lambda profile, mode: made.append(mode))
    monkeypatch.setattr(to_srgb, "_kept", to_srgb._Kept())
    for n in range(200):
        conversion(b"%d" % n, plain())
        conversion(b"0", plain())
    assert len(made) == 200
    assert len(to_srgb._kept._by_key) == 64
    conversion(b"0", plain(0, "L"))
    conversion(b"1", plain())
    assert made[-2:] == ["L", "RGB"]


def test_threads_share_a_conversion_and_get_the_same_pixels() -> None:
    data = encode(noise(300, 200), "PNG", icc_profile=PROPHOTO_RGB)
    wanted, others = decode(data, 96), list[bool]()

    def work() -> None:
        others.extend(np.array_equal(decode(data, 96), wanted) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert others == [True] * 40


def test_code_points_of_srgb_and_of_old_television_need_no_profile() -> None:
    assert profile_of(1, 13) == profile_of(2, 2) == profile_of(6, 6) == b""
    assert profile_of(1, 8) and profile_of(9, 1)
    with Image.open(io.BytesIO(encode(plain(), "PNG", icc_profile=LINEAR))) as image:
        assert conversion(image.info["icc_profile"], image) is not None
    assert conversion(ADOBE_RGB, plain((1, 2, 3), "LAB")) is None
