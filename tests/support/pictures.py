"""Pictures made for tests: one scene in many dresses."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "HEIF", "AVIF")
ORIENTATION, EXIF_FOLDER, TAKEN, TAKEN_OFFSET = 0x0112, 0x8769, 0x9003, 0x9011


def scene(width: int = 160, height: int = 120) -> Image.Image:
    """A smooth picture without symmetry: each corner has a colour of its own."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    channels = (30 + 200 * x, 20 + 200 * y, 220 * (1 - x) * (1 - y) + 30 * x)
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def noise(width: int = 160, height: int = 120, seed: int = 7) -> Image.Image:
    """A picture that does not compress, so that a cut at any tenth falls into pixels."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode as Pillow would save it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int | None = None, taken: str | None = None, offset: str | None = None) -> Image.Exif:
    """EXIF with what is given."""
    block = Image.Exif()
    if orientation is not None:
        block[ORIENTATION] = orientation
    folder = {TAKEN: taken, TAKEN_OFFSET: offset}
    if any(folder.values()):
        block[EXIF_FOLDER] = {tag: value for tag, value in folder.items() if value is not None}
    return block


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(width: int, height: int) -> bytes:
    """A grey PNG of one bit a pixel whose pixels are all black: kilobytes that stand for gigabytes."""
    row = b"\0" * (1 + (width + 7) // 8)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return png(struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0), pixels)


def png(header: bytes, pixels: bytes) -> bytes:
    """A PNG from its header's data and its compressed pixels."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
