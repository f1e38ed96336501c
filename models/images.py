"""The one way from the bytes of a file to the pixels that a network sees.

Training, evaluation, the worker and the web page all call `decode`, so that a photo looks the same to
the network wherever it meets it. Pillow does the decoding: it reads every format we accept, and lets other
threads run while it works.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import AvifImagePlugin, Image, ImageChops, ImageCms, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from models.budget import Budget
from models.headers import Header, read_header
from models.unreadable import UnreadableImage

__all__ = ["PIXEL_LIMIT", "Header", "Pixels", "UnreadableImage", "decode", "fit", "read_header"]

PIXEL_LIMIT = 200_000_000
"""Width x height of the largest picture that is decoded when the caller names no limit."""

# Imported for what they register: Pillow would look for them, and for forty others, at the first WebP.
_PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)
pillow_heif.register_heif_opener()

# Ours is checked before Pillow is asked; Pillow's would warn on stderr at 89 megapixels and refuse at 179.
Image.MAX_IMAGE_PIXELS = None
# Editors put megabytes of history into a PNG's text; the limit on all of it together stays at 64 MiB.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024 * 1024
# Doubtful metadata of a picture that can be read is nothing that anybody can act upon.
warnings.filterwarnings("ignore", module=r"PIL\.")

Pixels = npt.NDArray[np.uint8]

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# A picture of 100 megapixels takes about 1.5 GB on its way. As many threads as there are may decode
# snapshots side by side, but only a few panoramas.
_in_flight = Budget(128_000_000)


def decode(data: bytes, size: int, pixel_limit: int = PIXEL_LIMIT) -> Pixels:
    """Decode a picture, turn it upright and squash it to a square.

    The whole picture is kept: both sides are scaled to `size`, whatever the shape, since a crop can
    lose the animal. Transparent parts become white; of an animation the first frame counts. A JPEG far
    larger than `size` is decoded at a reduced scale. Waits while other threads decode large pictures.

    Returns uint8 RGB of shape (size, size, 3). Raises UnreadableImage (empty, too_many_pixels, not_an_image,
    unsupported, truncated, corrupt) and MemoryError.
    """
    return _decoded(data, lambda width, height: (size, size), pixel_limit)


def fit(data: bytes, longest: int, pixel_limit: int = PIXEL_LIMIT) -> Pixels:
    """Decode a picture for people: upright, in its own shape, its longer side `longest` pixels at most.

    Returns uint8 RGB of shape (height, width, 3); otherwise as `decode`.
    """

    def box(width: int, height: int) -> tuple[int, int]:
        scale = min(1.0, longest / max(1, width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    return _decoded(data, box, pixel_limit)


Box = tuple[int, int]
"""Width and height in pixels, before the picture is turned upright."""


def _decoded(data: bytes, box_of: Callable[[int, int], Box], pixel_limit: int) -> Pixels:
    header = read_header(data)
    _check_pixels(header.width, header.height, pixel_limit)
    try:
        with (
            _in_flight.hold(_cost(header, max(box_of(header.width, header.height)))),
            Image.open(io.BytesIO(data), formats=[header.format]) as image,
        ):
            _check_pixels(image.width, image.height, pixel_limit)
            box = box_of(image.width, image.height)
            if header.format == "JPEG":
                image.draft("RGB", (2 * box[0], 2 * box[1]))
            return _upright(image, _shrink(image, box))
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise nearly every type there is
        reason = "truncated" if "truncated" in str(error).lower() else "corrupt"
        raise UnreadableImage(reason, f"{header.format}: {type(error).__name__}: {error}") from error


def _cost(header: Header, size: int) -> int:
    pixels = header.width * header.height
    # At a reduced scale a JPEG takes little, but all coefficients of a progressive one are held.
    reduced = header.format == "JPEG" and min(header.width, header.height) >= 4 * size
    return pixels // 4 if reduced else pixels


def _check_pixels(width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise UnreadableImage("too_many_pixels", f"{width} x {height} pixels; the limit is {limit}")


def _shrink(image: Image.Image, box: Box) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _to_eight_bits(image)
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes every CMYK JPEG for one by Adobe, which inverts them
    if image.has_transparency_data:
        # Premultiplied, so that shrinking weighs each colour by how much of it is seen.
        small = np.asarray(_resize(image.convert("RGBA").convert("RGBa"), box)).astype(np.uint16)
        on_white = small[..., :3] + (255 - small[..., 3:])
        return Image.fromarray(np.minimum(on_white, 255).astype(np.uint8))
    if image.mode == "LAB":
        return _resize(_lab_to_rgb(image), box)
    if image.mode == "L":
        return _resize(image, box).convert("RGB")
    return _resize(image.convert("RGB"), box)


def _resize(image: Image.Image, box: Box) -> Image.Image:
    return image.resize(box, Image.Resampling.BILINEAR, reducing_gap=3.0)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Bring one channel of integers or floats to 0..255 by the range that its values fit into."""
    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0.0, neginf=0.0)
    largest = 65535.0 if image.mode.startswith("I;16") else float(values.max())
    if image.mode == "F" and largest <= 1.0:
        scale = 255.0
    elif largest <= 255.0:
        scale = 1.0
    else:
        scale = 255.0 / max(65535.0, largest)
    return Image.fromarray(np.clip(values * scale + 0.5, 0, 255).astype(np.uint8))


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(lab), ImageCms.ImageCmsProfile(srgb), "LAB", "RGB"
    ).apply(image)


def _upright(image: Image.Image, small: Image.Image) -> Pixels:
    # Turning the small square costs nothing and gives what turning the whole picture first would give.
    turn = _UPRIGHT.get(_orientation(image))
    return np.asarray(small if turn is None else small.transpose(turn), dtype=np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (ValueError, TypeError, KeyError, SyntaxError, OSError, OverflowError, struct.error):
        return 1  # the picture is good, and nobody knows which side is up
