"""Find what a file says of the colours of its picture, as an ICC profile."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

from models.images.colours.code_points import BT709, profile_of
from models.images.colours.matrix_profile import VALUES, Primaries, matrix_profile, srgb_curve
from models.images.formats.heif import primary_items
from models.images.formats.png import colour_chunks

MOST_PROFILE_BYTES = 4_000_000
"""Profiles of printers take up to about this; a longer one is ignored."""

_GAMMAS = (0.8, 3.5)  # exponents outside are mistakes


def profile_in(kind: str, data: bytes, image: Image.Image, of_jpeg: bytes = b"") -> bytes:
    """Return the ICC profile of a picture, or one of what its file says; empty where that is sRGB or nothing.

    `kind` is Pillow's name of the format, `data` its file, `image` the opened picture, `of_jpeg` the profile
    that the segments of a JPEG have. What is returned may be broken.
    """
    if kind == "JPEG":
        return of_jpeg
    if kind == "PNG":
        return _of_png(data)
    found = image.info.get("icc_profile") or b""
    if not found and kind in ("HEIF", "AVIF"):
        return _of_heif(data)
    return found if isinstance(found, bytes) and len(found) <= MOST_PROFILE_BYTES else b""


def _of_png(data: bytes) -> bytes:
    """Return a PNG's profile; of several chunks, the first counts in the order that its standard says."""
    chunks = colour_chunks(data)
    if len(numbers := chunks.get(b"cICP", b"")) == 4:
        return profile_of(numbers[0], numbers[1])
    if (packed := chunks.get(b"iCCP")) is not None and (profile := _unpacked(packed)):
        return profile
    if b"sRGB" in chunks:
        return b""
    return _of_numbers(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))


def _unpacked(chunk: bytes) -> bytes:
    try:
        unpacker = zlib.decompressobj()
        profile = unpacker.decompress(chunk.partition(b"\0")[2][1:], MOST_PROFILE_BYTES + 1)
    except zlib.error:
        return b""
    return profile if len(profile) <= MOST_PROFILE_BYTES else b""


def _of_numbers(gamma: bytes, colours: bytes) -> bytes:
    """Return the profile of an exponent and of chromaticities, both times 100,000."""
    curve = srgb_curve()
    if len(gamma) == 4 and (value := struct.unpack(">I", gamma)[0]):
        exponent = 100_000 / value
        curve = VALUES**exponent if _GAMMAS[0] <= exponent <= _GAMMAS[1] else curve
    elif not colours:
        return b""
    primaries: Primaries = BT709
    if len(colours) == 32:
        x = [number / 100_000 for number in struct.unpack(">8I", colours)]
        primaries = (x[0], x[1]), (x[2], x[3]), (x[4], x[5]), (x[6], x[7])
    try:
        return matrix_profile(primaries, curve)
    except ValueError:  # numbers that span no colours
        return b""


def _of_heif(data: bytes) -> bytes:
    """Return the profile of the numbers (`nclx`) that the primary picture of a HEIF or AVIF has."""
    item = next(iter(primary_items(data).values()), None)
    for name, content in item.properties if item else ():
        if name == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
            return profile_of(*struct.unpack_from(">HH", content, 4))
    return b""
