"""Decode the bytes of a file into the pixels that a network gets.

Training, evaluation, the worker and the pages all call `decode`, so that the network gets the same pixels of
a photo everywhere. Pillow decodes: it reads every accepted format, and releases the GIL meanwhile.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import (
    AvifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)
from pillow_heif import HeifImageFile

from models.images import tiff_strips, unpainted, zero_rows, zero_runs
from models.images.colours.found import profile_in
from models.images.colours.to_srgb import conversion
from models.images.formats import jpeg, png
from models.images.formats.bmp import open_bmp, read_bmp
from models.images.formats.errors import UnreadableImage, from_decoder
from models.images.formats.gif import open_gif
from models.images.formats.heif import clean_aperture, coded_spans, plain_avif, without_film
from models.images.formats.jpeg_decoding import load as load_jpeg
from models.images.formats.orientation import read_orientation
from models.images.formats.tiff import without_broken_tags
from models.images.formats.tiff_decoder import TiffDecoder
from models.images.headers import Header, read_header, webp_spans, whole_webp
from models.images.memory_budget import WeightedSemaphore
from models.images.raw import developing
from models.images.raw import header as raw_header
from models.images.raw.developing import Preview
from models.images.resize import shrink
from models.images.zero_rows import Rows

__all__ = ["PIXEL_LIMIT", "Header", "Pixels", "UnreadableImage", "decode", "fit", "read_header"]

PIXEL_LIMIT = 200_000_000
"""Width x height of the largest picture that is decoded when the caller names no limit."""

_DECODERS: dict[str, Callable[[io.BytesIO], Image.Image]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": lambda file: _open_png(file),
    "GIF": open_gif,
    "BMP": lambda file: _open_bmp(file.getvalue()),
    "WEBP": lambda file: _open_webp(file.getvalue()),
    "TIFF": lambda file: _open_tiff(file),
    "HEIF": HeifImageFile,
    "AVIF": lambda file: _open_avif(file),
}
_SPANS = {"WEBP": webp_spans, "HEIF": coded_spans, "AVIF": coded_spans}
# `pipeline.classifier.file_checks` opens these by name.
pillow_heif.register_heif_opener()

# Ours is checked before Pillow is asked; Pillow's would warn on stderr at 89 megapixels and refuse at 179.
Image.MAX_IMAGE_PIXELS = None
# Else each picture's memory goes back to the kernel, which must clear it for the next one. A block is 16 MB.
Image.core.set_blocks_max(4)  # type: ignore[attr-defined]
# Warnings about the metadata of a readable picture help no user.
warnings.filterwarnings("ignore", module=r"PIL\.")

Pixels = npt.NDArray[np.uint8]

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SPARE = 1.5
"""How much larger than asked for a JPEG is decoded at least, so that scaling in two steps is not seen."""

# A picture of 100 megapixels takes about 1.5 GB on its way. As many threads as there are may decode
# snapshots side by side, but only a few panoramas.
_in_flight = WeightedSemaphore(128_000_000)


def decode(data: bytes, size: int, pixel_limit: int = PIXEL_LIMIT, header: Header | None = None) -> Pixels:
    """Decode a picture, turn it upright and squash it to a square.

    The whole picture is kept: both sides are scaled to `size`, whatever the shape, since a crop can
    lose the animal. Transparent parts become white; of an animation the first frame counts. Colours far from
    sRGB are brought to it. A JPEG far larger than `size` is decoded at a reduced scale. Waits while other
    threads decode large pictures.
    `header` is the header of `data` if the caller has read it, so that it is not read twice.

    Returns uint8 RGB of shape (size, size, 3). Raises UnreadableImage (empty, too_many_pixels, not_an_image,
    unsupported, truncated, corrupt) and MemoryError.
    """
    return _decoded(data, lambda width, height: (size, size), pixel_limit, header)


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


def _decoded(
    data: bytes, box_of: Callable[[int, int], Box], pixel_limit: int, header: Header | None = None
) -> Pixels:
    header = header or read_header(data)
    _check_pixels(header.width, header.height, pixel_limit)
    try:
        if header.format in raw_header.FORMATS:
            return _decoded_raw(data, box_of, pixel_limit, header)
        cost = _cost(header, max(box_of(header.width, header.height)))
        with _in_flight.hold(cost), _opened(header, data) as image:
            _check_pixels(image.width, image.height, pixel_limit)
            if header.format == "AVIF" and (aperture := clean_aperture(data, image.size)):
                image = image.crop(aperture)
            box = box_of(image.width, image.height)
            if isinstance(image, JpegImagePlugin.JpegImageFile):
                wanted = round(_SPARE * box[0]), round(_SPARE * box[1])
                image = load_jpeg(image, wanted, jpeg.moved(header.segments))
            colours = conversion(profile_in(header.format, data, image, header.profile), image)
            return _upright(header, image, shrink(image, box, colours))
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise nearly every type there is
        raise from_decoder(header.format, error) from error


def _decoded_raw(data: bytes, box_of: Callable[[int, int], Box], pixel_limit: int, header: Header) -> Pixels:
    """Decode the preview of a RAW photo or, where it has none that is whole and large enough, develop it."""
    with developing.opened(data, pixel_limit) as photo:
        preview = photo.preview(box_of(*photo.size))
        if preview is not None:
            with contextlib.suppress(UnreadableImage):
                return _decoded_preview(preview, box_of, pixel_limit)
        with _in_flight.hold(header.width * header.height):
            image = photo.develop(box_of(*photo.size))
            return _turned(shrink(image, box_of(*image.size)), photo.orientation)


def _decoded_preview(preview: Preview, box_of: Callable[[int, int], Box], pixel_limit: int) -> Pixels:
    if isinstance(preview.content, Image.Image):
        return _turned(shrink(preview.content, box_of(*preview.size)), preview.orientation)
    header = replace(read_header(preview.content), orientation=preview.orientation)
    return _decoded(preview.content, box_of, pixel_limit, header)


def _opened(header: Header, data: bytes) -> Image.Image:
    """Open a picture with the one decoder that is meant: `Image.open` would hide why it refuses."""
    if header.format == "JPEG":
        data = jpeg.without_metadata(data, header.segments)
    elif header.format == "PNG":
        data = png.without_metadata(data)
    elif header.format == "HEIF":
        data = without_film(data)
    elif header.format == "TIFF":
        data = without_broken_tags(data)
    elif header.format == "WEBP":
        data = whole_webp(data)
    if spans := _SPANS.get(header.format):
        plain = header.width * header.height if header.format == "WEBP" else 0
        zero_runs.check(data, spans(data), plain, header.format)
    return _DECODERS[header.format](io.BytesIO(data))


def _open_png(file: io.BytesIO) -> Image.Image:
    image, data = PngImagePlugin.PngImageFile(file), file.getvalue()
    unpainted.check_png(image, data)
    png.correct_transparency(image, data)
    return image


def _open_bmp(data: bytes) -> Image.Image:
    header = read_bmp(data)
    image = open_bmp(data, header)
    if not header.is_packed:
        used = (header.width * header.bits + 7) // 8
        rows = Rows(header.pixels_at, header.stride, used, image.height, max(1, header.bits // 8))
        zero_rows.check(data, [rows], "BMP")
    return image


def _open_tiff(file: io.BytesIO) -> Image.Image:
    image = TiffDecoder(file)
    tiff_strips.check(image, file.getvalue())
    return image


_ANIMATED, _ALPHA, _WEBP_FLAGS_AT = 0x02, 0x10, 20


def _open_webp(data: bytes) -> Image.Image:
    """Open a WebP; what the first frame of an animation leaves free is transparent, as in browsers."""
    flags = data[_WEBP_FLAGS_AT]
    if data[12:16] == b"VP8X" and flags & _ANIMATED and not flags & _ALPHA:  # it would be black
        data = b"".join([data[:_WEBP_FLAGS_AT], bytes((flags | _ALPHA,)), data[_WEBP_FLAGS_AT + 1 :]])
    return WebPImagePlugin.WebPImageFile(io.BytesIO(data))


def _open_avif(file: io.BytesIO) -> Image.Image:
    try:
        return AvifImagePlugin.AvifImageFile(file)
    except SyntaxError:  # libavif is strict about all that is in the file, other decoders are not
        plain = plain_avif(file.getvalue())
        if plain is None:
            raise
        return AvifImagePlugin.AvifImageFile(io.BytesIO(plain))


def _cost(header: Header, size: int) -> int:
    pixels = header.width * header.height
    # At a reduced scale a JPEG takes little, but all coefficients of a progressive one are held.
    reduced = header.format == "JPEG" and min(header.width, header.height) >= 4 * size
    return pixels // 4 if reduced else pixels


def _check_pixels(width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise UnreadableImage("too_many_pixels", f"{width} x {height} pixels; the limit is {limit}")


def _upright(header: Header, image: Image.Image, small: Image.Image) -> Pixels:
    return _turned(small, _orientation(header, image))


def _turned(small: Image.Image, orientation: int) -> Pixels:
    # Turning the small square costs nothing and gives what turning the whole picture first would give.
    turn = _UPRIGHT.get(orientation)
    return np.asarray(small if turn is None else small.transpose(turn), dtype=np.uint8)


def _orientation(header: Header, image: Image.Image) -> int:
    """Say how a picture lies, unless its decoder has turned it already, as that of a HEIF does."""
    if header.orientation:
        return header.orientation
    if isinstance(image, TiffDecoder):
        return image.orientation
    if header.format == "HEIF":
        return 1
    if header.format == "AVIF":  # only its properties count, which Pillow writes into EXIF
        return read_orientation(image.info.get("exif") or b"")
    return read_orientation(header.exif, header.xmp)
