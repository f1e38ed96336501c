"""Rows of a PNG that no data painted.

Where the data end early, but properly, Pillow leaves the rest as it was and may raise no error. So the pixel
that is decoded last is marked before. Where the mark is left, the bytes are counted that the data unpack to.
"""

from __future__ import annotations

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from models.images.formats.errors import truncated
from models.images.formats.png import unpacked_share

_TOLERATED = 0.02
"""The share of a picture that may be missing, as of a JPEG."""

_MARKS = {"LA": (1, 253), "RGB": (1, 253, 2), "RGBA": (1, 253, 2, 7)}
_MARK = 253
"""Of modes with one channel. A picture that has this value there is only counted in vain."""


def check_png(image: PngImageFile, data: bytes) -> None:
    """Load the picture of `data`. Raises UnreadableImage (truncated) if over a fiftieth of it is missing."""
    width, height = image.size
    interlaced = bool(image.info.get("interlace")) and height > 1
    last = width - 1, height - 1 - (interlaced and height % 2)  # the last pass has each second row
    image.im = Image.new(image.mode, image.size).im
    image.im.putpixel(last, _MARKS.get(image.mode, _MARK))
    mark = image.im.getpixel(last)
    image.load()
    missing = 1 - unpacked_share(data) if image.im.getpixel(last) == mark else 0.0
    if missing > _TOLERATED:
        raise truncated(f"the data of the PNG end early: {missing:.0%} of the picture is missing")
