"""Find the black and white levels of a grey image with more than 8 bits or signed values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

_BITS, _PHOTOMETRIC, _MOST, _SAMPLE_FORMAT, _MOST_SIGNED = 258, 262, 281, 339, 341
_WHITE_IS_ZERO, _UNSIGNED, _SIGNED = 0, 1, 2
_BRIGHTEST_FLOAT = 8.0
"""A picture of floats up to here is one from 0 to 1 whose highlights go beyond; the next ones go to 255."""

_ROUNDING = 2.0**-24
"""The share by which float32 may round a value up."""

Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Levels:
    """How to bring the numbers of a picture to 0..255.

    `dtype` is what the numbers are, where Pillow reads them as others; `white` is the number that is white;
    `inverted` says that it is black, and zero white; `clear` is the number that is transparent.
    """

    white: float
    dtype: str | None = None
    inverted: bool = False
    clear: int | None = None

    def apply(self, band: Image.Image) -> Image.Image:
        """Return a band as L or, where a number is transparent, RGBa."""
        values = _values(band, self.dtype)
        grey = np.clip(values * (255.0 / self.white) + 0.5, 0, 255).astype(np.uint8)
        image = Image.fromarray(255 - grey if self.inverted else grey)
        if self.clear is None:
            return image
        alpha = Image.fromarray(np.where(values == self.clear, 0, 255).astype(np.uint8))
        return Image.merge("LA", (image, alpha)).convert("RGBA").convert("RGBa")


def needs_levels(image: Image.Image) -> bool:
    """Return whether a picture has other numbers than 0..255 in each channel."""
    return image.mode.startswith(("I", "F")) or _dtype(image) == "int8"


def read_levels(image: Image.Image, bands: Callable[[], Iterable[Image.Image]]) -> Levels:
    """Find the levels of a picture from its tags or, where they do not say, from its bands."""
    tags = _tags(image)
    dtype = _dtype(image)
    inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    clear = image.info.get("transparency") if image.mode.startswith("I;16") else None

    def largest() -> float:
        return max(float(_values(band, dtype).max()) for band in bands())

    return Levels(_white(image, largest), dtype, inverted, clear if isinstance(clear, int) else None)


def _white(image: Image.Image, largest: Callable[[], float]) -> float:
    tags = _tags(image)
    told = _first(tags.get(_MOST_SIGNED)) or _first(tags.get(_MOST)) or 0.0
    if image.mode == "L":
        return 127.0
    if image.mode.startswith("I;16"):
        bits = int(_first(tags.get(_BITS)) or 16)
        return _whole_bits(max(told, largest())) if 0 < told < 65535 and bits == 16 else (1 << bits) - 1.0
    most = largest()
    if image.mode == "F" and told > 0 and most <= told < 1e9:
        return told
    if image.mode == "F" and most <= _BRIGHTEST_FLOAT:
        return 1.0
    return _whole_bits(most)


def _whole_bits(value: float) -> float:
    """Return the largest number of as few bits as hold this value, 8 at least: 4095 for 3000."""
    value -= value * _ROUNDING  # else white of 32 bits would have 33
    return max(255.0, float((1 << int(np.ceil(value)).bit_length()) - 1))


def _values(image: Image.Image, dtype: str | None) -> Values:
    numbers = np.asarray(image)
    numbers = numbers if dtype is None else numbers.view(dtype)
    return np.nan_to_num(numbers.astype(np.float32), posinf=0.0, neginf=0.0)


def _dtype(image: Image.Image) -> str | None:
    kind = _first(_tags(image).get(_SAMPLE_FORMAT)) or _UNSIGNED
    if image.mode == "L" and kind == _SIGNED:
        return "int8"
    return "uint32" if image.mode == "I" and image.format == "TIFF" and kind == _UNSIGNED else None


def _tags(image: Image.Image) -> dict[int, object]:
    return dict(getattr(image, "tag_v2", {}))


def _first(value: object) -> float | None:
    """Return the first number of a tag, which may be none or hold several."""
    found = value[0] if isinstance(value, tuple) and value else value
    try:
        return float(found)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
