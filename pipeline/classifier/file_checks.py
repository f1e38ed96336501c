"""May this file be read? Its size, kind, pixels and date from the headers alone; or the reason why not.

The kind is decided by content, never by name. No decoder has seen the bytes when this is done.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from dataclasses import dataclass

from PIL import Image

from models.images.decode import Header, UnreadableImage, read_header
from models.images.formats.heif import without_film
from models.images.taken_at import read_taken
from pipeline.config import LimitSettings
from pipeline.files.safe_open import NotRegularError, leased, open_regular

_CHUNK = 1024 * 1024  # bytes at once, of a large file
_LEAST = 64 * 1024  # of any: a size may be unknown to a network share, or of a moment ago


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a file was when it was read: SHA-256 in hex, bytes read, and whose they were.

    `written_to`: somebody had it open for writing, as far as can be known.
    """

    sha256: str
    bytes: int
    dev: int
    ino: int
    mtime_ns: int
    written_to: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """A picture that may be decoded. `taken_at` is ISO 8601, with an offset if the camera gave one."""

    format: str
    width: int
    height: int
    frames: int
    taken_at: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that goes to `failed/`: one word for the ledger, and a detail for people."""

    reason: str
    detail: str


def fingerprint(path: bytes, limits: LimitSettings) -> Fingerprint | Refused:
    """Hash a regular file of an acceptable size, without holding it in memory, and ask for a writer.

    Refused: empty, too_large, unreadable (not a regular file). Raises OSError, also for a link (ELOOP).
    """
    try:
        fd, status = open_regular(path)
    except NotRegularError as error:
        if error.errno != errno.EINVAL:  # a link or socket replaced the file after it was claimed
            raise
        return Refused("unreadable", str(error.strerror))
    try:
        if status.st_size > limits.file_bytes:
            return _too_large(status.st_size, limits)
        digest, count = hashlib.sha256(), 0
        while chunk := os.read(fd, min(_CHUNK, max(_LEAST, status.st_size + 1))):
            digest.update(chunk)
            count += len(chunk)
            if count > limits.file_bytes:  # it grows while it is read
                return _too_large(count, limits)
        if not count:
            return Refused("empty", "0 bytes")
        whose = status.st_dev, status.st_ino, status.st_mtime_ns
        return Fingerprint(digest.hexdigest(), count, *whose, written_to=leased(fd) is False)
    finally:
        os.close(fd)


def examine(data: bytes, limits: LimitSettings) -> Admitted | Refused:
    """Judge a file's content by its headers.

    Refused: empty, too_large, not_an_image, unsupported, truncated, corrupt; too_many_pixels when width x
    height is over the limit, or too_many_frames.
    """
    if len(data) > limits.file_bytes:
        return _too_large(len(data), limits)
    try:
        header = read_header(data)
    except UnreadableImage as error:
        return Refused(error.reason, error.detail)
    if header.width * header.height > limits.pixels:  # of an animation, the first frame is decoded
        what = f"{header.width} x {header.height} pixels"
        return Refused("too_many_pixels", f"{what}; the limit is {limits.megapixels:g} megapixels")
    if header.frames > limits.frames:
        return Refused("too_many_frames", f"{header.frames} frames or pages; the limit is {limits.frames}")
    width, height, exif = _looked_into(header, data)
    return Admitted(header.format, width, height, header.frames, read_taken(exif))


def _looked_into(header: Header, data: bytes) -> tuple[int, int, bytes]:
    """Return width, height and EXIF; those of a HEIF or AVIF lie too deep for our own reader."""
    if header.format not in ("HEIF", "AVIF"):
        return header.width, header.height, header.exif
    try:
        with Image.open(
            io.BytesIO(without_film(data)), formats=[header.format]
        ) as image:  # parses boxes, decodes nothing
            exif = bytes(image.info.get("exif") or b"")
            return image.width, image.height, exif.removeprefix(b"Exif\0\0")
    except (ValueError, SyntaxError, OSError, RuntimeError):
        return header.width, header.height, b""  # it is broken, and decoding will say how


def _too_large(size: int, limits: LimitSettings) -> Refused:
    return Refused("too_large", f"{size} bytes; the limit is {limits.file_mb:g} MB")
