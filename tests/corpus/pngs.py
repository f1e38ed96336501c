# ruff: noqa: E501
"""PNGs of every colour type, depth and interlace, and with every kind of damage."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.corpus.case import CORRUPT, DAMAGED, EMPTY, FINE, NO_IMAGE, TOO_MANY, TRUNCATED, UNSUPPORTED, Case
from tests.support.pictures import chunk, encode, noise, png_bomb, scene

SIGNATURE = b"\x89PNG\r\n\x1a\n"
IEND = chunk(b"IEND", b"")
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _rows(width: int, height: int, bits: int, filters: int) -> bytes:
    length = (width * bits + 7) // 8
    rows = []
    for y in range(height if width else 0):
        kind = y % 5 if filters == 5 else filters
        rows.append(bytes([kind]) + bytes((x * 7 + y * 13) % 251 for x in range(length)))
    return b"".join(rows)


def header(width: int, height: int, depth: int, colours: int, *rest: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBB", width, height, depth, colours) + bytes(rest or (0, 0, 0)))


def pixels(width: int, height: int, depth: int, colours: int, interlace: int = 0, filters: int = 5) -> bytes:
    bits = depth * CHANNELS[colours]
    if not interlace:
        return zlib.compress(_rows(width, height, bits, filters))
    parts = (
        _rows(
            -(-(width - x) // dx) if width > x else 0,
            -(-(height - y) // dy) if height > y else 0,
            bits,
            filters,
        )
        for x, y, dx, dy in _PASSES
    )
    return zlib.compress(b"".join(parts))


def palette(depth: int, entries: int | None = None) -> bytes:
    count = entries or 1 << depth
    return chunk(b"PLTE", bytes((n * 37) % 256 for n in range(3 * count)))


def made(
    width: int,
    height: int,
    depth: int,
    colours: int,
    interlace: int = 0,
    extra: bytes = b"",
    filters: int = 5,
) -> bytes:
    table = palette(depth) if colours == 3 else b""
    body = chunk(b"IDAT", pixels(width, height, depth, colours, interlace, filters))
    return SIGNATURE + header(width, height, depth, colours, 0, 0, interlace) + table + extra + body + IEND


def well() -> Iterator[Case]:
    """Every one of these is a picture."""
    for colours, depths in DEPTHS.items():
        for depth in depths:
            for interlace in (0, 1):
                name = f"png type {colours} depth {depth} interlace {interlace}"
                yield Case(name, made(33, 29, depth, colours, interlace), FINE)
                clear = {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: b"\0\x80"}.get(colours)
                if clear:
                    yield Case(
                        name + " tRNS", made(33, 29, depth, colours, interlace, chunk(b"tRNS", clear)), FINE
                    )
    for filters in range(5):
        yield Case(f"png filter {filters}", made(40, 30, 8, 2, filters=filters), FINE)
    for size in (1, 2, 3, 7, 8, 9):
        for interlace in (0, 1):
            yield Case(f"png {size}x{size} interlace {interlace}", made(size, size, 4, 3, interlace), FINE)
    for shape in ((1, 20000), (20000, 1), (5000, 2)):
        yield Case(f"png {shape}", made(*shape, 8, 2), FINE)
    image = scene(80, 60)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = image.convert(mode) if mode != "I;16" else Image.new("I;16", (80, 60), 40000)
        for level in (0, 9):
            yield Case(f"png {mode} level {level}", encode(picture, "PNG", compress_level=level), FINE)
    yield from _ornaments(encode(image, "PNG"))
    for count in (1, 2, 200):
        for default in (False, True):
            frames = [noise(40, 30, n) for n in range(count)]
            data = encode(scene(40, 30), "PNG", save_all=True, append_images=frames, default_image=default)
            yield Case(f"apng of {count}, default {default}", data, FINE)
    plain = encode(image, "PNG")
    body = pixels(80, 60, 8, 2)
    for length in (1, 2, 1000):
        parts = b"".join(chunk(b"IDAT", body[at : at + length]) for at in range(0, len(body), length))
        yield Case(f"png IDAT in pieces of {length}", SIGNATURE + header(80, 60, 8, 2) + parts + IEND, FINE)
    empty = chunk(b"IDAT", b"")
    yield Case(
        "png empty IDATs",
        SIGNATURE + header(80, 60, 8, 2) + empty + chunk(b"IDAT", body) + empty + IEND,
        FINE,
    )
    for level in range(10):
        packed = zlib.compress(_rows(80, 60, 24, 0), level)
        yield Case(
            f"png zlib level {level}", SIGNATURE + header(80, 60, 8, 2) + chunk(b"IDAT", packed) + IEND, FINE
        )
    for window in range(9, 16):
        packer = zlib.compressobj(9, zlib.DEFLATED, window)
        packed = packer.compress(_rows(16, 4, 24, 0)) + packer.flush()
        yield Case(
            f"png window {window}", SIGNATURE + header(16, 4, 8, 2) + chunk(b"IDAT", packed) + IEND, FINE
        )
    yield Case(
        "png short palette",
        SIGNATURE + header(8, 8, 8, 3) + palette(8, 3) + chunk(b"IDAT", zlib.compress(bytes(72))) + IEND,
        FINE,
    )
    yield Case("png junk after", plain + b"junk" * 1000, FINE)
    yield Case("png without IEND", plain[:-12], FINE)


def _ornaments(plain: bytes) -> Iterator[Case]:
    """Chunks that say nothing about pixels, right and wrong: none may spoil the picture."""
    bomb = zlib.compress(bytes(80_000_000), 9)
    right_crc = {
        "gAMA": b"\0\0\xb1\x8f", "cHRM": bytes(32), "sRGB": b"\0", "sBIT": b"\5\5\5", "bKGD": bytes(6), "pHYs": bytes(9),
        "tIME": b"\x07\xe0\0\0\0\0\0", "tEXt": b"Title\0words", "zTXt": b"Title\0\0" + zlib.compress(b"words"),
        "iTXt": b"Title\0\0\0\0\0w\xc3\xb6rds", "sPLT": b"name\0\x08" + bytes(6), "hIST": bytes(8), "oFFs": bytes(9),
        "iCCP": b"icc\0\0" + zlib.compress(bytes(3000)), "eXIf": b"MM\0*\0\0\0\x08\0\0\0\0\0\0", "vpAg": bytes(9), "cICP": b"\1\x0d\0\1",
    }  # fmt: skip
    wrong = {
        "zTXt bomb": (b"zTXt", b"Title\0\0" + bomb), "iTXt bomb": (b"iTXt", b"Title\0\1\0\0\0" + bomb),
        "iCCP bomb": (b"iCCP", b"icc\0\0" + bomb), "zTXt of an unknown method": (b"zTXt", b"Title\0\x09words"),
        "zTXt broken": (b"zTXt", b"Title\0\0words"), "iCCP broken": (b"iCCP", b"icc\0\0words"),
        "iCCP unknown method": (b"iCCP", b"icc\0\7words"), "iTXt without ends": (b"iTXt", b"Title"), "acTL short": (b"acTL", b"\0"),
        "fcTL alone": (b"fcTL", bytes(26)), "fcTL short": (b"fcTL", b"\0"), "fdAT alone": (b"fdAT", b"\0\0\0\0xxxx"),
        "fcTL out of order": (b"fcTL", struct.pack(">I", 9) + bytes(22)), "exif loop": (b"eXIf", b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0"),
        "exif of nothing": (b"eXIf", b""), "tRNS long": (b"tRNS", bytes(900)), "2 MB of text": (b"tEXt", b"Title\0" + b"x" * 2_000_000),
    }  # fmt: skip
    for name, data in right_crc.items():
        yield Case(f"png {name}", plain[:33] + chunk(name.encode(), data) + plain[33:], FINE)
        yield Case(f"png {name}, empty", plain[:33] + chunk(name.encode(), b"") + plain[33:], FINE)
        yield Case(f"png {name}, twice", plain[:33] + chunk(name.encode(), data) * 2 + plain[33:], FINE)
        bad = chunk(name.encode(), data)[:-1] + b"?"
        yield Case(f"png {name}, bad sum", plain[:33] + bad + plain[33:], FINE)
        yield Case(f"png {name}, behind", plain[:-12] + chunk(name.encode(), data) + plain[-12:], FINE)
    for name, (kind, data) in wrong.items():
        yield Case(f"png {name}", plain[:33] + chunk(kind, data) + plain[33:], FINE)
    yield Case("png 20,000 text chunks", plain[:33] + chunk(b"tEXt", b"a\0b") * 20_000 + plain[33:], FINE)
    lying = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield Case("png acTL lies", plain[:33] + lying + plain[33:], FINE)


def ill() -> Iterator[Case]:
    """Every one of these has something wrong with it, or is beyond what is read."""
    plain = encode(scene(80, 60), "PNG")
    body = pixels(80, 60, 8, 2)
    for name, data in {
        "first byte": b"\x09" + plain[1:], "second byte": b"\x89QNG" + plain[4:], "fourth byte": b"\x89PNg" + plain[4:],
        "seventh byte": plain[:6] + b" " + plain[7:], "CR added": plain.replace(b"\n", b"\r\n"), "LF added": plain.replace(b"\r", b"\r\n"),
        "CR taken": plain.replace(b"\r\n", b"\n"), "high bits taken": bytes(byte & 0x7F for byte in plain),
    }.items():  # fmt: skip
        yield Case(f"png signature: {name}", data, CORRUPT)
    for depth, colours in ((8, 1), (8, 9), (0, 2), (3, 2), (99, 2), (16, 3), (4, 2), (1, 6), (2, 4)):
        data = SIGNATURE + header(80, 60, depth, colours) + palette(8) + chunk(b"IDAT", body) + IEND
        yield Case(f"png depth {depth} type {colours}", data, CORRUPT)
    for methods in ((1, 0, 0), (0, 1, 0), (0, 0, 2)):
        data = SIGNATURE + header(80, 60, 8, 2, *methods) + chunk(b"IDAT", body) + IEND
        yield Case(f"png methods {methods}", data, CORRUPT)
    for name, size, allowed in (
        ("0x0", (0, 0), CORRUPT), ("0 wide", (0, 60), CORRUPT), ("0 high", (80, 0), CORRUPT),
        ("2^31", (2**31 - 1, 2**31 - 1), TOO_MANY), ("2^32", (2**32 - 1, 2**32 - 1), TOO_MANY | CORRUPT),
        ("larger than its data", (800, 600), DAMAGED),
    ):  # fmt: skip
        yield Case(f"png {name}", SIGNATURE + header(*size, 8, 2) + chunk(b"IDAT", body) + IEND, allowed)
    yield Case("png bomb", png_bomb(20000, 20000), TOO_MANY)
    yield Case(
        "png small bomb",
        SIGNATURE + header(8, 8, 8, 2) + chunk(b"IDAT", zlib.compress(bytes(90_000_000), 9)) + IEND,
        FINE | CORRUPT,
    )
    for kind in (b"IHDR", b"IDAT"):
        at = plain.index(kind)
        length = struct.unpack_from(">I", plain, at - 4)[0]
        bad = plain[: at + 4 + length] + b"????" + plain[at + 8 + length :]
        yield Case(f"png {kind.decode()} bad sum", bad, CORRUPT)
        yield Case(f"png {kind.decode()} missing", plain[: at - 4] + plain[at + 8 + length :], CORRUPT)
        far = plain[: at - 4] + b"\x7f\xff\xff\xff" + plain[at:]
        yield Case(f"png {kind.decode()} over-long", far, DAMAGED)
    at = plain.index(b"IDAT")
    yield Case("png pixels, then the header", SIGNATURE + plain[33:-12] + plain[8:33] + IEND, CORRUPT)
    yield Case("png two headers", plain[:33] + plain[8:33] + plain[33:], FINE | CORRUPT)
    yield Case(
        "png without palette",
        SIGNATURE + header(8, 8, 8, 3) + chunk(b"IDAT", zlib.compress(bytes(72))) + IEND,
        CORRUPT,
    )
    for entries in (0, 300):
        table = chunk(b"PLTE", bytes(3 * entries))
        data = SIGNATURE + header(8, 8, 8, 3) + table + chunk(b"IDAT", zlib.compress(bytes(72))) + IEND
        yield Case(f"png palette of {entries}", data, CORRUPT)
    yield Case(
        "png palette of half a colour",
        SIGNATURE
        + header(8, 8, 8, 3)
        + chunk(b"PLTE", b"1234")
        + chunk(b"IDAT", zlib.compress(bytes(72)))
        + IEND,
        CORRUPT,
    )
    wrong = bytearray(body)
    wrong[-1] ^= 1
    yield Case(
        "png bad adler",
        SIGNATURE + header(80, 60, 8, 2) + chunk(b"IDAT", bytes(wrong)) + IEND,
        FINE | CORRUPT,
    )
    yield Case("png no zlib", SIGNATURE + header(80, 60, 8, 2) + chunk(b"IDAT", b"words") + IEND, DAMAGED)
    yield Case(
        "png half its pixels",
        SIGNATURE + header(80, 60, 8, 2) + chunk(b"IDAT", body[: len(body) // 2]) + IEND,
        DAMAGED,
    )
    yield Case(
        "png unknown filter",
        SIGNATURE + header(8, 8, 8, 0) + chunk(b"IDAT", zlib.compress(b"\x09" * 72)) + IEND,
        CORRUPT,
    )
    yield Case("png chunk without name", plain[:33] + b"\0\0\0\0\0\0\0\0\0\0\0\0" + plain[33:], CORRUPT)
    yield Case(
        "png unknown critical chunk",
        plain[:33] + chunk(b"ABCD", b"x") + plain[33:],
        FINE | CORRUPT | UNSUPPORTED,
    )
    yield Case("png by Apple", SIGNATURE + chunk(b"CgBI", b"\x50\0\x20\2") + plain[8:], UNSUPPORTED)
    yield Case("mng", b"\x8aMNG\r\n\x1a\n" + plain[8:], UNSUPPORTED)
    for length in range(9):
        allowed = TRUNCATED | (NO_IMAGE if length < 4 else frozenset())
        yield Case(f"png first {length} bytes", plain[:length], allowed if length else EMPTY)
