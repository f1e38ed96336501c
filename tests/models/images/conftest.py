"""Compare a picture with its plain twin."""

from __future__ import annotations

import numpy as np
import pytest

from models.images import decode as images
from models.images.decode import decode
from tests.support.pictures import encode, scene

SIZE = 32


@pytest.fixture(scope="module")
def plain() -> images.Pixels:
    return decode(encode(scene(), "PNG"), SIZE)


def difference(data: bytes, twin: images.Pixels) -> float:
    pixels = decode(data, SIZE)
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8
    return float(np.abs(pixels.astype(int) - twin.astype(int)).mean())
