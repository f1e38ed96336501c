# ruff: noqa: E501
"""BMPs of every header, depth and packing: as the good, questionable and bad ones of bmpsuite."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.corpus.case import CORRUPT, DAMAGED, FINE, NO_IMAGE, TOO_MANY, UNSUPPORTED, Case
from tests.support.pictures import encode, scene

ODD = FINE | UNSUPPORTED


def bmp(
    width: int = 61, height: int = 32, bits: int = 24, *, header: int = 40, packing: int = 0, colours: int | None = None,
    masks: bytes = b"", data: bytes | None = None, offset: int | None = None, planes: int = 1, size: int | None = None, used: int | None = None,
    gap: int = 0,
) -> bytes:  # fmt: skip
    entries = (1 << bits if bits <= 8 else 0) if colours is None else colours
    entry = 3 if header == 12 else 4
    table = b"".join(bytes([(n * 91) % 256, n % 256, 255 - n % 256, 0][:entry]) for n in range(entries))
    rows = -(-width * bits // 32) * 4
    body = bytes((n * 7) % 256 for n in range(rows * abs(height))) if data is None else data
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, planes, bits)
    else:
        told = entries if used is None else used
        info = struct.pack(
            "<IiiHHIIiiII",
            header,
            width,
            height,
            planes,
            bits,
            packing,
            len(body),
            2835,
            2835,
            told & 0xFFFFFFFF,
            0,
        )
        info = (
            (info + masks)[:header].ljust(header, b"\0")
            if header > 40
            else info[:header] + (masks if header == 40 else b"")
        )
    start = 14 + len(info) + len(table) + gap
    total = start + len(body) if size is None else size
    head = b"BM" + struct.pack("<IHHI", total & 0xFFFFFFFF, 0, 0, start if offset is None else offset)
    return head + info + table + bytes(gap) + body


def masks(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def rle8(width: int, height: int) -> bytes:
    return b"".join(bytes([width, y % 256, 0, 0]) for y in range(height)) + b"\0\1"


def well() -> Iterator[Case]:
    """Every one of these is a picture."""
    image = scene(80, 60)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield Case(f"bmp {mode}", encode(image.convert(mode), "BMP"), FINE)
    for header in (12, 40, 52, 56, 64, 108, 124):
        for bits in (1, 4, 8, 24):
            yield Case(f"bmp header {header}, {bits} bits", bmp(bits=bits, header=header), FINE)
    for header in (40, 52, 56, 108, 124):
        for bits in (16, 32):
            yield Case(f"bmp header {header}, {bits} bits", bmp(bits=bits, header=header), FINE)
    for bits in (1, 4, 8, 16, 24, 32):
        yield Case(f"bmp top down, {bits} bits", bmp(height=-32, bits=bits), FINE)
    for colours in (1, 2, 5, 200, 256):
        yield Case(f"bmp of {colours} colours", bmp(bits=8, colours=colours, data=bytes(64 * 32)), FINE)
    yield Case("bmp rle8", bmp(60, 20, 8, packing=1, data=rle8(60, 20)), FINE)
    yield Case("bmp rle4", bmp(60, 20, 4, packing=2, data=rle8(60, 20)), FINE)
    absolute = b"".join(b"\0\x0cabcdefghijkl" + bytes([48, 1, 0, 0]) for _ in range(20)) + b"\0\1"
    yield Case("bmp rle8 absolute", bmp(60, 20, 8, packing=1, data=absolute), FINE)
    for name, values, bits in (
        ("565", (0xF800, 0x7E0, 0x1F), 16), ("555", (0x7C00, 0x3E0, 0x1F), 16), ("888", (0xFF0000, 0xFF00, 0xFF), 32),
        ("8888 bgra", (0xFF0000, 0xFF00, 0xFF, 0xFF000000), 32), ("8888 rgba", (0xFF, 0xFF00, 0xFF0000, 0xFF000000), 32),
    ):  # fmt: skip
        for header in (56, 108, 124):
            yield Case(
                f"bmp masks {name}, header {header}",
                bmp(bits=bits, header=header, packing=3, masks=masks(*values)),
                FINE,
            )
    for name, values, bits in (
        ("565", (0xF800, 0x7E0, 0x1F), 16),
        ("555", (0x7C00, 0x3E0, 0x1F), 16),
        ("888", (0xFF0000, 0xFF00, 0xFF), 32),
    ):
        yield Case(f"bmp masks {name} behind", bmp(bits=bits, packing=3, masks=masks(*values)), FINE)
    for width in (1, 2, 3, 4, 5, 127):
        yield Case(f"bmp {width} wide", bmp(width, 3, 24), FINE)
    yield Case("bmp gap before pixels", bmp(bits=8, gap=100), FINE)
    yield Case("bmp size 0 told", bmp(size=0), FINE)
    yield Case("bmp size too large told", bmp(size=2**31), FINE)
    yield Case("bmp 0 planes", bmp(planes=0), FINE)
    yield Case("bmp junk after", bmp() + b"junk" * 99, FINE)


def ill() -> Iterator[Case]:
    """What few decoders read, and what none does."""
    for name, values, bits in (
        ("231", (0xE0, 0x1C, 0x3), 16), ("4444", (0xF00, 0xF0, 0xF, 0xF000), 16), ("5551", (0x7C00, 0x3E0, 0x1F, 0x8000), 16),
        ("880", (0xFF00, 0xFF, 0), 16), ("1010102", (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000), 32), ("111110", (0xFFE00000, 0x1FFC00, 0x3FF), 32),
        ("xbgr", (0xFF, 0xFF00, 0xFF0000), 32), ("none", (0, 0, 0), 32), ("overlapping", (0xFF, 0xFF, 0xFF), 32), ("none of 16", (0, 0, 0), 16),
    ):  # fmt: skip
        for header in (40, 56, 124):
            yield Case(
                f"bmp masks {name}, header {header}",
                bmp(bits=bits, header=header, packing=3, masks=masks(*values)),
                ODD | CORRUPT,
            )
    yield Case("bmp os/2 header of 16", bmp(header=16), ODD)
    for bits in (2, 64):
        yield Case(f"bmp of {bits} bits", bmp(bits=bits), ODD)
    for bits in (0, 3, 33, 65535):
        yield Case(f"bmp of {bits} bits", bmp(bits=bits, colours=0, data=bytes(9000)), UNSUPPORTED | CORRUPT)
    for packing in (4, 5, 6, 11, 12, 13, 255):
        body = encode(scene(61, 32), "JPEG" if packing == 4 else "PNG")
        yield Case(f"bmp packing {packing}", bmp(packing=packing, data=body), ODD | CORRUPT)
    yield Case("bmp rle24", bmp(60, 20, 24, header=64, packing=4, data=rle8(60, 20)), ODD | DAMAGED)
    for header in (0, 1, 39, 41, 2**31):
        data = bytearray(bmp())
        struct.pack_into("<I", data, 14, header)
        allowed = FINE if 16 <= header <= 64 else NO_IMAGE
        yield Case(f"bmp header of {header}", bytes(data), allowed | UNSUPPORTED | CORRUPT)
    for name, size, allowed in (
        ("0x0", (0, 0), CORRUPT), ("0 wide", (0, 9), CORRUPT), ("0 high", (9, 0), CORRUPT), ("negative width", (-9, 9), CORRUPT),
        ("2^31 wide", (2**31 - 1, 2), TOO_MANY), ("60000^2", (60000, 60000), TOO_MANY), ("lowest height", (1, -(2**31)), TOO_MANY | DAMAGED),
    ):  # fmt: skip
        yield Case(f"bmp {name}", bmp(*size, data=bytes(999)), allowed)
    whole = bmp(bits=8)
    yield Case("bmp short", whole[: len(whole) // 2], DAMAGED)
    for offset in (0, 14, 54, 10**6, 2**32 - 1):
        yield Case(f"bmp pixels at {offset}", bmp(bits=8, offset=offset), FINE | DAMAGED)
    for used in (2**31, 2**32 - 1, 70000, 1000):
        yield Case(f"bmp told {used} colours", bmp(bits=8, used=used), FINE | DAMAGED | UNSUPPORTED)
    yield Case("bmp index beyond the table", bmp(bits=8, colours=3), FINE | CORRUPT)
    for name, data in {
        "cut": rle8(60, 9), "row too long": b"\xff\x01" * 30 + b"\0\1", "jumps out": b"\0\2\xff\xff\x09\x09\0\1", "empty": b"",
        "absolute too long": b"\0\xff" + bytes(9), "only ends": b"\0\1", "no end": rle8(60, 20)[:-2],
    }.items():  # fmt: skip
        for bits, packing in ((8, 1), (4, 2)):
            yield Case(f"bmp rle{bits} {name}", bmp(60, 20, bits, packing=packing, data=data), FINE | DAMAGED)
    yield Case(
        "bmp rle8 of 24 bits", bmp(60, 20, 24, packing=1, data=rle8(60, 20)), FINE | DAMAGED | UNSUPPORTED
    )
    yield Case("bmp rle top down", bmp(60, -20, 8, packing=1, data=rle8(60, 20)), FINE | DAMAGED)
    yield Case("dib", encode(scene(20, 20), "DIB"), NO_IMAGE | UNSUPPORTED)
