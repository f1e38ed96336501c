"""Check a file before it is decoded: size, format, pixels and date, from its headers alone.

The format is decided by content, never by name.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from models.images.decode import Header, UnreadableImage, read_header
from models.images.formats.heif import without_film
from models.images.taken_at import find_xmp, read_taken
from pipeline.files.safe_open import NotRegularError, leased, open_regular
from pipeline.settings.sections import LimitSettings

_CHUNK = 1024 * 1024  # bytes in one read of a large file
_LEAST = 64 * 1024  # bytes in one read of any file: a network share may not know its size, or an old one


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The version of a file that was read: SHA-256 in hex, bytes read, and its mtime.

    `written_to`: a process had it open for writing, as far as that can be known.
    """

    sha256: str
    bytes: int
    mtime_ns: int
    written_to: bool


class Admitted(NamedTuple):
    """A picture that may be decoded. `taken_at` is ISO 8601, with an offset if the camera gave one.

    `taken_from` is a `models.images.taken_at.Source`, None without a date.
    """

    format: str
    width: int
    height: int
    frames: int
    taken_at: str | None
    taken_from: str | None = None


def fingerprint(path: bytes, limits: LimitSettings) -> Fingerprint:
    """Hash a regular file within the size limit, in pieces, and check whether it is being written to.

    Raises UnreadableImage (empty, too_large, unreadable: not a regular file), and OSError, also for a link
    (ELOOP).
    """
    try:
        fd, status = open_regular(path)
    except NotRegularError as error:
        if error.errno != errno.EINVAL:  # a link or socket replaced the file after it was claimed
            raise
        raise UnreadableImage("unreadable", str(error.strerror)) from error
    try:
        if status.st_size > limits.file_bytes:
            raise too_large(status.st_size, limits)
        digest, count = hashlib.sha256(), 0
        while chunk := os.read(fd, min(_CHUNK, max(_LEAST, status.st_size + 1))):
            digest.update(chunk)
            count += len(chunk)
            if count > limits.file_bytes:  # it grows while it is read
                raise too_large(count, limits)
        if not count:
            raise UnreadableImage("empty", "0 bytes")
        return Fingerprint(digest.hexdigest(), count, status.st_mtime_ns, written_to=leased(fd) is False)
    finally:
        os.close(fd)


def examine(data: bytes, limits: LimitSettings) -> tuple[Header, Admitted]:
    """Read the header of a file's content and check it; no decoder sees the bytes.

    Raises UnreadableImage: empty, too_large, not_an_image, unsupported, truncated, corrupt; too_many_pixels
    when width x height is over the limit, or too_many_frames.
    """
    if len(data) > limits.file_bytes:
        raise too_large(len(data), limits)
    header = read_header(data)
    if header.width * header.height > limits.pixels:  # of an animation, the first frame is decoded
        what = f"{header.width} x {header.height} pixels"
        raise UnreadableImage("too_many_pixels", f"{what}; the limit is {limits.megapixels:g} megapixels")
    if header.frames > limits.frames:
        what = f"{header.frames} frames or pages"
        raise UnreadableImage("too_many_frames", f"{what}; the limit is {limits.frames}")
    width, height, exif = _size_and_exif(header, data)
    taken = read_taken(exif, lambda: header.xmp or find_xmp(data)) or (None, None)
    return header, Admitted(header.format, width, height, header.frames, *taken)


def _size_and_exif(header: Header, data: bytes) -> tuple[int, int, bytes]:
    """Return width, height and EXIF; for a HEIF or AVIF, only Pillow's reader finds all of them."""
    if header.format not in ("HEIF", "AVIF"):
        return header.width, header.height, header.exif
    try:
        with Image.open(
            io.BytesIO(without_film(data)), formats=[header.format]
        ) as image:  # parses boxes, decodes nothing
            exif = bytes(image.info.get("exif") or b"")
            return image.width, image.height, exif.removeprefix(b"Exif\0\0")
    except (ValueError, SyntaxError, OSError, RuntimeError):
        return header.width, header.height, b""  # it is broken; the decoder will give the reason


def too_large(size: int, limits: LimitSettings) -> UnreadableImage:
    """Make the error for a file of `size` bytes, more than the limit."""
    return UnreadableImage("too_large", f"{size} bytes; the limit is {limits.file_mb:g} MB")
