"""Read from a photo when it was taken: from EXIF, XMP or GPS.

Sources: EXIF 3 (tags and their form), TIFF 6.0, BigTIFF (folders), XMP parts 2 and 3 (properties, packets).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

Source = Literal["exif_original", "exif_digitized", "exif_datetime", "xmp", "gps", "name"]


class Taken(NamedTuple):
    """When a photo was taken: ISO 8601, by the camera's clock unless it has an offset; and who says so."""

    at: str
    source: Source


FIRST_YEAR, LAST_YEAR = 1826, 2100
"""The first photograph is of 1826; a later year than the last one is a broken clock or a number."""

_DATES: tuple[tuple[int, int, Source], ...] = (
    (0x9003, 0x9011, "exif_original"),
    (0x9004, 0x9012, "exif_digitized"),
    (0x0132, 0x9010, "exif_datetime"),
)
"""DateTimeOriginal, DateTimeDigitized and DateTime, each with the tag of its offset from UTC."""

_EXIF_FOLDER, _GPS_FOLDER = 0x8769, 0x8825
_GPS_TIME, _GPS_DATE = 0x0007, 0x001D
_OF_GPS = frozenset((_GPS_TIME, _GPS_DATE))
_WANTED = frozenset((_EXIF_FOLDER, _GPS_FOLDER, *(tag for pair in _DATES for tag in pair[:2])))
_NUMBERS = {4: "I", 13: "I", 16: "Q", 18: "Q"}
_TEXTS = {1, 2, 7, 129}  # as bytes, ASCII, "undefined" or UTF-8
_RATIONAL = 5
_LONGEST = 64

_MOMENT = re.compile(
    r"(\d{4})[:/.\- ]\s?(\d\d?)[:/.\- ]\s?(\d\d?)"  # programs write the date with any of these
    r"(?:[ T:,]+(\d\d?)[:.\-](\d\d?)(?:[:.\-](\d\d?)(?:[.,]\d*)?)?)?"
    r"\s*(Z|[+\-]\d\d:?\d\d)?$"
)
_OFFSET = re.compile(r"([+\-])(0\d|1[0-4]):?([0-5]\d)")
_XMP_DATES = tuple(
    re.compile(name + rb"\s*+(?:=\s*+[\"']|>)\s*+([^\"'<]{1,64})")
    for name in (
        rb"exif:DateTimeOriginal",
        rb"photoshop:DateCreated",
        rb"exif:DateTimeDigitized",
        rb"xmp:CreateDate",
    )
)
_PACKET = b"<x:xmpmeta"
_PACKET_BYTES = 1 << 16
_SCANNED = 1 << 18


def read_taken(exif: bytes, xmp: Callable[[], bytes] = bytes) -> Taken | None:
    """Return when a photo was taken, with an offset from UTC if that is known; None if nothing says so.

    The first of DateTimeOriginal, DateTimeDigitized, DateTime, XMP and GPS that is a possible date counts. A
    date without a time is taken as its midnight. `xmp` is called only if EXIF has no date.
    """
    block = _block(exif.removeprefix(b"Exif\0\0"))
    tags = {} if block is None else _folders(block)
    for date, offset, source in _DATES:
        if date in tags and (moment := parsed(_text(block, tags, date), _text(block, tags, offset))):
            return Taken(moment, source)
    for pattern in _XMP_DATES if (packet := xmp()) else ():
        if (said := pattern.search(packet)) and (moment := parsed(said[1].decode("latin-1").strip())):
            return Taken(moment, "xmp")
    moment = _gps_moment(block, tags)
    return None if moment is None else Taken(moment, "gps")


def find_xmp(data: bytes) -> bytes:
    """Return the beginning of the first XMP packet near either end of a file, where metadata stand."""
    at = data.find(_PACKET, 0, _SCANNED)
    if at < 0:
        at = data.find(_PACKET, max(_SCANNED, len(data) - _SCANNED))
    return data[at : at + _PACKET_BYTES] if at >= 0 else b""


def parsed(text: str, offset: str = "") -> str | None:
    """Return a date as programs write it in ISO 8601, None if it is none or cannot be of a photo."""
    found = _MOMENT.match(text)
    if found is None:
        return None
    try:
        year, month, day, hour, minute, second = (int(number or 0) for number in found.groups()[:6])
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    own = (found[7] or offset).replace("Z", "+00:00")
    zone = _OFFSET.fullmatch(own)
    return moment.isoformat() + (f"{zone[1]}{zone[2]}:{zone[3]}" if zone else "")


