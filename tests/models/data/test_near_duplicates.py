from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from models.data.near_duplicates import fingerprint, groups


def picture(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return coarse.resize((300, 200), Image.Resampling.BICUBIC)


def stored(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


VARIANTS = {
    "as it is": lambda image: image,
    "smaller": lambda image: image.resize((150, 100)),
    "squashed": lambda image: image.resize((200, 200)),
    "recompressed": lambda image: stored(image, 40),
    "lighter": lambda image: image.point(lambda value: int(value * 0.8 + 40)),
    "cropped": lambda image: image.crop((2, 1, 298, 199)),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_of_a_photo_is_nearly_the_same(variant: str):
    first = fingerprint(np.asarray(picture(1)))
    second = fingerprint(np.asarray(VARIANTS[variant](picture(1))))
    assert groups([first, second]).tolist() == [0, 0]


def test_different_photos_stand_alone():
    assert groups([fingerprint(np.asarray(picture(s))) for s in range(100)]).tolist() == list(range(100))


def test_likeness_is_passed_on():
    bits = np.zeros((3, 256), np.uint8)
    bits[:, :128] = 1
    bits[1, 240:256] = 1  # 16 of 144 apart from each neighbour, and they 32 of 160 from each other
    bits[2, 224:256] = 1
    chain = [np.packbits(row).tobytes() for row in bits]
    assert groups([chain[0], chain[2]]).tolist() == [0, 1]
    assert groups(chain).tolist() == [0, 0, 0]


def test_plain_pictures_have_no_near_duplicate():
    plain = [np.full((50, 50, 3), value, np.uint8) for value in (0, 128, 255)]
    assert groups([fingerprint(p) for p in plain]).tolist() == [0, 1, 2]


def test_no_photos_have_no_groups():
    assert groups([]).tolist() == []
