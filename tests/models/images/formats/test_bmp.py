"""BMPs of every header, packing and mask show their pixels, or are refused; never stripes."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from models.images.decode import Pixels, UnreadableImage, fit
from models.images.formats.sniff import sniff
from tests.corpus.bmps import bmp, masks
from tests.support.pictures import scene

Indices = npt.NDArray[np.uint8]


def table(colours: int) -> npt.NDArray[np.uint8]:
    """The palette that `bmp` writes, as RGB."""
    return np.array([[255 - n % 256, n % 256, (n * 91) % 256] for n in range(colours)], np.uint8)


def drawn(width: int, height: int, colours: int, seed: int = 1) -> Indices:
    """Lines of runs of every length, some of one pixel."""
    chance = random.Random(seed)
    rows = []
    for _ in range(height):
        row: list[int] = []
        while len(row) < width:
            row += [chance.randrange(colours)] * chance.choice((1, 1, 2, 3, 5, 9))
        rows.append(row[:width])
    return np.array(rows, np.uint8)


def pack(pixels: Indices, bits: int, *, plain: bool, seed: int = 1) -> bytes:
    """Pack rows, the lowest first, in runs or, at random, in plain values too."""
    chance, packed = random.Random(seed), b""
    for row in pixels[::-1].tolist():
        at = 0
        while at < len(row):
            if plain and len(row) - at >= 3 and chance.random() < 0.5:
                values = row[at : at + chance.randrange(3, 12)]
                packed += _plain(values, bits)
                at += len(values)
                continue
            length = 1
            while at + length < len(row) and row[at + length] == row[at] and length < 255:
                length += 1
            packed += bytes([length, row[at] * (17 if bits == 4 else 1)])
            at += length
        packed += b"\0\0"
    return packed + b"\0\1"


def _plain(values: Sequence[int], bits: int) -> bytes:
    if bits == 8:
        body = bytes(values)
    else:
        pairs = [*values, 0]
        body = bytes(pairs[n] << 4 | pairs[n + 1] for n in range(0, len(values), 2))
    return bytes([0, len(values)]) + body + bytes(len(body) % 2)


def show(data: bytes) -> Pixels:
    return fit(data, 2000)


@pytest.mark.parametrize("gap", [0, 1])  # plain values fill words as counted from the first pixel
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("width", [1, 2, 3, 16, 31, 301])
@pytest.mark.parametrize(("bits", "packing"), [(8, 1), (4, 2)])
def test_runs_show_their_pixels_at_every_width(
    bits: int, packing: int, width: int, plain: bool, gap: int
) -> None:
    pixels = drawn(width, 21, 1 << bits)
    data = bmp(width, 21, bits, packing=packing, data=pack(pixels, bits, plain=plain), gap=gap)
    assert (show(data) == table(1 << bits)[pixels]).all()
    top_down = bmp(width, -21, bits, packing=packing, data=pack(pixels[::-1], bits, plain=plain))
    assert (show(top_down) == table(1 << bits)[pixels]).all()


@pytest.mark.parametrize(("bits", "packing"), [(8, 1), (4, 2)])
def test_a_run_of_two_colours_takes_turns_from_its_own_beginning(bits: int, packing: int) -> None:
    packed = b"\3\x12\2\x34\0\0\0\1"
    shown = show(bmp(5, 1, bits, packing=packing, data=packed))
    expected = [1, 2, 1, 3, 4] if bits == 4 else [0x12] * 3 + [0x34] * 2
    assert (shown == table(1 << bits)[[expected]]).all()


def test_pixels_that_no_run_covers_are_white_as_in_browsers() -> None:
    jumps = b"\2\1\0\2\1\1\1\2\0\0\0\1"  # two pixels; one to the right and one up; one more; then the end
    shown = show(bmp(6, 4, 8, colours=9, packing=1, data=jumps))
    colours = table(9)
    expected = np.full((4, 6, 3), 255, np.uint8)
    expected[3, :2], expected[2, 3] = colours[1], colours[2]
    assert (shown == expected).all()


def test_a_short_line_ends_at_its_end_of_line() -> None:
    shown = show(bmp(6, 2, 8, colours=9, packing=1, data=b"\2\1\0\0\6\2\0\0\0\1"))
    assert (shown[1, :2] == table(9)[1]).all() and (shown[1, 2:] == 255).all()
    assert (shown[0] == table(9)[2]).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_runs_that_end_too_early_are_truncated(bits: int) -> None:
    packing = 1 if bits == 8 else 2
    whole = pack(drawn(31, 20, 16), bits, plain=True)
    for cut in (0, 1, 5, len(whole) // 2, len(whole) - 6):
        with pytest.raises(UnreadableImage, match="truncated"):
            show(bmp(31, 20, bits, packing=packing, data=whole[:cut]))
    assert show(bmp(31, 20, bits, packing=packing, data=whole[:-2])).any()  # only the code for its end


def test_of_a_row_that_is_too_long_the_rest_is_dropped() -> None:
    packed = b"\x04\1\x09\2\0\4abcd\0\0" + b"\6\3\0\0\0\1"
    shown = show(bmp(6, 2, 8, colours=9, packing=1, data=packed))
    assert (shown[1] == table(9)[[1, 1, 1, 1, 2, 2]]).all()
    assert (shown[0] == table(9)[3]).all()


@pytest.mark.timeout(60)
def test_many_short_runs_take_no_minute() -> None:
    data = bmp(2000, 2000, 8, packing=1, data=(b"\1\5" * 2000 + b"\0\0") * 2000)
    assert (show(data) == table(256)[5]).all()


LAYOUTS = {  # the masks of red, green, blue and, perhaps, alpha
    16: [
        (0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F), (0xE0, 0x1C, 0x3), (0xF00, 0xF0, 0xF),
        (0x1F, 0x7E0, 0xF800), (0xF00, 0xF0, 0xF, 0xF000), (0x7C00, 0x3E0, 0x1F, 0x8000),
    ],
    32: [
        (0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000), (0xFF000000, 0xFF0000, 0xFF00),
        (0xFF00, 0xFF0000, 0xFF000000),
        (0xFFE00000, 0x1FFC00, 0x3FF), (0x3FF00000, 0xFFC00, 0x3FF), (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (0xE0, 0x1C, 0x3),
    ],
}  # fmt: skip


def masked(bits: int, layout: Sequence[int], alpha: float, header: int, packing: int = 3) -> bytes:
    """A scene whose channels are where the masks say."""
    pixels = np.asarray(scene(37, 20)).astype(float) / 255
    words = np.zeros((20, 37), np.uint64)
    for mask, values in zip(layout, [*np.moveaxis(pixels, -1, 0), np.full((20, 37), alpha)], strict=False):
        shift = (mask & -mask).bit_length() - 1
        words |= np.round(values * (mask >> shift)).astype(np.uint64) << np.uint64(shift)
    rows = words[::-1].astype("<u2" if bits == 16 else "<u4")
    padded = np.pad(rows, ((0, 0), (0, 37 % 2 if bits == 16 else 0)))
    told = masks(*layout, *([0] if len(layout) == 3 and (header > 40 or packing == 6) else []))
    return bmp(37, 20, bits, header=header, packing=packing, masks=told, data=padded.tobytes())


@pytest.mark.parametrize(
    ("bits", "layout", "header"),
    [
        (bits, layout, header)
        for bits, found in LAYOUTS.items()
        for layout in found
        for header in (40, 52, 56, 108, 124)
        if len(layout) == 3 or header >= 56  # the shorter ones have no room for alpha
    ],
)
def test_masks_say_where_the_colours_are(bits: int, layout: tuple[int, ...], header: int) -> None:
    coarse = 40 if min(mask.bit_count() for mask in layout[:3]) < 4 else 9
    expected = np.asarray(scene(37, 20)).astype(int)
    for alpha in (1.0, 0.0):  # alpha that is 0 everywhere is meant to be none
        shown = show(masked(bits, layout, alpha, header))
        assert np.abs(shown - expected).mean() < coarse
    if len(layout) == 4 and layout[3].bit_count() == 8:
        half = show(masked(bits, layout, 0.5, header))
        assert np.abs(half - (expected / 2 + 127)).mean() < coarse


def test_masks_with_alpha_behind_a_short_header() -> None:
    data = masked(32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), 0.5, 40, packing=6)
    assert np.abs(show(data) - (np.asarray(scene(37, 20)) / 2 + 127)).mean() < 2


def test_masks_that_name_no_bits_are_the_usual_ones_and_those_with_gaps_are_corrupt() -> None:
    usual = masked(32, (0xFF0000, 0xFF00, 0xFF), 1.0, 40)
    at = 14 + 40
    assert (show(usual[:at] + bytes(12) + usual[at + 12 :]) == show(usual)).all()
    with pytest.raises(UnreadableImage, match="corrupt"):
        show(usual[:at] + masks(0xF0F000, 0xFF, 0xFF) + usual[at + 12 :])


@pytest.mark.parametrize("header", [12, 16, 20, 36, 40, 42, 52, 56, 64, 108, 124])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 24])
def test_every_header_shows_the_same_pixels(header: int, bits: int) -> None:
    chance = np.random.default_rng(3)
    pixels = chance.integers(0, 256, (7, 13, 3)) if bits == 24 else chance.integers(0, 1 << bits, (7, 13))
    if bits == 24:
        rows = np.pad(pixels[::-1, :, ::-1].reshape(7, -1), ((0, 0), (0, 1))).astype(np.uint8)
        expected = pixels
    else:
        spread = (pixels[::-1, :, None] >> np.arange(bits)[::-1]) & 1
        rows = np.packbits(spread.reshape(7, -1).astype(np.uint8), axis=1)
        rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
        expected = table(1 << bits)[pixels]
    data = bmp(13, 7, bits, header=header, data=rows.tobytes())
    assert sniff(data) == "BMP"
    assert (show(data) == expected).all()


def test_a_palette_that_looks_grey_or_black_and_white_is_only_a_palette() -> None:
    pixels = np.tile(np.arange(2, dtype=np.uint8), (4, 30))
    data = bytearray(bmp(60, 4, 8, colours=2, data=pixels.tobytes()))
    data[54:62] = b"\0\0\0\0\xff\xff\xff\0"
    assert (show(bytes(data)) == pixels[..., None] * 255).all()


def test_more_colours_than_pixels_can_name_are_passed_over() -> None:
    pixels = drawn(16, 4, 256)
    data = bmp(16, 4, 8, colours=300, data=pixels[::-1].tobytes())
    assert (show(data) == table(256)[pixels]).all()


def test_the_last_row_may_lack_its_padding_and_no_pixel() -> None:
    data = bmp(61, 4, 24)
    assert (show(data[:-1]) == show(data)).all()
    with pytest.raises(UnreadableImage, match="truncated"):
        show(data[:-2])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bmp(60, 20, 24, header=64, packing=4), "OS/2"), (bmp(60, 20, 1, header=64, packing=3), "Huffman"),
        (bmp(60, 20, 0, packing=4, colours=0), "JPEG"), (bmp(60, 20, 0, packing=5, colours=0), "PNG"),
        (bmp(60, 20, 64), "64 bits"), (bmp(60, 20, 24, packing=11), "method 11"),
    ],
)  # fmt: skip
def test_what_is_not_read_says_why(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableImage, match=words) as raised:
        show(data)
    assert raised.value.reason == "unsupported"


def test_a_bomb_of_runs_is_refused_by_its_header() -> None:
    data = bmp(60_000, 60_000, 8, packing=1, data=b"\0\1")
    assert struct.unpack_from("<i", data, 18) == (60_000,)
    with pytest.raises(UnreadableImage, match="too_many_pixels"):
        show(data)


def test_a_blue_glass_has_no_stripes(shared_cases: Path) -> None:
    shown = show((shared_cases / "pictures/bmp_rle4_blauesglas.bmp").read_bytes()).astype(int)
    assert np.abs(np.diff(shown, axis=0)).mean() < 9  # 14.9 with stripes


def test_masks_that_all_viewers_open_are_read(shared_cases: Path) -> None:
    assert show((shared_cases / "pictures/bmp_rgb32bf.bmp").read_bytes()).shape == (64, 127, 3)


@pytest.mark.parametrize("painted", [0.1, 0.5, 0.7])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.fault(42)
def test_runs_that_end_long_before_the_last_row_are_truncated(bits: int, painted: float) -> None:
    packed = pack(drawn(60, round(100 * painted), 16), bits, plain=True)
    with pytest.raises(UnreadableImage, match=r"truncated.*rows are missing"):
        show(bmp(60, 100, bits, packing=8 // bits, data=packed))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("hole", [b"\0\1", bytes(400), bytes(4096)])
@pytest.mark.fault(42)
def test_a_hole_in_runs_is_corrupt(hole: bytes, bits: int) -> None:
    packed = bytearray(pack(drawn(60, 200, 16), bits, plain=False))
    packed[4000 : 4000 + len(hole)] = hole
    with pytest.raises(UnreadableImage, match=r"corrupt.*rows are missing"):
        show(bmp(60, 200, bits, packing=8 // bits, data=bytes(packed)))


@pytest.mark.fault(42)
def test_runs_that_end_before_the_header_says_are_corrupt() -> None:
    data = bytearray(bmp(60, 100, 8, packing=1, data=pack(drawn(60, 90, 16), 8, plain=True)))
    assert show(bytes(data)).shape == (100, 60, 3)
    struct.pack_into("<I", data, 34, len(data) + 1000)
    with pytest.raises(UnreadableImage, match="corrupt"):
        show(bytes(data))


@pytest.mark.parametrize("tail", [b"\0\1", b"\0\2\0\x0a\0\1", b"\0\2\0\x14\1\1\0\1"])
def test_rows_may_be_left_free_at_the_end(tail: bytes) -> None:
    packed = pack(drawn(60, 79, 16), 8, plain=True)[:-2] + tail
    assert (show(bmp(60, 100, 8, packing=1, data=packed, colours=16))[:18, 1:] == 255).all()


@pytest.mark.parametrize("hole", [b"\xff" * 4000, bytes(range(1, 251)) * 16], ids=["ff", "other"])
@pytest.mark.parametrize("bits", [4, 8])
def test_other_bytes_whose_runs_are_far_longer_than_their_rows_are_corrupt(hole: bytes, bits: int) -> None:
    packed = pack(drawn(300, 200, 1 << bits), bits, plain=False)
    spoilt = packed[: len(packed) // 3] + hole + packed[len(packed) // 3 + len(hole) :]
    with pytest.raises(UnreadableImage, match="corrupt"):
        show(bmp(300, 200, bits, packing=1 if bits == 8 else 2, data=spoilt))


@pytest.mark.parametrize("bits", [4, 8])
def test_rows_padded_to_whole_words_are_accepted(bits: int) -> None:
    pixels = drawn(40, 200, 16)
    packed = pack(pixels, bits, plain=False)
    shown = show(bmp(33, 200, bits, colours=16, packing=1 if bits == 8 else 2, data=packed))
    assert (shown == table(16)[pixels[:, :33]]).all()