class _Block(NamedTuple):
    """A TIFF structure: its bytes, their order, whether it is a BigTIFF, and where its first folder is."""

    data: bytes
    order: str
    big: bool
    at: int


_Tags = dict[int, tuple[int, int, int]]
"""By tag: the type and number of its values, and where they, or their offset, stand."""


def _block(exif: bytes) -> _Block | None:
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    big = exif[2:4] in (b"+\0", b"\0+")
    try:
        (first,) = struct.unpack_from(order + ("Q" if big else "I"), exif, 8 if big else 4)
    except struct.error:
        return None
    return _Block(exif, order, big, first)


def _folders(block: _Block) -> _Tags:
    """Return the wanted tags of the first folder and of that of EXIF, as far as the block can be read.

    A photo whose EXIF is cut is as good as any, and so is a date before the cut.
    """
    tags = _folder(block, block.at, _WANTED)
    return _folder(block, _linked(block, tags, _EXIF_FOLDER), _WANTED) | tags


def _folder(block: _Block, at: int, wanted: frozenset[int]) -> _Tags:
    """Return the wanted tags of the folder at `at`, none for 0; the first counts of several."""
    counter, entry = ("Q", "HHQQ") if block.big else ("H", "HHII")
    entry, head = block.order + entry, struct.calcsize(block.order + counter)
    size = struct.calcsize(entry)
    value = 12 if block.big else 8  # bytes of an entry before its value
    if not at or at + head > len(block.data):
        return {}
    (count,) = struct.unpack_from(block.order + counter, block.data, at)
    start = at + head
    count = min(count, 65535, (len(block.data) - start) // size)
    tags: _Tags = {}
    entries = struct.iter_unpack(entry, block.data[start : start + count * size])
    for number, (tag, kind, length, _) in enumerate(entries):
        if tag in wanted:
            tags.setdefault(tag, (kind, length, start + number * size + value))
    return tags


def _gps_moment(block: _Block | None, tags: _Tags) -> str | None:
    """Return the date and time of GPS, which are UTC; midnight if it has no time."""
    if block is None or _GPS_FOLDER not in tags:
        return None
    gps = _folder(block, _linked(block, tags, _GPS_FOLDER), _OF_GPS)
    date = _text(block, gps, _GPS_DATE)
    return parsed(f"{date} {_clock(block, gps)}", "+00:00") or parsed(date, "+00:00")


def _clock(block: _Block, tags: _Tags) -> str:
    """Return three fractions, hours, minutes and seconds, as text; empty if they are none."""
    kind, length, entry = tags.get(_GPS_TIME, (0, 0, 0))
    if (kind, length) != (_RATIONAL, 3):
        return ""
    try:
        parts = struct.unpack_from(f"{block.order}6I", block.data, _place(block, entry, 24))
        hour, minute, second = (above // below for above, below in zip(parts[::2], parts[1::2], strict=True))
    except (struct.error, ZeroDivisionError):
        return ""
    return f"{hour}:{minute}:{second}"


def _linked(block: _Block, tags: _Tags, folder: int) -> int:
    """Return where a tag says that another folder is, 0 if it does not."""
    kind, _, entry = tags.get(folder, (0, 0, 0))
    if kind not in _NUMBERS:
        return 0
    try:
        return int(struct.unpack_from(block.order + _NUMBERS[kind], block.data, entry)[0])
    except struct.error:
        return 0


def _text(block: _Block | None, tags: _Tags, tag: int) -> str:
    """Return the text of a tag, empty if it has none."""
    kind, length, entry = tags.get(tag, (0, 0, 0))
    if block is None or kind not in _TEXTS:
        return ""
    try:
        place = _place(block, entry, length)
    except struct.error:
        return ""
    raw = block.data[place : place + min(length, _LONGEST)].strip(b"\0 \t\r\n")
    return raw.partition(b"\0")[0].decode("latin-1").strip()


def _place(block: _Block, entry: int, size: int) -> int:
    """Return where a value of `size` bytes is: in its entry if it fits. Raises struct.error."""
    offset, width = ("Q", 8) if block.big else ("I", 4)
    if size <= width:
        return entry
    return int(struct.unpack_from(block.order + offset, block.data, entry)[0])
