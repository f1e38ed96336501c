"""Read the orientation of an image, 1 to 8 as in EXIF. Sources: EXIF 3, XMP's namespace of TIFF."""

from __future__ import annotations

import re
import struct

_ORIENTATION = 274
_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
_FRACTIONS = {5: "II", 10: "ii"}
_XMP_SAYS = re.compile(rb"tiff:Orientation\s*+(?:=\s*+[\"']|>)\s*+([1-8])\s*+[\"'<]")


def read_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Read it from EXIF or, where that does not say, from XMP; 1 where neither does."""
    found = _from_exif(exif)
    if found is None and (said := _XMP_SAYS.search(xmp)):
        found = int(said[1])
    return 1 if found is None else found


def _from_exif(exif: bytes) -> int | None:
    exif = exif.removeprefix(b"Exif\0\0")  # some programs write what belongs only to JPEG
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", exif, entry)
            if tag == _ORIENTATION:
                value = _value(exif, entry + 8, kind, order)
                return int(value) if value in range(1, 9) else None
    except struct.error:
        pass  # the picture is good, though its EXIF is cut
    return None


def _value(exif: bytes, at: int, kind: int, order: str) -> float:
    if kind in _NUMBERS:
        return float(struct.unpack_from(order + _NUMBERS[kind], exif, at)[0])
    if kind in _FRACTIONS:
        (place,) = struct.unpack_from(order + "I", exif, at)
        above, below = struct.unpack_from(order + _FRACTIONS[kind], exif, place)
        return above / below if below else 0.0
    return 0.0
