"""HEIF and AVIF files made box by box, of pictures that Pillow has encoded."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from PIL import Image

from models.images.formats.heif import primary_items
from tests.support.pictures import encode

Property = tuple[bytes, bytes]
CODECS = {"HEIF": b"hvc1", "AVIF": b"av01"}
BRANDS = {"HEIF": b"heic", "AVIF": b"avif"}


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, name) + content


def still(
    image: Image.Image,
    kind: str,
    extra: Sequence[Property] = (),
    *,
    brand: bytes | None = None,
    codec: bytes | None = None,
    hidden_alpha: bool = False,
    behind: bytes = b"",
) -> bytes:
    """A still picture with these properties in addition; an alpha picture without a size, if it is wanted."""
    encoded = encode(image, kind)
    (item,) = primary_items(encoded).values()
    payload = b"".join(encoded[start : start + length] for start, length in item.extents)
    properties = [*item.properties, *extra]
    brand = brand or BRANDS[kind]
    head = box(b"ftyp", brand + bytes(4) + brand + b"mif1miaf")

    def meta(offset: int) -> bytes:
        items = 2 if hidden_alpha else 1
        infe = [
            box(b"infe", struct.pack(">IHH4sB", 2 << 24, n + 1, 0, codec or CODECS[kind], 0))
            for n in range(items)
        ]
        iloc = [struct.pack(">HHHII", n + 1, 0, 1, offset, len(payload)) for n in range(items)]
        count = len(properties)
        own = struct.pack(">HB", 1, count) + bytes(range(1, count + 1))
        without_size = struct.pack(">HB", 2, 1) + bytes([count + 1])
        alpha = box(b"auxC", bytes(4) + b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
        ipco = b"".join(box(*prop) for prop in properties) + (alpha if hidden_alpha else b"")
        ipma = struct.pack(">II", 0, items) + own + (without_size if hidden_alpha else b"")
        iref = box(b"iref", bytes(4) + box(b"auxl", struct.pack(">HHH", 2, 1, 1))) if hidden_alpha else b""
        content = [
            box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
            box(b"pitm", struct.pack(">IH", 0, 1)),
            box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, items) + b"".join(iloc)),
            box(b"iinf", struct.pack(">IH", 0, items) + b"".join(infe)),
            iref,
            box(b"iprp", box(b"ipco", ipco) + box(b"ipma", ipma)),
        ]
        return box(b"meta", bytes(4) + b"".join(content))

    offset = len(head) + len(meta(0)) + 8
    return head + meta(offset) + box(b"mdat", payload) + behind


def track(handler: bytes, frames: int) -> bytes:
    table = box(b"stsz", struct.pack(">III", 0, 1, frames))
    return box(
        b"trak",
        box(b"mdia", box(b"hdlr", bytes(8) + handler + bytes(13)) + box(b"minf", box(b"stbl", table))),
    )


def aperture(width: int, height: int, right: int, down: int) -> Property:
    """A clean aperture of this size, its middle so far right of and below the middle of the picture."""
    return b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, right, 1, down, 1)
