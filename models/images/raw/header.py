"""Read the header of a RAW photo without LibRaw: its kind, size and EXIF, and whether its end is missing.

Most kinds are TIFFs whose first picture is a small one. Sources: TIFF/EP, DNG 1.7; for CR2, CR3, RAF and RW2,
whose makers say nothing, ExifTool's tables of their tags.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from models.images.formats.errors import truncated
from models.images.formats.jpeg import read_jpeg
from models.images.raw.folders import SUB_FOLDERS, Folder, read_folders

FORMATS = frozenset(("DNG", "CR2", "CR3", "NEF", "ARW", "RAF", "ORF", "RW2", "PEF", "RAW"))
"""Names of the kinds; RAW is one of another maker that is built as a TIFF."""

_SUBFILE, _WIDTH, _HEIGHT, _COLOURS, _MAKE, _DNG = 254, 256, 257, 262, 271, 50706
_SENSOR_COLOURS = {(32803,), (34892,)}  # a mosaic, or three values for each pixel
_DATA = ((273, 279), (324, 325))  # where strips or tiles are, and how long
_SENSOR_WIDTH, _SENSOR_HEIGHT = 2, 3  # of a RW2
_MAKERS = {b"NIKON": "NEF", b"SONY": "ARW", b"PENTAX": "PEF", b"RICOH": "PEF"}
_RAF_PARTS = 0x54  # of a RAF: where its JPEG is, and how long; the same of a list of tags, and of the pixels
_TOLERATED = 0.02
"""The share of the sensor's data that may be missing, as of a JPEG; some cameras state too long a length."""


class RawHeader(NamedTuple):
    """The kind of a RAW photo, the width and height of its largest picture in pixels, and its EXIF."""

    format: str
    width: int
    height: int
    exif: bytes


def is_raw(data: bytes) -> bool:
    """Return whether a TIFF is a RAW photo, so that its first page may be only a small preview of it."""
    first: Folder = next(read_folders(data), {})
    small_first = first.get(_SUBFILE) == (1,) and SUB_FOLDERS in first
    sensor_first = _MAKE in first and first.get(_COLOURS) in _SENSOR_COLOURS
    return _DNG in first or small_first or sensor_first


def read_raw(data: bytes) -> RawHeader:
    """Read the header of what `is_raw`, or `sniff` calls RAW.

    Raises UnreadableImage (truncated, corrupt); struct.error where data ends.
    """
    if data.startswith(b"FUJIFILM"):
        return _read_raf(data)
    if data[4:8] == b"ftyp":
        return _read_cr3(data)
    folders = list(read_folders(data))
    if not folders:
        raise truncated(f"the RAW photo ends before its first folder; it has {len(data)} bytes")
    kind = _kind(data, folders[0])
    if kind != "RW2":  # its strips are said to be anywhere
        _check_end(data, folders)
    width, height = _largest(folders, kind)
    return RawHeader(kind, width, height, data)


def has_bitmap(data: bytes, width: int, height: int) -> bool:
    """Return whether a folder has a bitmap of RGB of this size in one strip, all bytes of which are there."""
    folders = read_folders(data) if data[:2] in (b"II", b"MM") else iter(())
    return any(
        (folder.get(_WIDTH), folder.get(_HEIGHT)) == ((width,), (height,))
        and [length >= 3 * width * height for _, length in _pieces(folder)] == [True]
        and not _missing(data, _pieces(folder))
        for folder in folders
    )


def _kind(data: bytes, first: Folder) -> str:
    if data[8:10] == b"CR":
        return "CR2"
    if data[:4] in (b"IIRO", b"IIRS", b"MMOR"):
        return "ORF"
    if data[:4] == b"IIU\0":
        return "RW2"
    if _DNG in first:
        return "DNG"
    make = bytes(number & 255 for number in first.get(_MAKE, ())).upper()
    return next((kind for maker, kind in _MAKERS.items() if make.startswith(maker)), "RAW")


def _largest(folders: list[Folder], kind: str) -> tuple[int, int]:
    across, down = (_SENSOR_WIDTH, _SENSOR_HEIGHT) if kind == "RW2" else (_WIDTH, _HEIGHT)
    sizes = [(folder.get(across, (0,))[0], folder.get(down, (0,))[0]) for folder in _of_sensor(folders)]
    return max(sizes, key=lambda size: size[0] * size[1])


def _of_sensor(folders: list[Folder]) -> list[Folder]:
    """Return the folders that say that they are of a sensor; all where none does."""
    return [folder for folder in folders if folder.get(_COLOURS) in _SENSOR_COLOURS] or folders


def _check_end(data: bytes, folders: list[Folder]) -> None:
    """Check that the values of the sensor are there: the largest part of the file, where it does not say.

    Raises UnreadableImage (truncated).
    """
    parts = map(_pieces, _of_sensor(folders))
    _check_pieces(data, max(parts, key=lambda part: sum(length for _, length in part)))


def _pieces(folder: Folder) -> list[tuple[int, int]]:
    """Return where the strips or tiles of a folder start, and how many bytes each has."""
    found = ((folder.get(starts, ()), folder.get(lengths, ())) for starts, lengths in _DATA)
    return [piece for starts, lengths in found for piece in zip(starts, lengths, strict=False)]


def _missing(data: bytes, pieces: list[tuple[int, int]]) -> int:
    return sum(min(length, max(0, start + length - len(data))) for start, length in pieces)


def _check_pieces(data: bytes, pieces: list[tuple[int, int]]) -> None:
    missing = _missing(data, pieces)
    if missing > _TOLERATED * sum(length for _, length in pieces):
        raise truncated(f"the RAW photo lacks {missing} bytes behind its {len(data)}")


def _read_raf(data: bytes) -> RawHeader:
    """Read a RAF, whose preview is a whole JPEG with its EXIF; the size is that of the preview."""
    jpeg, length, _, _, pixels, pixel_bytes = struct.unpack_from(">6I", data, _RAF_PARTS)
    _check_pieces(data, [(pixels, pixel_bytes)])
    preview = read_jpeg(data[jpeg : jpeg + length])
    return RawHeader("RAF", preview.width, preview.height, preview.exif)


def _read_cr3(data: bytes) -> RawHeader:
    """Read a CR3: boxes as of a film, and in the first of them blocks of TIFF with size and dates."""
    at = 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        if name == b"mdat":
            _check_pieces(data, [(at, length)])
        if length < 8:
            break
        at += length
    folders = list(read_folders(_block(data, b"CMT1")))
    width, height = _largest(folders, "CR3") if folders else (0, 0)
    return RawHeader("CR3", width, height, _block(data, b"CMT2"))


def _block(data: bytes, name: bytes) -> bytes:
    """Return the content of the first box of this name near the begin of a file; empty without one."""
    at = data.find(name, 4, 1 << 16)
    if at < 0:
        return bytes(8)
    (length,) = struct.unpack_from(">I", data, at - 4)
    return data[at + 4 : at - 4 + max(length, 16)].ljust(8, b"\0")
