"""Encode pixels as a JPEG without metadata, for the pages."""

from __future__ import annotations

import io

from PIL import Image

from models.images.decode import Pixels

QUALITY = 82


def encode_jpeg(pixels: Pixels) -> bytes:
    """Encode uint8 RGB, shape (height, width, 3), as a JPEG that holds pixels and nothing else."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return out.getvalue()
