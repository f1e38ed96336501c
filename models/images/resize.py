"""Convert a decoded image of any size and mode to RGB and shrink it, with little memory.

An image of 200 megapixels is in memory once, in the mode of its decoder. Bands of rows are converted, such as
from CMYK to RGB, and shrunk one after the other; the result is the same as that of the whole image.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageCms

from models.images.colours.to_srgb import Conversion
from models.images.formats.grey_levels import needs_levels, read_levels

try:
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
except ImportError:  # there is none for this processor; Pillow does the same, more slowly
    Resizer = None

BAND_PIXELS = 1 << 22
_QUICK_PIXELS = 1 << 20  # between its two steps, one across and one down: 4 MB
_by_thread = threading.local()  # a resizer is not thread-safe
_GAP = 3.0  # how much larger than asked for the bands are left, for the last, smooth step


def shrink(image: Image.Image, box: tuple[int, int], colours: Conversion | None = None) -> Image.Image:
    """Return a picture as RGB of this width and height, transparent parts white; both sides are scaled.

    Where there are `colours`, the small picture is converted by them, since the large one would take long.
    """
    small = _on_white(_squashed(image, _preparation(image, colours), box))
    return _in_mode(small, "RGB") if colours is None else colours.apply(small)


def _on_white(small: Image.Image) -> Image.Image:
    if small.mode != "RGBa":
        return small
    premultiplied = np.asarray(small).astype(np.uint16)
    on_white = premultiplied[..., :3] + (255 - premultiplied[..., 3:])
    return Image.fromarray(np.minimum(on_white, 255).astype(np.uint8))


def _squashed(
    image: Image.Image, prepare: Callable[[Image.Image], Image.Image], box: tuple[int, int]
) -> Image.Image:
    width, height = image.size
    across, down = (max(1, int(side / wanted / _GAP)) for side, wanted in zip(image.size, box, strict=True))
    bands = [_reduced(prepare(band), across, down) for band in _bands(image, down)]
    joined = bands[0]
    if len(bands) > 1:
        joined = Image.new(joined.mode, (joined.width, sum(band.height for band in bands)))
        top = 0
        for band in bands:
            joined.paste(band, (0, top))
            top += band.height
    return resized(joined, box, (0, 0, width / across, height / down))


def resized(image: Image.Image, box: tuple[int, int], area: tuple[float, float, float, float]) -> Image.Image:
    """Bring a part of a picture to this width and height, each channel by itself; both sides are scaled.

    `area` is left, top, right and bottom in pixels; next to its edges, what lies beside it is mixed in.
    """
    # Where memory ends, the resizer ends the process, and Pillow raises MemoryError.
    if Resizer is None or box[0] * image.height > _QUICK_PIXELS:
        return image.resize(box, Image.Resampling.BILINEAR, box=area)
    result = Image.new(image.mode, box)
    left, top, right, bottom = area
    whole = area == (0, 0, *image.size)
    crop = None if whole else CropBox(left, top, right - left, bottom - top)
    options = ResizeOptions(resize_alg=ResizeAlg.convolution(FilterType.bilinear), crop_box=crop)
    _resizer().resize_pil(image, result, options)
    return result


def _resizer() -> Any:
    """Return this thread's resizer, which keeps its memory for the next picture: 4 MB at most."""
    if not hasattr(_by_thread, "resizer"):
        _by_thread.resizer = Resizer()
    return _by_thread.resizer


def _reduced(band: Image.Image, across: int, down: int) -> Image.Image:
    return band if across == down == 1 else band.reduce((across, down))


def _bands(image: Image.Image, multiple: int) -> Iterator[Image.Image]:
    """Cut a picture into bands of a multiple of so many rows, the last perhaps less."""
    width, height = image.size
    rows = max(BAND_PIXELS // width // multiple, 1) * multiple
    if rows >= height:
        yield image
        return
    for top in range(0, height, rows):
        yield image.crop((0, top, width, min(top + rows, height)))


def _preparation(image: Image.Image, colours: Conversion | None) -> Callable[[Image.Image], Image.Image]:
    """Choose what turns a band into L, RGB or, where parts are transparent, RGBa; `colours` keep CMYK."""
    if needs_levels(image):
        return read_levels(image, lambda: _bands(image, 1)).apply
    if image.has_transparency_data:
        # Premultiplied, so that shrinking weighs each colour by how much of it is seen.
        return lambda band: band.convert("RGBA").convert("RGBa")
    if image.mode == "CMYK":
        mode = "CMYK" if colours else "RGB"
        if image.format == "JPEG" and "adobe" not in image.info:
            # Pillow takes every CMYK JPEG for one by Adobe, which inverts them.
            return lambda band: _in_mode(ImageChops.invert(band), mode)
        return lambda band: _in_mode(band, mode)
    if image.mode == "LAB":
        return _lab_to_rgb
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return lambda band: _in_mode(band, mode)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    # Pillow makes a copy of what has the mode already.
    return image if image.mode == mode else image.convert(mode)


def _lab_to_rgb(band: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(lab), ImageCms.ImageCmsProfile(srgb), "LAB", "RGB"
    ).apply(band)
