"""The details of refused pictures say in words what is wrong, with no names of the program."""

from __future__ import annotations

import re

import numpy as np
import pytest

from models.images.decode import UnreadableImage, decode
from tests.models.images.conftest import SIZE
from tests.support.pictures import FORMATS, encode, scene

PROGRAM = re.compile(r"Error|Exception|driver|\bNone|object has|b'|0x[0-9a-f]{4}")


def _spoilt(data: bytes, chance: np.random.Generator) -> bytes:
    spoilt = bytearray(data)
    end = min(len(data), int(chance.choice([64, 300, len(data)])))
    for at in chance.integers(0, end, chance.choice([1, 2, 4, 16])):
        spoilt[at] = chance.integers(256)
    return bytes(spoilt[: int(chance.integers(1, len(data)))] if chance.random() < 0.2 else spoilt)


@pytest.mark.parametrize("kind", FORMATS)
def test_details_are_in_words(kind: str) -> None:
    chance, data, refused = np.random.default_rng(5), encode(scene(96, 72), kind), 0
    for _ in range(120):
        try:
            decode(_spoilt(data, chance), SIZE)
        except UnreadableImage as error:
            refused += 1
            assert not PROGRAM.search(error.detail), error.detail
            assert "\n" not in error.detail
    assert refused > 10
