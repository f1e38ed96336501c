"""Pictures for people keep their shape."""

from __future__ import annotations

import numpy as np
import pytest

from models.images import decode as images
from models.images.decode import UnreadableImage
from tests.support.pictures import FORMATS, encode, exif, png_bomb, scene


def test_a_picture_for_people_keeps_its_shape_and_is_never_enlarged() -> None:
    data = encode(scene(160, 120), "PNG")
    assert images.fit(data, 80).shape == (60, 80, 3)
    assert images.fit(data, 1000).shape == (120, 160, 3)
    assert images.fit(encode(scene(900, 2), "PNG"), 90).shape == (1, 90, 3)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_can_be_shown(kind: str) -> None:
    assert images.fit(encode(scene(160, 120), kind), 80).shape == (60, 80, 3)


def test_a_picture_for_people_is_upright() -> None:
    turned = encode(scene(160, 120), "JPEG", quality=95, exif=exif(orientation=6))
    upright = np.rot90(images.fit(encode(scene(160, 120), "PNG"), 80), k=-1)
    shown = images.fit(turned, 80)
    assert shown.shape == (80, 60, 3)
    assert np.abs(shown.astype(int) - upright.astype(int)).mean() < 3


def test_a_bomb_is_not_shown() -> None:
    with pytest.raises(UnreadableImage, match="too_many_pixels"):
        images.fit(png_bomb(2000, 2000), 80, pixel_limit=1_000_000)
