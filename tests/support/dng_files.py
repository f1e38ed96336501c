"""DNGs made for tests, as cameras and programs write them: a preview and the values of a sensor, in a TIFF.

Their camera sees as sRGB does, so that its colours are those of the picture that it was made of.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Values = Sequence[Any] | bytes
Tags = dict[int, tuple[int, Values]]
"""By tag: the type of its values as TIFF counts, and the values."""

BYTE, ASCII, SHORT, LONG, RATIONAL, SIGNED_RATIONAL = 1, 2, 3, 4, 5, 10
_SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, SIGNED_RATIONAL: 8}
_CODES = {BYTE: "B", SHORT: "H", LONG: "I", RATIONAL: "II", SIGNED_RATIONAL: "ii"}
_FROM_XYZ = (3.2405, -1.5371, -0.4985, -0.9693, 1.876, 0.0416, 0.0556, -0.204, 1.0572)
_CFA, _LINEAR, _RGB, _YCBCR = 32803, 34892, 2, 6
_DAYLIGHT = 21


def dng(
    image: Image.Image,
    preview: bytes | Image.Image | None = None,
    *,
    order: str = "<",
    orientation: int = 1,
    linear: bool = False,
    packing: int = 1,
    taken: str = "2024:05:06 07:08:09",
    make: bytes = b"Pawsort",
    more: Mapping[int, tuple[int, Values]] | None = None,
) -> bytes:
    """Return a DNG of `image`, RGB, as the sensor saw it: unturned, a mosaic or `linear` values.

    `packing` is what it says of how these are compressed, which they are not.
    `preview` is a JPEG, or a picture that is stored as a bitmap, or none. `more` are tags of the first folder
    instead of those made here.
    """
    raw = _sensor(image, linear, order)
    raw.tags[259] = (SHORT, [packing])
    main: Tags = {
        271: (ASCII, make + b"\0"), 272: (ASCII, b"Test camera\0"), 274: (SHORT, [orientation]),
        50706: (BYTE, [1, 4, 0, 0]), 50708: (ASCII, b"Pawsort test camera\0"),
        50721: (SIGNED_RATIONAL, [n for x in _FROM_XYZ for n in (round(x * 10000), 10000)]),
        50728: (RATIONAL, [1, 1] * 3), 50778: (SHORT, [_DAYLIGHT]),
        36867: (ASCII, taken.encode() + b"\0"),
    }  # fmt: skip
    head = 8
    if preview is None:
        folders = [main | raw.tags]
        pieces = [raw.data]
    else:
        small = _preview(preview)
        folders = [main | {254: (LONG, [1])} | small.tags, {254: (LONG, [0])} | raw.tags]
        pieces = [small.data, raw.data]
    folders[0] |= more or {}
    return _laid_out(folders, pieces, order, head)


class _Part:
    """Some pixels as they are stored, and the tags that describe them."""

    def __init__(self, data: bytes, tags: Tags) -> None:
        self.data, self.tags = data, tags


def _sensor(image: Image.Image, linear: bool, order: str) -> _Part:
    light = _light(np.asarray(image.convert("RGB"), np.float64) / 255)
    values = np.round(light * 65535).astype(order + "u2")
    height, width = values.shape[:2]
    tags = _sizes(width, height) | {258: (SHORT, [16] * (3 if linear else 1)), 259: (SHORT, [1])}
    if linear:
        return _Part(values.tobytes(), tags | {262: (SHORT, [_LINEAR]), 277: (SHORT, [3])})
    mosaic = values[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = values[::2, ::2, 0], values[1::2, 1::2, 2]
    pattern: Tags = {33421: (SHORT, [2, 2]), 33422: (BYTE, [0, 1, 1, 2])}
    return _Part(mosaic.tobytes(), tags | pattern | {262: (SHORT, [_CFA]), 277: (SHORT, [1])})


def _light(shown: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)


def _preview(preview: bytes | Image.Image) -> _Part:
    if isinstance(preview, Image.Image):
        tags = {258: (SHORT, [8] * 3), 259: (SHORT, [1]), 262: (SHORT, [_RGB]), 277: (SHORT, [3])}
        return _Part(preview.convert("RGB").tobytes(), _sizes(*preview.size) | tags)
    try:
        width, height = _jpeg_size(preview)
    except (ValueError, struct.error):
        width, height = 256, 192  # a preview that is not a JPEG, though its folder says so
    kinds: Tags = {258: (SHORT, [8] * 3), 259: (SHORT, [7]), 262: (SHORT, [_YCBCR]), 277: (SHORT, [3])}
    return _Part(preview, _sizes(width, height) | kinds)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while data[at + 1] not in (0xC0, 0xC2):
        at = data.index(b"\xff", at + 2 + struct.unpack_from(">H", data, at + 2)[0])
    height, width = struct.unpack_from(">HH", data, at + 5)
    return width, height


def _sizes(width: int, height: int) -> Tags:
    return {256: (LONG, [width]), 257: (LONG, [height]), 278: (LONG, [height])}


def _laid_out(folders: list[Tags], pieces: list[bytes], order: str, at: int) -> bytes:
    """Write the pixels, then the folders: the first has the others as its sub-folders."""
    body = b""
    for tags, piece in zip(folders, pieces, strict=True):
        tags[273], tags[279] = (LONG, [at + len(body)]), (LONG, [len(piece)])
        body += piece + bytes(len(piece) % 2)
    at += len(body)
    for tags in reversed(folders[1:]):
        written = _folder(tags, order, at)
        folders[0][330] = (LONG, [at])
        body, at = body + written, at + len(written)
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + "HI", 42, at) + body + _folder(folders[0], order, at)


def _folder(tags: Tags, order: str, at: int) -> bytes:
    lines, behind = list[bytes](), b""
    start = at + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        raw = values if isinstance(values, bytes) else _packed(kind, values, order)
        place = raw.ljust(4, b"\0")
        if len(raw) > 4:
            place = struct.pack(order + "I", start + len(behind))
            behind += raw + bytes(len(raw) % 2)
        lines.append(struct.pack(order + "HHI", tag, kind, len(raw) // _SIZES[kind]) + place)
    return struct.pack(order + "H", len(lines)) + b"".join(lines) + bytes(4) + behind


def _packed(kind: int, values: Sequence[Any], order: str) -> bytes:
    return struct.pack(f"{order}{len(values)}{_CODES[kind][0]}", *values)
