# ruff: noqa: E501
"""GIFs: interlaced, animated, with every disposal, and with frames that are not where they should be."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.corpus.case import CORRUPT, DAMAGED, EMPTY, FINE, NO_IMAGE, TOO_MANY, TRUNCATED, Case
from tests.support.pictures import encode, noise, scene

TRAILER = b";"


def blocks(data: bytes, length: int = 255) -> bytes:
    parts = (data[at : at + length] for at in range(0, len(data), length))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def lzw(values: bytes, bits: int = 8) -> bytes:
    """Pack without a dictionary: a clear code before it would need one."""
    clear, text, width = 1 << bits, [], bits + 1
    room = (1 << bits) - 2
    for n, value in enumerate(values):
        if n % room == 0:
            text.append((clear, width))
        text.append((value, width))
    text.append((clear + 1, width))
    number = shift = 0
    for code, length in text:
        number |= code << shift
        shift += length
    return bytes([bits]) + blocks(number.to_bytes(-(-shift // 8), "little"))


def table(bits: int) -> bytes:
    return bytes((n * 61) % 256 for n in range(3 << bits))


def screen(
    width: int, height: int, bits: int | None = 3, version: bytes = b"GIF89a", background: int = 0
) -> bytes:
    flags = 0 if bits is None else 0x80 | bits - 1
    head = struct.pack("<HHBBB", width, height, flags, background, 0)
    return version + head + (b"" if bits is None else table(bits))


def frame(
    width: int, height: int, *, left: int = 0, top: int = 0, bits: int = 3, own: int | None = None, interlaced: bool = False,
    data: bytes | None = None,
) -> bytes:  # fmt: skip
    flags = (0x40 if interlaced else 0) | (0 if own is None else 0x80 | own - 1)
    values = (
        bytes((x + y) % (1 << bits) for y in range(height) for x in range(width)) if data is None else b""
    )
    head = b"," + struct.pack("<HHHHB", left, top, width, height, flags)
    return (
        head
        + (b"" if own is None else table(own))
        + (data if data is not None else lzw(values, max(2, bits)))
    )


def control(disposal: int = 0, transparent: int | None = None, delay: int = 4) -> bytes:
    flags = disposal << 2 | (transparent is not None)
    return b"!\xf9\x04" + struct.pack("<BHB", flags, delay, transparent or 0) + b"\0"


def well() -> Iterator[Case]:
    """Every one of these is a picture."""
    image = scene(80, 60)
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA"):
        for interlace in (0, 1):
            yield Case(
                f"gif {mode} interlace {interlace}",
                encode(image.convert(mode), "GIF", interlace=interlace),
                FINE,
            )
    for version in (b"GIF87a", b"GIF89a"):
        for bits in range(1, 9):
            data = screen(30, 20, bits, version) + frame(30, 20, bits=bits) + TRAILER
            yield Case(f"gif {version.decode()} of {bits} bits", data, FINE)
    for interlaced in (False, True):
        for size in (1, 2, 5, 8, 9, 17):
            data = screen(size, size) + frame(size, size, interlaced=interlaced) + TRAILER
            yield Case(f"gif {size}^2 interlaced {interlaced}", data, FINE)
    for disposal in range(8):
        for clear in (None, 0, 7, 255):
            parts = [control(disposal, clear) + frame(10, 10, left=n, top=n) for n in range(4)]
            yield Case(
                f"gif disposal {disposal} clear {clear}", screen(30, 20) + b"".join(parts) + TRAILER, FINE
            )
    for count in (2, 150):
        frames = [noise(40, 30, n) for n in range(count)]
        yield Case(
            f"gif of {count} frames", encode(scene(40, 30), "GIF", save_all=True, append_images=frames), FINE
        )
    one = frame(30, 20)
    for name, data in {
        "own table": screen(30, 20, None) + frame(30, 20, own=3) + TRAILER, "no table": screen(30, 20, None) + one + TRAILER,
        "both tables": screen(30, 20) + frame(30, 20, own=2, bits=2) + TRAILER, "background out of range": screen(30, 20, background=200) + one + TRAILER,
        "smaller frame": screen(30, 20) + frame(5, 5, left=9, top=9) + TRAILER, "frame sticks out": screen(30, 20) + frame(20, 20, left=20, top=10) + TRAILER,
        "screen 0x0": screen(0, 0) + one + TRAILER, "no trailer": screen(30, 20) + one, "comment": screen(30, 20) + b"!\xfe" + blocks(b"words" * 99) + one + TRAILER,
        "loop": screen(30, 20) + b"!\xff\x0bNETSCAPE2.0\x03\1\0\0\0" + one + TRAILER, "xmp": screen(30, 20) + b"!\xff\x0bXMP DataXMP" + blocks(b"<x/>" * 99) + one + TRAILER,
        "unknown extension": screen(30, 20) + b"!\x77" + blocks(b"words") + one + TRAILER, "plain text": screen(30, 20) + b"!\x01\x0c" + bytes(12) + blocks(b"words") + one + TRAILER,
        "control twice": screen(30, 20) + control() * 2 + one + TRAILER, "zeros between": screen(30, 20) + bytes(9) + one + TRAILER,
        "junk after": screen(30, 20) + one + TRAILER + b"junk,!;" * 99, "junk for trailer": screen(30, 20) + one + b"junk",
        "second frame larger": screen(30, 20) + one + frame(60, 60) + TRAILER, "small blocks": screen(30, 20) + frame(30, 20, data=b"\3" + blocks(b"\x88" * 90, 1)) + TRAILER,
    }.items():  # fmt: skip
        # A list of codes that are all the same is no picture of 30 x 20, but decoders take what they get.
        yield Case(f"gif {name}", data, FINE if name != "small blocks" else FINE | DAMAGED)


def ill() -> Iterator[Case]:
    """Every one of these has something wrong with it."""
    one = frame(30, 20)
    for name, data, allowed in (
        ("no frame", screen(30, 20) + TRAILER, CORRUPT), ("only a screen", screen(30, 20), TRUNCATED),
        ("only a control", screen(30, 20) + control() + TRAILER, CORRUPT), ("frame 0x0", screen(30, 20) + frame(0, 0) + TRAILER, FINE | DAMAGED),
        ("nothing 0x0", screen(0, 0) + frame(0, 0) + TRAILER, CORRUPT), ("screen 65535^2", screen(65535, 65535) + one + TRAILER, TOO_MANY),
        ("frame far away", screen(30, 20) + frame(30, 20, left=65000, top=65000) + TRAILER, TOO_MANY),
        ("codes of 0 bits", screen(30, 20) + frame(30, 20, data=b"\0" + blocks(b"xxxx")) + TRAILER, FINE | DAMAGED),
        ("codes of 13 bits", screen(30, 20) + frame(30, 20, data=b"\x0d" + blocks(b"xxxx")) + TRAILER, FINE | DAMAGED),
        ("codes of 255 bits", screen(30, 20) + frame(30, 20, data=b"\xff" + blocks(b"xxxx")) + TRAILER, FINE | DAMAGED),
        ("no codes", screen(30, 20) + frame(30, 20, data=b"\3\0") + TRAILER, FINE | DAMAGED),
        ("code of the future", screen(30, 20) + frame(30, 20, data=b"\3" + blocks(b"\xff" * 90)) + TRAILER, FINE | DAMAGED),
        ("half its pixels", screen(300, 200) + frame(30, 20)[:60] + b"\0" + TRAILER, FINE | DAMAGED),
        ("cut in a block", (screen(300, 200) + frame(300, 200))[:500], DAMAGED), ("version 90z", b"GIF90z" + screen(30, 20)[6:] + one + TRAILER, NO_IMAGE | CORRUPT),
        ("100,000 empty frames", screen(1, 1) + frame(1, 1) * 100_000 + TRAILER, FINE),
    ):  # fmt: skip
        yield Case(f"gif {name}", data, allowed)
    for length in range(8):
        allowed = TRUNCATED | (NO_IMAGE if length < 4 else frozenset())
        yield Case(f"gif first {length} bytes", screen(30, 20)[:length], allowed if length else EMPTY)
