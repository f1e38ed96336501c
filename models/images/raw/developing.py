"""Get a picture from a RAW photo by LibRaw: its embedded preview, else what half of its pixels show.

LibRaw parses what may be hostile, and can crash: only the child processes that decode photos call this. rawpy
is the extra `raw`, so it is imported when the first RAW photo comes. Sources: the API of LibRaw and of rawpy.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image

from models import working_folder
from models.errors import DEFECTS
from models.images.formats.errors import UnreadableImage, corrupt, truncated, unsupported
from models.images.formats.jpeg import read_jpeg
from models.images.formats.orientation import read_orientation
from models.images.raw.header import has_bitmap
from models.installation import install_command

_ENOUGH = 512
"""Pixels of a side that a preview needs at most: a network needs fewer, and people see enough."""

_ORIENTATIONS = (1, 2, 4, 3, 5, 8, 6, 7)
"""By LibRaw's `flip`: 1 mirrors, 2 turns upside down, 4 swaps the sides."""

_SQUARE = 1.05  # a picture whose sides differ by less does not show how it lies
_GAMMA = (2.4, 12.92)  # of sRGB, as LibRaw counts: exponent, and slope near black
_THREADS = "OMP_NUM_THREADS"
_loading = threading.Lock()

Box = tuple[int, int]


def how_to_install() -> str:
    """Return what to do so that RAW photos can be read."""
    return f"run `{install_command(extra='raw')}`, restart, then pawsort retry"


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview: the bytes of a JPEG or a picture, its width and height as stored, and how it lies (EXIF)."""

    content: bytes | Image.Image
    size: Box
    orientation: int


class RawPhoto:
    """A RAW photo that LibRaw has opened."""

    def __init__(self, rawpy: Any, photo: Any, data: bytes) -> None:
        self._rawpy, self._photo, self._data = rawpy, photo, data
        sizes = photo.sizes
        self.size: Box = (sizes.width, sizes.height)
        self.orientation = _ORIENTATIONS[sizes.flip & 7]

    def preview(self, wanted: Box) -> Preview | None:
        """Return the largest preview; None without one, or where it is smaller than is `wanted`."""
        found = self._preview()
        if found is None or (_is_less(found.size, wanted) and _is_less(found.size, self.size)):
            return None
        return found

    def develop(self, wanted: Box) -> Image.Image:
        """Return the picture of the sensor as RGB, not turned upright; of half its size where that is enough.

        Raises UnreadableImage and MemoryError.
        """
        half = not _is_less((self.size[0] // 2, self.size[1] // 2), wanted)
        space = self._rawpy.ColorSpace.sRGB
        with _in_words(self._rawpy):
            pixels = self._photo.postprocess(
                half_size=half,
                use_camera_wb=True,
                output_color=space,
                output_bps=8,
                gamma=_GAMMA,
                user_flip=0,
            )
        return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)  # one of a sensor of grey

    def _preview(self) -> Preview | None:
        try:
            found = self._photo.extract_thumb()
        except self._rawpy.LibRawUnsufficientMemoryError as error:
            raise MemoryError from error
        except (self._rawpy.LibRawError, ValueError):
            return None  # there is none, or of a kind that LibRaw does not read
        if found.format == self._rawpy.ThumbFormat.BITMAP:
            height, width = found.data.shape[:2]
            if not has_bitmap(self._data, width, height):
                return None  # LibRaw's array reaches beyond its memory
            image = Image.fromarray(found.data)
            return Preview(image, image.size, self._lies(image.size, self.orientation))
        try:
            header = read_jpeg(found.data)
        except (UnreadableImage, *DEFECTS):
            return None
        size = header.width, header.height
        return Preview(found.data, size, self._lies(size, read_orientation(header.exif)))

    def _lies(self, size: Box, said: int) -> int:
        """Return how a preview lies: as it says, unless its shape shows that it is upright, or as the sensor.

        Some cameras write previews that are upright already, as Nikon's E5700.
        """
        sensor, own = _shape(self.size), _shape(size)
        if self.orientation <= 4 or not sensor or not own:
            return said
        if said > 4:
            return said if own == sensor else 1
        return self.orientation if own == sensor else said


@contextmanager
def opened(data: bytes, pixel_limit: int) -> Iterator[RawPhoto]:
    """Open a RAW photo.

    Raises UnreadableImage (unsupported, truncated, corrupt, too_many_pixels) and MemoryError.
    """
    rawpy = _rawpy()
    photo = rawpy.RawPy()
    try:
        with _in_words(rawpy):
            photo.open_buffer(io.BytesIO(data))
        sizes = photo.sizes
        if sizes.raw_width * sizes.raw_height > pixel_limit:
            what = f"{sizes.raw_width} x {sizes.raw_height} pixels on the sensor"
            raise UnreadableImage("too_many_pixels", f"{what}; the limit is {pixel_limit}")
        yield RawPhoto(rawpy, photo, data)
    finally:
        photo.close()


def _rawpy() -> Any:
    """Import rawpy. Raises UnreadableImage (unsupported), with what to install, where there is none."""
    with _loading, _one_thread(), working_folder.left():
        try:
            import rawpy
        except ImportError as error:
            raise unsupported(f"a RAW photo; to read it, {how_to_install()}") from error
    return rawpy


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have LibRaw use one thread for a photo, as files are decoded side by side; it asks when loaded."""
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]


@contextmanager
def _in_words(rawpy: Any) -> Iterator[None]:
    """Turn LibRaw's errors into UnreadableImage and MemoryError."""
    try:
        yield
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise MemoryError from error
    except rawpy.LibRawTooBigError as error:
        raise UnreadableImage("too_many_pixels", "the values of the sensor take more than 2 GB") from error
    except rawpy.LibRawIOError as error:
        raise truncated("the RAW photo ends before the values of its sensor do") from error
    except (
        rawpy.LibRawFileUnsupportedError,
        rawpy.LibRawNotImplementedError,
        rawpy.NotSupportedError,
    ) as error:
        version = ".".join(map(str, rawpy.libraw_version))
        version = ".".join(map(str, rawpy.libraw_version))
        raise unsupported(f"a RAW photo of a kind that LibRaw {version} does not read") from error
    except rawpy.LibRawError as error:
        raise corrupt(f"LibRaw: {_said(error)}") from error


def _version(rawpy: Any) -> str:
    return ".".join(map(str, rawpy.libraw_version))


def _said(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return (
        first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first) or type(error).__name__
    )


def _is_less(size: Box, wanted: Box) -> bool:
    return any(side < min(want, _ENOUGH) for side, want in zip(size, wanted, strict=True))


def _shape(size: Box) -> int:
    """Return 1 for a picture that is wider than high, -1 for a higher one, 0 for nearly a square."""
    width, height = size
    if max(size) < _SQUARE * min(size):
        return 0
    return 1 if width > height else -1
