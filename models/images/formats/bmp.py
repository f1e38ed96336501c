"""Decode BMP: a header of one of many lengths, masks or a palette, then rows of pixels, bottom row first.

Own code, because Pillow misreads run-length data at odd offsets, supports few masks, and ignores some
palettes. Sources: Microsoft's BITMAPV5HEADER, IBM's OS/2 2.x bitmaps, Jason Summers' bmpsuite.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.images.formats.errors import corrupt, truncated, unsupported

_FILE_HEADER = 14
_WINDOWS_HEADERS = {40, 52, 56, 108, 124}  # those of OS/2 have 12, or 16 to 64 bytes, cut after any field

_PLAIN, _RLE8, _RLE4, _MASKS, _JPEG, _PNG, _MASKS_WITH_ALPHA = range(7)
_BITS = {
    _PLAIN: (1, 2, 4, 8, 16, 24, 32),
    _RLE8: (8,),
    _RLE4: (4,),
    _MASKS: (16, 24, 32),
    _MASKS_WITH_ALPHA: (16, 32),
}
_RAW_MODES = {1: ("P", "P;1"), 2: ("P", "P;2"), 4: ("P", "P;4"), 8: ("P", "P"), 24: ("RGB", "BGR")}
_USUAL_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_BAND_PIXELS = 1 << 20

Masks = tuple[int, int, int, int]
Words = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class BmpHeader:
    """What the header says; `height` is negative where the highest row comes first."""

    size: int
    width: int
    height: int
    bits: int
    compression: int
    colours: int
    pixels_at: int
    packed_bytes: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.width, abs(self.height)

    @property
    def is_packed(self) -> bool:
        """Whether pixels are in runs."""
        return self.compression in (_RLE8, _RLE4)

    @property
    def direction(self) -> int:
        """How Pillow is to lay rows: 1 down, -1 up."""
        return 1 if self.height < 0 else -1

    @property
    def stride(self) -> int:
        """The bytes of a row, which fill words of 32 bits."""
        return (self.width * self.bits + 31) // 32 * 4


def read_bmp(data: bytes) -> BmpHeader:
    """Read the header. Raises struct.error where data ends."""
    (pixels_at,) = struct.unpack_from("<I", data, 10)
    (size,) = struct.unpack_from("<I", data, _FILE_HEADER)
    width, height, _, bits = struct.unpack_from("<HHHH" if size == 12 else "<iiHH", data, 18)
    compression, used = _field(data, size, 16), _field(data, size, 32)
    colours = min(used or 256, 1 << bits) if bits <= 8 else 0
    if bits <= 8 and pixels_at in (0, _FILE_HEADER + size):  # some programs forget to count the palette
        pixels_at = _FILE_HEADER + size + colours * (3 if size == 12 else 4)
    return BmpHeader(size, width, height, bits, compression, colours, pixels_at, _field(data, size, 20))


def open_bmp(data: bytes, header: BmpHeader) -> Image.Image:
    """Decode a BMP whose size is acceptable, and whose header is that.

    Raises UnreadableImage (unsupported, truncated, corrupt) or struct.error where data ends.
    """
    _check_kind(header)
    if header.is_packed:
        return _from_runs(data, header)
    if header.bits in (16, 32):
        return _from_masks(data, header)
    mode, raw = _RAW_MODES[header.bits]
    rows = _pixels(data, header)
    image = Image.frombytes(mode, header.shape, rows, "raw", raw, header.stride, header.direction)
    if mode == "P":
        image.putpalette(_palette(data, header))
    return image


def _field(data: bytes, size: int, at: int) -> int:
    if at + 4 > size:
        return 0
    (value,) = struct.unpack_from("<I", data, _FILE_HEADER + at)
    return int(value)


def _check_kind(header: BmpHeader) -> None:
    if header.size not in _WINDOWS_HEADERS and header.compression in (_MASKS, _JPEG):
        raise unsupported("a BMP of OS/2 packed by Huffman's code or in runs of 24 bits")
    if header.compression in (_JPEG, _PNG):
        raise unsupported("a BMP with a JPEG or PNG inside")
    if header.compression not in _BITS:
        raise unsupported(f"a BMP packed by method {header.compression}")
    if header.bits not in _BITS[header.compression]:
        raise unsupported(f"a BMP of {header.bits} bits a pixel, packed by method {header.compression}")


def _palette(data: bytes, header: BmpHeader) -> bytes:
    """Return the colours as RGB."""
    start, size = _FILE_HEADER + header.size, 3 if header.size == 12 else 4
    table = data[start : start + size * header.colours]
    whole = len(table) - len(table) % size
    return bytes(table[at + channel] for at in range(0, whole, size) for channel in (2, 1, 0))


def _pixels(data: bytes, header: BmpHeader) -> bytes | memoryview:
    """Return all rows, padded at the end; the last one may lack its padding."""
    start, size = header.pixels_at, header.stride * abs(header.height)
    padding = header.stride - (header.width * header.bits + 7) // 8
    if start + size - padding > len(data):
        raise truncated(f"the BMP should have {start + size} bytes and has {len(data)}")
    rows = memoryview(data)[start : start + size]
    return rows if len(rows) == size else bytes(rows).ljust(size, b"\0")


# Runs: pairs of a count and a value. A count of 0 introduces an end of line or picture, a jump, or values.

_WHITE = 255
_RUNS = 512  # at once, at most
_TOLERATED = 0.02  # the share of rows that may lack every pixel where data are left, or were promised
_LEFT_FREE = 0.25  # the share that a program may leave free on purpose, by an early end or by jumps
_FEW_ROWS = 8  # of drawings smaller than any photo
_WORD = 7  # pixels by which a row may be too long, as the width is rounded up to a word
_SURPLUS = 64  # bytes behind the last run

Bytes = npt.NDArray[np.uint8]


def _from_runs(data: bytes, header: BmpHeader) -> Image.Image:
    palette = _palette(data, header)
    # What no run covers is transparent in browsers, so white. Windows shows the first colour there.
    spare = header.colours <= _WHITE
    pixels = _unroll(data, header, _WHITE if spare else 0)
    image = Image.frombuffer("P", header.shape, pixels, "raw", "P", 0, header.direction)
    image.putpalette(palette.ljust(768, b"\0")[:765] + b"\xff\xff\xff" if spare else palette)
    return image


def _unroll(data: bytes, header: BmpHeader, fill: int) -> bytearray:
    (width, height), at, nibbles = header.shape, header.pixels_at, header.compression == _RLE4
    pixels, painted = bytearray(bytes((fill,)) * (width * height)), bytearray(height)
    x = y = dropped = 0
    while y < height:
        if at + 2 > len(data):
            if y == height - 1 and x == width:
                break  # all is there but the code for its end
            raise truncated("the BMP ends before its last row")
        count, code = data[at], data[at + 1]
        if count == 0 and code == 1:
            at += 2
            break
        if count == 0 and code in (0, 2):  # an end of line, or a jump
            right, up = struct.unpack_from("BB", data, at + 2) if code else (-x, 1)
            x, y, at = min(x + right, width), y + up, at + 2 + code
            continue
        values, at = _runs(data, at, nibbles) if count else _plain_values(data, at, nibbles)
        dropped += max(0, x + len(values) - width)
        values = values[: width - x]  # of a row that is too long, the rest is dropped, as Windows does
        start = y * width + x
        pixels[start : start + len(values)] = values.data
        painted[y] |= len(values) > 0
        x += len(values)
    if dropped > _WORD * height + _TOLERATED * width * height and height > _FEW_ROWS:
        raise corrupt(f"rows of the BMP have {dropped} pixels too many")
    _check_rows(data, header, at, painted.count(0) / height)
    return pixels


def _check_rows(data: bytes, header: BmpHeader, at: int, missing: float) -> None:
    """Raise UnreadableImage if more rows lack pixels than a program leaves free on purpose."""
    end = header.pixels_at + header.packed_bytes if header.packed_bytes else len(data)
    if missing > _TOLERATED and abs(end - at) > _SURPLUS:
        raise corrupt(
            f"the runs of the BMP end {end - at} bytes early: {missing:.0%} of the rows are missing"
        )
    if missing > _LEFT_FREE and missing * abs(header.height) > _FEW_ROWS:
        raise truncated(f"the runs of the BMP end early: {missing:.0%} of the rows are missing")


def _runs(data: bytes, at: int, nibbles: bool) -> tuple[Bytes, int]:
    """Return the pixels of all runs up to the next count of 0, and where it stands."""
    counts = data[at : at + 2 * _RUNS : 2]
    codes = data[at + 1 : at + 2 * _RUNS : 2]
    number = counts.find(0) if 0 in counts else len(counts)
    number = min(number, len(codes))
    lengths = np.frombuffer(counts, np.uint8, number).astype(np.int64)
    values = np.repeat(np.frombuffer(codes, np.uint8, number), lengths)
    if nibbles:  # of each run, two pixels by turns
        nth = np.arange(len(values)) - np.repeat(lengths.cumsum() - lengths, lengths)
        values = np.where(nth & 1, values & 15, values >> 4)
    return values, at + 2 * number


def _plain_values(data: bytes, at: int, nibbles: bool) -> tuple[Bytes, int]:
    count = data[at + 1]
    length = (count + 1) // 2 if nibbles else count
    if at + 2 + length > len(data):
        raise truncated("the BMP ends before its last row")
    values = np.frombuffer(data, np.uint8, length, at + 2)
    if nibbles:
        values = np.stack([values >> 4, values & 15], axis=-1).reshape(-1)[:count]
    return values, at + 2 + length + (length & 1)


# Masks: which bits of a pixel are red, green, blue and, perhaps, alpha.


def _from_masks(data: bytes, header: BmpHeader) -> Image.Image:
    masks = _masks(data, header)
    # Some programs promise alpha and leave it at 0: a picture of which nothing is seen is meant to be opaque.
    clear = bool(masks[3]) and any((words & masks[3]).any() for _, words in _rows(data, header))
    channels = masks if clear else masks[:3]
    image = Image.new("RGBA" if clear else "RGB", header.shape)
    for top, words in _rows(data, header):
        band = np.stack([_channel(words, mask) for mask in channels], axis=-1)
        image.paste(Image.fromarray(band), (0, top))
    return image


def _masks(data: bytes, header: BmpHeader) -> Masks:
    if header.compression == _PLAIN:
        return _USUAL_MASKS[header.bits]
    red, green, blue = struct.unpack_from("<III", data, _FILE_HEADER + 40)
    alpha = 0
    if header.size >= 56 or header.compression == _MASKS_WITH_ALPHA:
        (alpha,) = struct.unpack_from("<I", data, _FILE_HEADER + 52)
    masks = (red, green, blue, alpha) if red or green or blue else _USUAL_MASKS[header.bits]
    for mask in masks:
        ones = mask >> max(0, (mask & -mask).bit_length() - 1)
        if ones & (ones + 1):
            raise corrupt(f"a mask of the BMP has gaps: {mask:#x}")
    return masks


def _rows(data: bytes, header: BmpHeader) -> Iterator[tuple[int, Words]]:
    """Yield bands of pixels as numbers, each with its first row."""
    height, rows_of = abs(header.height), max(1, _BAND_PIXELS // header.width)
    words = np.frombuffer(_pixels(data, header), "<u2" if header.bits == 16 else "<u4")
    words = words.reshape(height, -1)[:, : header.width]
    words = words if header.height < 0 else words[::-1]
    for top in range(0, height, rows_of):
        yield top, words[top : top + rows_of]


def _channel(words: Words, mask: int) -> Bytes:
    if not mask:
        return np.zeros(words.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    most = mask >> shift
    values = (words & mask) >> shift
    if most > 255:
        scaled: Bytes = (values >> (most.bit_length() - 8)).astype(np.uint8)
    else:
        scaled = ((np.arange(most + 1) * 255 + most // 2) // most).astype(np.uint8)[values]
    return scaled
