"""GIFs: the first frame is what is looked at, where browsers show it, on a screen that is clear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.images.decode import Pixels, UnreadableImage, fit
from models.images.headers import read_header
from tests.corpus.gifs import TRAILER, blocks, control, frame, lzw, screen, table


def show(data: bytes) -> Pixels:
    return fit(data, 1000)


def colours(bits: int) -> Pixels:
    return np.frombuffer(table(bits), np.uint8).reshape(-1, 3)


def filled(width: int, height: int, value: int, bits: int, **place: int) -> bytes:
    return frame(width, height, data=lzw(bytes([value]) * (width * height), bits), **place)  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("place", [(0, 0), (9, 9), (25, 15)])
def test_what_the_first_frame_leaves_free_is_white(place: tuple[int, int], bits: int) -> None:
    left, top = place
    data = screen(30, 20, bits, background=1) + filled(5, 5, 2, bits, left=left, top=top) + TRAILER
    shown = show(data)
    expected = np.full((20, 30, 3), 255)
    expected[top : top + 5, left : left + 5] = colours(bits)[2]
    assert (shown == expected).all()


def test_the_frame_after_a_small_one_is_not_shown() -> None:
    data = screen(30, 20) + filled(5, 5, 2, 3) + filled(30, 20, 3, 3) + TRAILER
    assert (show(data)[10:] == 255).all()


@pytest.mark.parametrize("disposal", range(5))
def test_a_transparent_colour_is_white_within_the_frame_and_beside_it(disposal: int) -> None:
    small = screen(30, 20) + control(disposal, transparent=2) + filled(5, 5, 2, 3, left=3) + TRAILER
    assert (show(small) == 255).all()
    other = screen(30, 20) + control(disposal, transparent=1) + filled(5, 5, 2, 3, left=3) + TRAILER
    assert (show(other)[:5, 3:8] == colours(3)[2]).all()
    assert (show(other)[6:] == 255).all()


def test_a_frame_with_its_own_colours_lies_on_white() -> None:
    data = screen(30, 20, None) + frame(6, 6, own=3, left=2) + TRAILER
    assert (show(data)[8:] == 255).all()
    assert not (show(data)[:6, 2:8] == 255).all()


def test_a_grey_frame_without_colours_lies_on_white() -> None:
    data = screen(30, 20, None) + filled(5, 5, 2, 3) + TRAILER
    assert (show(data)[:5, :5] == 2).all()
    assert (show(data)[6:] == 255).all()


def test_a_frame_that_uses_all_colours_lies_on_the_whitest() -> None:
    values = bytes(range(256))
    white = table(8)[:-3] + b"\xfd\xfe\xff"
    data = screen(30, 20, 8)[:13] + white + frame(16, 16, data=lzw(values, 8)) + TRAILER
    assert (show(data)[17:] == (0xFD, 0xFE, 0xFF)).all()


WHOLE = screen(30, 20) + frame(30, 20)


@pytest.mark.parametrize(
    "rest",
    [
        b"", b"!", b"!\xf9", control()[:-1], control(), b"!\xfe\x09cut", b",", frame(30, 20)[:9],
        frame(30, 20)[:-9], control() + frame(30, 20)[:40], b"!\xfe" + blocks(b"words" * 99)[:77],
        b"junk", bytes(9),
    ],
)  # fmt: skip
def test_a_gif_cut_after_its_first_frame_is_whole(rest: bytes) -> None:
    assert read_header(WHOLE + rest).frames == 1
    assert (show(WHOLE + rest) == show(WHOLE + TRAILER)).all()


def test_whole_frames_before_a_cut_are_counted() -> None:
    assert read_header(WHOLE + frame(3, 3) * 3 + frame(30, 20)[:-5]).frames == 4


@pytest.mark.parametrize("cut", [5, 20, 40, 44, 60, len(WHOLE) - 2])
def test_a_gif_cut_in_its_first_frame_is_truncated(cut: int) -> None:
    with pytest.raises(UnreadableImage, match="truncated"):
        show(WHOLE[:cut])


def test_an_undersized_frame_lies_on_white(shared_cases: Path) -> None:
    shown = show((shared_cases / "pictures/gif_undersized_first_frame.gif").read_bytes())
    assert (shown[60:] == 255).all()
    assert (shown[:40, :40] == (255, 0, 0)).all()


def test_a_later_frame_may_be_cut(shared_cases: Path) -> None:
    assert show((shared_cases / "pictures/gif_cut_in_later_frame.gif").read_bytes()).any()
