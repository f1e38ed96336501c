"""TIFFs of every layout show what they hold, as libtiff reads it, or are refused; never noise."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from models.images.decode import PIXEL_LIMIT, Pixels, UnreadableImage, fit
from models.images.formats.tiff import read_tiff
from tests.corpus.tiffs import Tags, lzw, tags, tiff
from tests.support.pictures import encode, scene

W, H = 48, 32
Numbers = npt.NDArray[np.generic]
COLOURS = np.asarray(scene(W, H)).astype(float) / 255
GREY = COLOURS.mean(axis=2)


def show(data: bytes) -> Pixels:
    return fit(data, 1000, PIXEL_LIMIT)


def off(data: bytes, expected: npt.NDArray[np.float64]) -> float:
    """Return how far a picture is from RGB of 0..1, in steps of 1/255."""
    shown = show(data)
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=-1)
    return float(np.abs(shown - expected * 255).mean())


def numbers(values: npt.NDArray[np.float64], kind: str) -> Numbers:
    dtype = np.dtype(kind)
    return values.astype(dtype) if dtype.kind == "f" else (values * np.iinfo(dtype).max + 0.5).astype(dtype)


def planes(values: npt.NDArray[np.float64], kind: str, rows: int, *, tiled: bool, order: str) -> list[bytes]:
    """Cut each channel into strips of so many rows, or tiles of 16 x 16, one plane after the other."""
    found = []
    for channel in np.moveaxis(numbers(values, order + kind), -1, 0):
        if tiled:
            found += [
                channel[y : y + 16, x : x + 16].tobytes() for y in range(0, H, 16) for x in range(0, W, 16)
            ]
        else:
            found += [channel[y : y + rows].tobytes() for y in range(0, H, rows)]
    return found


PACK: dict[int, Callable[[bytes], bytes]] = {1: bytes, 5: lzw, 8: zlib.compress}


def planar(
    values: npt.NDArray[np.float64], photo: int, kind: str = "u2", *, order: str = "<", packing: int = 1,
    tiled: bool = False, extra: int | None = None,
) -> bytes:  # fmt: skip
    channels, bits = values.shape[-1], 8 * np.dtype(kind).itemsize
    told: Tags = tags(W, H, bits=[bits] * channels, photo=photo, packing=packing, rows=10, t284=(3, [2]))
    if extra is not None:
        told[338] = (3, [extra])
    if tiled:
        told |= {322: (3, [16]), 323: (3, [16])}
    pieces = [PACK[packing](piece) for piece in planes(values, kind, 10, tiled=tiled, order=order)]
    return tiff(told, pieces, order=order, tiled=tiled)


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("packing", list(PACK))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_planes_show_what_their_channels_show(kind: str, order: str, packing: int, tiled: bool) -> None:
    def shown(values: npt.NDArray[np.float64], photo: int, extra: int | None = None) -> bytes:
        return planar(values, photo, kind, order=order, packing=packing, tiled=tiled, extra=extra)

    alpha = np.linspace(0, 1, W)[None, :, None].repeat(H, axis=0)
    on_white = COLOURS * alpha + 1 - alpha
    black = np.zeros((H, W, 1))
    assert off(shown(COLOURS, 2), COLOURS) < 1
    assert off(shown(np.dstack([1 - COLOURS, black]), 5), COLOURS) < 1
    assert off(shown(np.dstack([COLOURS, alpha]), 2, extra=2), on_white) < 1
    assert off(shown(np.dstack([COLOURS * alpha, alpha]), 2, extra=1), on_white) < 1
    assert off(shown(np.dstack([COLOURS, alpha]), 2, extra=0), COLOURS) < 1
    assert off(shown(np.dstack([GREY, alpha]), 1, extra=0), GREY) < 1


def test_planes_that_no_decoder_here_reads_are_refused() -> None:
    alpha = np.ones((H, W, 1))
    cases = {
        "grey and alpha": planar(np.dstack([GREY, alpha]), 1, "u1", extra=2),
        "grey and alpha, packed": planar(np.dstack([GREY, alpha]), 1, "u1", extra=2, packing=8),
        "LAB": planar(COLOURS, 8, "u1"),
        "LAB, packed": planar(COLOURS, 8, "u1", packing=8),
        "32 bits": planar(COLOURS, 2, "u4"),
    }
    for name, data in cases.items():
        with pytest.raises(UnreadableImage, match="unsupported"):
            show(data)
        assert name


def test_planes_cut_short_are_truncated() -> None:
    data = planar(COLOURS, 2)
    folder = struct.unpack_from("<I", data, 4)[0]
    whole = bytearray(data[:folder])
    del whole[-3000:]
    cut = bytes(whole) + data[folder:]
    with pytest.raises(UnreadableImage, match=r"truncated|corrupt"):
        show(cut)


def ycbcr(subsampling: tuple[int, int], *, told: bool = True) -> bytes:
    """Uncompressed YCbCr: for each block the luma of its pixels, then one Cb and one Cr."""
    across, down = subsampling
    values = np.asarray(scene(W, H).convert("YCbCr"))
    body = bytearray()
    for y in range(0, H, down):
        for x in range(0, W, across):
            block = values[y : y + down, x : x + across]
            body += block[..., 0].tobytes() + bytes(block[..., 1:].mean(axis=(0, 1)).astype(np.uint8))
    found: Tags = tags(W, H, bits=(8, 8, 8), photo=6)
    if told:
        found[530] = (3, subsampling)
    return tiff(found, [bytes(body)])


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (1, 2), (2, 2), (4, 2), (4, 4)])
def test_ycbcr_with_fewer_samples_of_colour_shows_its_picture(subsampling: tuple[int, int]) -> None:
    assert off(ycbcr(subsampling), COLOURS) < 6


def test_ycbcr_that_does_not_say_how_it_is_sampled_is_so_by_twos() -> None:
    assert off(ycbcr((2, 2), told=False), COLOURS) < 6


def palette(*, bits: int, entry: int) -> bytes:
    """A grey ramp by a colour map whose entries go from 0 to `entry`."""
    count = 1 << bits
    ramp = [n * entry // (count - 1) for n in range(count)]
    row = np.arange(W) * count // W
    packed = np.packbits(((row[:, None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8)).tobytes()
    return tiff(tags(W, H, bits=(bits,), photo=3, t320=(3, ramp * 3)), [packed * H])


@pytest.mark.parametrize("entry", [255, 65535])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_colour_map_of_8_or_16_bits_is_a_ramp(bits: int, entry: int) -> None:
    shown = show(palette(bits=bits, entry=entry))
    assert shown.min() == 0
    assert shown.max() >= 250
    assert abs(float(shown.mean()) - 127) < 5


def grey(kind: str, *, photo: int = 1, order: str = "<", packing: int = 1, more: Tags | None = None) -> bytes:
    values = numbers(GREY if photo else 1 - GREY, order + kind)
    formats = {"u": 1, "i": 2, "f": 3}[np.dtype(kind).kind]
    bits = 8 * np.dtype(kind).itemsize
    told: Tags = tags(W, H, bits=(bits,), photo=photo, packing=packing, t339=(3, [formats]))
    return tiff(told | (more or {}), [PACK[packing](values.tobytes())], order=order)


@pytest.mark.parametrize("packing", list(PACK))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photo", [0, 1])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i1", "i2", "i4", "f4"])
def test_grey_of_every_kind_of_number_is_grey_or_refused(
    kind: str, photo: int, order: str, packing: int
) -> None:
    data = grey(kind, photo=photo, order=order, packing=packing)
    try:
        assert off(data, GREY) < 12  # a dark picture of unknown white may be shown a little brighter
    except UnreadableImage as error:
        assert error.reason == "unsupported"
        assert (kind, photo, order) not in {(k, 1, "<") for k in ("u1", "u2", "u4", "i1", "i2", "i4", "f4")}


def test_grey_of_12_bits_is_not_nearly_black() -> None:
    values = (GREY * 4095 + 0.5).astype(np.uint16)
    pairs = values.reshape(H, -1, 2).astype(np.uint32)
    joined = pairs[..., 0] << 12 | pairs[..., 1]
    packed = np.stack([joined >> 16, joined >> 8 & 0xFF, joined & 0xFF], axis=-1).astype(np.uint8).tobytes()
    assert off(tiff(tags(W, H, bits=(12,)), [packed]), GREY) < 1


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("tag", [281, 341])
def test_16_bits_of_which_fewer_are_used_are_shown_by_the_largest_value_that_is_told(
    bits: int, tag: int
) -> None:
    most = (1 << bits) - 1
    values = (GREY * most + 0.5).astype("<u2")
    data = tiff(tags(W, H, bits=(16,)) | {tag: (3, [most])}, [values.tobytes()])
    assert off(data, GREY) < 1


def test_a_wrong_largest_value_does_not_overexpose_a_picture() -> None:
    assert off(grey("u2", more={281: (3, [255])}), GREY) < 1
    assert off(grey("u2", more={281: (3, [50_000])}), GREY) < 1
    assert off(grey("u2", more={281: (3, [0])}), GREY) < 1


def test_floats_whose_highlights_exceed_one_are_not_black() -> None:
    values = (GREY * 1.4).astype("<f4")
    data = tiff(tags(W, H, bits=(32,), t339=(3, [3])), [values.tobytes()])
    assert off(data, np.clip(GREY * 1.4, 0, 1)) < 1


def test_white_of_32_bits_does_not_halve_the_brightness_of_a_picture() -> None:
    values = (GREY * (2**32 - 1)).astype("<u4")
    values[0, 0] = 2**32 - 1
    assert off(tiff(tags(W, H, bits=(32,)), [values.tobytes()]), GREY) < 1


def cut_tag(data: bytes, tag: int, kind: int, order: str = "<") -> bytes:
    """Say that the values of a tag are far beyond the end of the file."""
    found, entry = bytearray(data), data.index(struct.pack(order + "HH", tag, kind))
    struct.pack_into(order + "I", found, entry + 8, 1 << 30)
    return bytes(found)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as outside of tests
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packing", [1, 5, 8])
@pytest.mark.parametrize("tiled", [False, True])
def test_a_description_that_is_not_in_the_file_spoils_no_picture(
    packing: int, tiled: bool, order: str
) -> None:
    words: Tags = {270: (2, b"a description\0"), 305: (2, b"a program\0"), 319: (5, bytes(48))}
    body = numbers(GREY, "u1")
    told = tags(W, H, bits=(8,), packing=packing) | words
    pieces = [body.tobytes()]
    if tiled:
        told |= {322: (4, [16]), 323: (4, [16])}
        pieces = [body[y : y + 16, x : x + 16].tobytes() for y in range(0, H, 16) for x in range(0, W, 16)]
    data = tiff(told, [PACK[packing](piece) for piece in pieces], order=order, tiled=tiled)
    assert off(data, GREY) < 1
    for tag, (kind, _) in words.items():
        assert off(cut_tag(data, tag, kind, order), GREY) < 1
    cut = data[: data.index(b"a description")]
    if packing == 1 and not tiled:  # else the lengths of strips or tiles are behind it
        assert off(cut, GREY) < 1


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as outside of tests
@pytest.mark.parametrize(
    ("tag", "kind", "values"), [(320, 3, [0] * 768), (347, 7, bytes(500)), (258, 3, [8, 8, 8])]
)
def test_a_tiff_that_ends_within_what_its_pixels_need_is_truncated(tag: int, kind: int, values: Any) -> None:
    data = tiff(tags(W, H) | {tag: (kind, values)}, [numbers(GREY, "u1").tobytes()])
    with pytest.raises(UnreadableImage, match="truncated"):
        show(data[:-10])


def test_a_strip_that_is_said_to_be_too_long_is_read_where_its_pixels_are_plain() -> None:
    plain = tags(W, H, bits=(8,))
    body = numbers(GREY, "u1").tobytes()
    assert off(tiff(plain, [body], lengths=[2**31]), GREY) < 1
    with pytest.raises(UnreadableImage, match="truncated"):
        show(tiff(tags(W, H, bits=(8,), packing=8), [zlib.compress(body)], lengths=[2**31]))
    with pytest.raises(UnreadableImage, match="truncated"):
        show(tiff(plain, [body], where=[10_000]))


def test_a_tiff_without_the_lengths_of_its_strips_is_read() -> None:
    told: Tags = tags(W, H, bits=(8,), packing=8) | {273: (4, [8])}
    body = zlib.compress(numbers(GREY, "u1").tobytes())
    found = bytearray(tiff(tags(W, H, bits=(8,), packing=8), [body]))
    entry = found.index(struct.pack("<HH", 279, 4))
    struct.pack_into("<H", found, entry, 65000)  # a tag without meaning
    assert told and off(bytes(found), GREY) < 1


@pytest.mark.parametrize(
    ("packing", "name"), [(50001, "WebP"), (34712, "JPEG 2000"), (50002, "JPEG XL"), (77, "method 77")]
)
def test_a_codec_that_is_not_built_in_is_named(packing: int, name: str) -> None:
    with pytest.raises(UnreadableImage, match=name) as raised:
        show(tiff(tags(W, H, bits=(8,), packing=packing), [bytes(99)]))
    assert raised.value.reason == "unsupported"


@pytest.mark.parametrize("packing", list(PACK))
@pytest.mark.parametrize("colours", [1, 3])
def test_where_it_is_not_said_zero_is_black(colours: int, packing: int) -> None:
    expected = GREY if colours == 1 else COLOURS
    told: Tags = tags(W, H, bits=(8,) * colours, packing=packing)
    del told[262]
    assert off(tiff(told, [PACK[packing](numbers(expected, "u1").tobytes())]), expected) < 1


def test_planes_show_a_flower(shared_cases: Path) -> None:
    shown = show((shared_cases / "pictures/tiff_rgb_planar_16.tif").read_bytes()).astype(int)
    assert np.abs(np.diff(shown, axis=1)).mean() < 25  # of noise it is about 80


def test_a_colour_map_of_8_bits_is_a_ramp(shared_cases: Path) -> None:
    shown = show((shared_cases / "pictures/tiff_palette_8bit_values.tif").read_bytes())
    assert shown.max() > 240
    assert shown.min() < 15


def test_a_bomb_of_planes_is_refused_by_its_header() -> None:
    told: Tags = tags(60_000, 60_000, bits=(16,) * 3, photo=2, packing=8, t284=(3, [2]))
    data = tiff(told, [zlib.compress(bytes(1000))] * 3)
    assert read_tiff(data).width == 60_000
    with pytest.raises(UnreadableImage, match="too_many_pixels"):
        show(data)


def test_orientation_still_turns_planes() -> None:
    body = planes(COLOURS, "u2", H, tiled=False, order="<")
    told: Tags = tags(W, H, bits=(16,) * 3, photo=2, t284=(3, [2]), t274=(3, [6]))
    assert show(tiff(told, body)).shape == (W, H, 3)
    assert np.abs(show(tiff(told, body)) - np.rot90(COLOURS * 255, k=-1)).mean() < 1


def test_pillows_own_tiffs_are_still_what_they_were() -> None:
    for mode in ("L", "RGB", "RGBA", "CMYK", "YCbCr", "P"):
        data = encode(scene(W, H).convert(mode), "TIFF")
        with Image.open(io.BytesIO(data)) as image:
            expected = np.asarray(image.convert("RGB")).astype(float) / 255
        assert off(data, expected) < 3


RARE = [
    ({"bits": (6,)}, "grey with numbers of 6 bits"),
    ({"bits": (14,)}, "grey with numbers of 14 bits"),
    ({"bits": (12,), "photo": 0}, "grey with numbers of 12 bits"),
    ({"bits": (16,), "t339": (3, [3])}, "grey with floating-point numbers of 16 bits"),
    ({"bits": (32,) * 3, "photo": 2, "t339": (3, [3] * 3)},
     "RGB with floating-point numbers of 32 bits and 3 channels"),
    ({"bits": (5, 6, 5), "photo": 2}, "RGB with numbers of 5/6/5 bits and 3 channels"),
    ({"bits": (16,), "photo": 32803}, "a sensor's colours with numbers of 16 bits"),
    ({"bits": (8,), "photo": 99}, "colours of an unknown kind with numbers of 8 bits"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "kind"), RARE, ids=[kind for _, kind in RARE])
def test_a_tiff_of_a_rare_kind_is_described(told: dict[str, Any], kind: str) -> None:
    with pytest.raises(UnreadableImage) as raised:
        show(tiff(tags(W, H, **told), [bytes(W * H * 16)]))
    assert (raised.value.reason, raised.value.detail) == ("unsupported", f"a TIFF of {kind}")
