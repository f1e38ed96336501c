"""GIF: a screen, then blocks made of sub-blocks of at most 255 bytes. Source: GIF89a.

Only the first frame is used, so only that must be complete.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from models.images.formats.errors import corrupt, truncated

_BLOCK = re.compile(rb"[!,;]")
_FRAME, _EXTENSION, _TRAILER = b",!;"


@dataclass(frozen=True, slots=True)
class GifHeader:
    """Width and height of the screen, grown to hold the first frame; and the number of frames."""

    width: int
    height: int
    frames: int


def read_gif(data: bytes) -> GifHeader:
    """Find the first frame, check that it is whole, and count those that follow.

    Raises UnreadableImage (truncated, corrupt); struct.error or IndexError where data ends.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = _first_frame(data, 13 + _colour_table(flags))
    left, top, across, down = struct.unpack_from("<HHHH", data, at + 1)
    at = _after_frame(data, at)
    return GifHeader(max(width, left + across), max(height, top + down), 1 + _count(data, at))


def open_gif(file: io.BytesIO) -> Image.Image:
    """Open the first frame, on a screen that is transparent where it leaves that free, as in browsers."""
    image = GifImageFile(file)
    place = image.tile[0].extents
    if place in (None, (0, 0, *image.size)) or "transparency" in image.info:
        return image  # Pillow fills the screen itself with a colour that is transparent
    frame = image.crop(place)
    unused = frame.histogram().index(0) if 0 in frame.histogram() else None
    screen = Image.new(frame.mode, image.size, _whitest(frame) if unused is None else unused)
    if frame.palette:
        screen.putpalette(frame.palette)
    screen.paste(frame, place)
    if unused is not None:
        screen.info["transparency"] = unused
    return screen


def _whitest(frame: Image.Image) -> int:
    colours = frame.getpalette("RGB") or [level for level in range(256) for _ in range(3)]
    return max(range(len(colours) // 3), key=lambda n: min(colours[3 * n : 3 * n + 3]))


def _first_frame(data: bytes, at: int) -> int:
    while at < len(data):
        if data[at] == _FRAME:
            return at
        if data[at] == _TRAILER:
            raise corrupt("the GIF has no frame")
        if data[at] == _EXTENSION:
            at = _after_sub_blocks(data, at + 2)
        else:
            block = _BLOCK.search(data, at)  # decoders pass over what stands before the first one
            at = block.start() if block else len(data)
    raise truncated("the GIF ends before its first frame")


def _count(data: bytes, at: int) -> int:
    """Count frames up to the trailer, to what is no block, or to where the file was cut."""
    frames = 0
    try:
        while data[at] in (_FRAME, _EXTENSION):
            is_frame = data[at] == _FRAME
            at = _after_frame(data, at) if is_frame else _after_sub_blocks(data, at + 2)
            frames += is_frame
    except IndexError:
        pass  # the first frame is whole, and no other is looked at
    return frames


def _after_frame(data: bytes, at: int) -> int:
    return _after_sub_blocks(data, at + 11 + _colour_table(data[at + 9]))


def _colour_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, at: int) -> int:
    """Return where sub-blocks end; the last byte, which is 0 and says no more, may be missing."""
    while at != len(data) and (length := data[at]):
        at += length + 1
    return at + 1
