"""JPEGs of arithmetic coding: their decoder says neither where the data end nor that they are damaged."""

from __future__ import annotations

import numpy as np
import pytest

from tests.corpus.arithmetic_jpegs import BAND, BASELINE, MARGIN, PROGRESSIVE
from tests.models.images.formats.test_jpeg_decoding import END, place, reason

DAMAGED = ("truncated", "corrupt")
BOTH = pytest.mark.parametrize("data", [BASELINE, PROGRESSIVE], ids=["baseline", "progressive"])


@BOTH
def test_a_whole_one_is_classified_whatever_is_behind_it(data: bytes) -> None:
    for behind in (b"", END, bytes(3000), bytes(3000) + END, END + data):
        assert reason(data[:-2] + behind) == "classified", behind[:4]


@BOTH
@pytest.mark.parametrize("share", [0.15, 0.3, 0.5, 0.7, 0.9])
def test_half_of_one_is_refused_whatever_fills_its_place(data: bytes, share: float) -> None:
    cut = data[: place(data, share)]
    missing = len(data) - len(cut)
    for behind in (b"", END, bytes(missing), bytes(missing - 2) + END):
        assert reason(cut + behind) in DAMAGED, behind[:4]


@pytest.mark.parametrize("first", [0.1, 0.3, 0.5])
def test_other_bytes_within_the_data_are_noticed(first: float) -> None:
    start, end = place(BASELINE, first), place(BASELINE, first + 0.3)
    length = end - start
    text = bytes(np.random.default_rng(1).choice(list(b"abcdefgh \n"), length).astype(np.uint8))
    for middle in (b"", b" " * length, text, BASELINE[end : end + length], bytes(length)):
        assert reason(BASELINE[:start] + middle + BASELINE[end:]) in DAMAGED, middle[:4]


def test_zeros_in_a_progressive_one_are_corrupt() -> None:
    start, end = place(PROGRESSIVE, 0.6), place(PROGRESSIVE, 0.75)
    assert reason(PROGRESSIVE[:start] + bytes(end - start) + PROGRESSIVE[end:]) == "corrupt"


def test_a_band_and_a_margin_of_one_colour_are_accepted() -> None:
    assert bytes(64) in MARGIN
    assert reason(BAND) == reason(MARGIN) == "classified"
