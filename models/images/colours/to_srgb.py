"""Convert pixels to sRGB by the ICC profile of their file, where that is far from sRGB.

LittleCMS computes. Profiles are few and photos are many, so what was made of a profile is kept by its hash.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

FAR = 3.0
"""Levels of 255 by which colours differ from sRGB on average where a profile is far from it.

Gamma 2.2 with the primaries of sRGB is 0.8 away, 1.8 is 10; Display P3 and Adobe RGB are 9, ProPhoto is 22.
"""

_ABSURD = 80.0
"""Levels by which no space that is in use is away; linear light is 36, that of HDR screens 39."""

_LEAST_CONTRAST = 64  # levels between black and white; a profile that leaves fewer is absurd
_MOST_KEPT = 64
_STEPS = np.linspace(0, 255, 6).astype(np.uint8)
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_GREYS = ("1", "L", "LA", "La", "I", "F")


@dataclass(frozen=True, slots=True)
class Conversion:
    """How pixels of a `mode`, L, RGB or CMYK, become sRGB. Safe to use from several threads."""

    mode: str
    transform: ImageCms.ImageCmsTransform

    def apply(self, image: Image.Image) -> Image.Image:
        """Return a picture in this mode, or a grey one in RGB, as sRGB."""
        if self.mode == "L" and image.mode == "RGB":
            image = image.getchannel(0)
        return self.transform.apply(image)


class _Kept:
    """The conversions of the last profiles; None for one that is ignored."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key = OrderedDict[tuple[bytes, str], Conversion | None]()

    def get(self, profile: bytes, mode: str) -> Conversion | None:
        key = hashlib.blake2b(profile, digest_size=16).digest(), mode
        with self._lock:
            if key in self._by_key:
                self._by_key.move_to_end(key)
                return self._by_key[key]
        found = _made(profile, mode)
        with self._lock:
            self._by_key[key] = found
            while len(self._by_key) > _MOST_KEPT:
                self._by_key.popitem(last=False)
        return found


_kept = _Kept()


def conversion(profile: bytes, image: Image.Image) -> Conversion | None:
    """Return how to convert a picture with this profile; None where it is to be left as it is.

    That is one that has no profile, one near to sRGB, or one that is broken, absurd or of other channels.
    """
    if not profile or image.mode == "LAB":
        return None
    grey = image.mode in _GREYS or image.mode.startswith("I;16")
    return _kept.get(profile, "L" if grey else "CMYK" if image.mode == "CMYK" else "RGB")


def _made(profile: bytes, mode: str) -> Conversion | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _SPACES.get(source.profile.xcolor_space.strip()) != mode:
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        made = Conversion(mode, ImageCms.ImageCmsTransform(source, srgb, mode, "RGB", intent, flags=flags))
        return made if _is_sane_and_far(made) else None
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):  # LittleCMS refuses it
        return None


def _is_sane_and_far(made: Conversion) -> bool:
    before = _samples(made.mode)
    after = np.asarray(made.apply(before)).astype(np.int16)
    first, last = after[0, 0].mean(), after[0, -1].mean()
    if abs(float(first) - float(last)) < _LEAST_CONTRAST:
        return False
    shown = np.asarray(before.convert("RGB")).astype(np.int16)
    return made.mode == "CMYK" or bool(FAR < np.abs(after - shown).mean() < _ABSURD)


def _samples(mode: str) -> Image.Image:
    """Return one row of colours from all over the space; the first and last are its black and its white."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    grid = np.stack(np.meshgrid(*[_STEPS] * channels, indexing="ij"), -1).reshape(1, -1, channels)
    if mode == "CMYK":
        grid = 255 - grid
    return Image.frombytes(mode, (grid.shape[1], 1), np.ascontiguousarray(grid).tobytes())
