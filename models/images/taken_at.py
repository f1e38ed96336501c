"""Read from EXIF when a photo was taken.

Sources: EXIF 3 (tags and their form), TIFF 6.0, BigTIFF (folders).
"""

from __future__ import annotations

import re
import struct
from datetime import datetime

_DATES = ((0x9003, 0x9011), (0x9004, 0x9012), (0x0132, 0x9010))
"""DateTimeOriginal, DateTimeDigitized and DateTime, each with the tag of its offset from UTC."""

_EXIF_FOLDER = 0x8769
_WANTED = {_EXIF_FOLDER, *(tag for pair in _DATES for tag in pair)}
_NUMBERS = {4: "I", 13: "I", 16: "Q", 18: "Q"}
_TEXTS = {1, 2, 7, 129}  # as bytes, ASCII, "undefined" or UTF-8
_LONGEST = 64

_MOMENT = re.compile(
    r"(\d{4})[:/.\- ]\s?(\d\d?)[:/.\- ]\s?(\d\d?)"  # programs write the date with any of these
    r"(?:[ T:,]+(\d\d?)[:.\-](\d\d?)(?:[:.\-](\d\d?)(?:[.,]\d*)?)?)?"
    r"\s*(Z|[+\-]\d\d:?\d\d)?$"
)
_OFFSET = re.compile(r"([+\-])(0\d|1[0-4]):?([0-5]\d)")


def read_taken(exif: bytes) -> str | None:
    """Return when a photo was taken as ISO 8601, in the camera's time, with an offset if the camera gave one.

    The first of three dates that is one counts. A date without a time is taken as its midnight.
    """
    tags = _tags(exif.removeprefix(b"Exif\0\0"))
    for date, offset in _DATES:
        if (moment := _parsed(tags.get(date, ""), tags.get(offset, ""))) is not None:
            return moment
    return None


def _parsed(text: str, offset: str) -> str | None:
    found = _MOMENT.match(text)
    if found is None:
        return None
    try:
        year, month, day, hour, minute, second = (int(number or 0) for number in found.groups()[:6])
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    own = (found[7] or offset).replace("Z", "+00:00")
    zone = _OFFSET.fullmatch(own)
    return moment.isoformat() + (f"{zone[1]}{zone[2]}:{zone[3]}" if zone else "")


def _tags(exif: bytes) -> dict[int, str]:
    """Return the text of the tags that are wanted, as far as the block can be read."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return {}
    texts: dict[int, str] = {}
    try:
        big = exif[2:4] in (b"+\0", b"\0+")
        first = struct.unpack_from(order + ("Q" if big else "I"), exif, 8 if big else 4)[0]
        exif_folder = _read_folder(exif, first, order, big, texts)
        if exif_folder:
            _read_folder(exif, exif_folder, order, big, texts)
    except struct.error:
        pass  # a photo whose EXIF is cut is as good as any, and so is a date in front of the cut
    return texts


def _read_folder(exif: bytes, at: int, order: str, big: bool, texts: dict[int, str]) -> int:
    """Read one folder; return where it says that the folder of EXIF is, 0 where it does not."""
    exif_folder = 0
    counter, offset = ("Q", "Q") if big else ("H", "I")
    width = struct.calcsize(order + offset)
    (count,) = struct.unpack_from(order + counter, exif, at)
    at += struct.calcsize(order + counter)
    for entry in range(at, at + min(count, 65535) * (4 + 2 * width), 4 + 2 * width):
        tag, kind = struct.unpack_from(order + "HH", exif, entry)
        if tag not in _WANTED:
            continue
        (length,) = struct.unpack_from(order + offset, exif, entry + 4)
        place = entry + 4 + width
        if tag == _EXIF_FOLDER and kind in _NUMBERS:
            (exif_folder,) = struct.unpack_from(order + _NUMBERS[kind], exif, place)
        elif kind in _TEXTS:
            if length > width:
                (place,) = struct.unpack_from(order + offset, exif, place)
            raw = exif[place : place + min(length, _LONGEST)].strip(b"\0 \t\r\n")
            texts.setdefault(tag, raw.partition(b"\0")[0].decode("latin-1").strip())
    return int(exif_folder)
