# ruff: noqa: E501
"""JPEGs: what Pillow writes, and by a small encoder of our own what it does not."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from PIL import Image

from tests.corpus.case import CORRUPT, DAMAGED, FINE, NO_IMAGE, TOO_MANY, TRUNCATED, UNSUPPORTED, Case
from tests.support.pictures import encode, exif, noise, scene

Sampling = Sequence[tuple[int, int]]

# DC differences by Annex K: category -> code; and the one AC code that is used, the end of the block.
_DC_BITS = (0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)
_DC_VALUES = bytes(range(12))
_AC_BITS = (0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


class _Bits:
    def __init__(self) -> None:
        self._text: list[str] = []

    def add(self, value: int, length: int) -> None:
        if length:
            self._text.append(f"{value:0{length}b}")

    def bytes(self) -> bytes:
        text = "".join(self._text)
        text += "1" * (-len(text) % 8)
        raw = int(text or "1" * 8, 2).to_bytes(len(text) // 8 or 1, "big")
        return raw.replace(b"\xff", b"\xff\x00")


def _codes() -> list[tuple[int, int]]:
    codes, code = [], 0
    for length, count in enumerate(_DC_BITS, 1):
        for _ in range(count):
            codes.append((code, length))
            code += 1
        code <<= 1
    return codes


_CODES = _codes()


def _difference(bits: _Bits, value: int) -> None:
    category = abs(value).bit_length()
    bits.add(*_CODES[category])
    bits.add(value if value >= 0 else value + (1 << category) - 1, category)


def flat_blocks(
    width: int, height: int, sampling: Sampling, *, sof: int = 0xC0, precision: int = 8, restart: int = 0
) -> bytes:
    """Encode blocks of one brightness each, with these sampling factors of the components."""
    across, down = 8 * max(h for h, _ in sampling), 8 * max(v for _, v in sampling)
    if len(sampling) == 1:  # whatever its factors, a component alone has its blocks in rows
        across = down = 8
    units = -(-width // across) * -(-height // down)
    components = b"".join(struct.pack("BBB", n + 1, h << 4 | v, 0) for n, (h, v) in enumerate(sampling))
    frame = struct.pack(">BHHB", precision, height, width, len(sampling)) + components
    scan = bytes([len(sampling)]) + b"".join(bytes([n + 1, 0]) for n in range(len(sampling))) + b"\0\x3f\0"
    body, bits, last = b"", _Bits(), [0] * len(sampling)
    for unit in range(units):
        if restart and unit and unit % restart == 0:
            body += bits.bytes() + bytes([0xFF, 0xD0 + (unit // restart - 1) % 8])
            bits, last = _Bits(), [0] * len(sampling)
        for n, (h, v) in enumerate(sampling):
            for block in range(h * v if len(sampling) > 1 else 1):
                level = (unit * 37 + block * 11 + n * 5) % 120 - 60
                _difference(bits, level - last[n])
                last[n] = level
                bits.add(0, 2)
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xDB, b"\0" + bytes([8] * 64)),
            segment(sof, frame),
            segment(0xC4, b"\x00" + bytes(_DC_BITS) + _DC_VALUES),
            segment(0xC4, b"\x10" + bytes(_AC_BITS) + b"\0"),
            segment(0xDD, struct.pack(">H", restart)) if restart else b"",
            segment(0xDA, scan),
            body + bits.bytes(),
            b"\xff\xd9",
        ]
    )


def lossless(width: int, height: int, precision: int = 8) -> bytes:
    """A grey lossless JPEG (SOF3) of predictor 1."""
    bits, first = _Bits(), 1 << (precision - 1)
    rows = [
        [(first if precision > 8 else 0) + (x * 3 + y * 5) % 200 for x in range(width)] for y in range(height)
    ]
    for y, row in enumerate(rows):
        before = rows[y - 1][0] if y else first
        for value in row:
            _difference(bits, value - before)
            before = value
    frame = struct.pack(">BHHB", precision, height, width, 1) + b"\1\x11\0"
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xC3, frame),
            segment(0xC4, b"\x00" + bytes(_DC_BITS) + _DC_VALUES),
            segment(0xDA, b"\1\1\0\1\0\0"),
            bits.bytes(),
            b"\xff\xd9",
        ]
    )


def after(data: bytes, marker: bytes) -> int:
    """Return where the first segment with this marker ends."""
    at = data.index(marker)
    return at + 2 + int(struct.unpack_from(">H", data, at + 2)[0])


def with_segment(data: bytes, marker: int, payload: bytes) -> bytes:
    return data[:2] + segment(marker, payload) + data[2:]


def patched_frame(data: bytes, height: int, width: int) -> bytes:
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def well() -> Iterator[Case]:
    """Every one of these is a picture."""
    image = scene(161, 119)
    for mode in ("L", "RGB", "CMYK", "1"):
        for progressive in (False, True):
            data = encode(image.convert(mode), "JPEG", progressive=progressive)
            yield Case(f"jpeg {mode} progressive={progressive}", data, FINE)
    for subsampling in (0, 1, 2):
        for quality in (1, 50, 100):
            data = encode(image, "JPEG", subsampling=subsampling, quality=quality)
            yield Case(f"jpeg subsampling={subsampling} quality={quality}", data, FINE)
    for options in (
        {"optimize": True}, {"restart_marker_blocks": 1}, {"restart_marker_rows": 1}, {"keep_rgb": True},
        {"smooth": 50}, {"dpi": (0, 0)}, {"comment": b"\xff" * 60000}, {"streamtype": 0},
        {"icc_profile": b"\0" * 300_000}, {"xmp": b"<x" * 9000}, {"restart_marker_blocks": 1, "progressive": True},
    ):  # fmt: skip
        yield Case(f"jpeg {str(options)[:60]}", encode(image, "JPEG", **options), FINE)
    grey: Sampling = [(1, 1)]
    for name, sampling in {
        "grey": grey, "grey 2x2": [(2, 2)], "grey 4x4": [(4, 4)], "4:4:4": [(1, 1)] * 3,
        "4:2:2": [(2, 1), (1, 1), (1, 1)], "4:2:0": [(2, 2), (1, 1), (1, 1)],
        "4:4:0": [(1, 2), (1, 1), (1, 1)], "4:1:1": [(4, 1), (1, 1), (1, 1)],
        "4:1:0": [(4, 2), (1, 1), (1, 1)], "4:4:1": [(1, 4), (1, 1), (1, 1)],
        "odd": [(2, 2), (2, 1), (1, 2)], "chroma finer": [(1, 1), (2, 2), (1, 1)],
        "four channels": [(1, 1)] * 4, "four, halved": [(2, 2), (1, 1), (1, 1), (2, 2)],
    }.items():  # fmt: skip
        for restart in (0, 1, 3):
            yield Case(f"jpeg {name} restart={restart}", flat_blocks(45, 37, sampling, restart=restart), FINE)
    yield Case("jpeg extended SOF1", flat_blocks(40, 40, [(1, 1)] * 3, sof=0xC1), FINE)
    yield Case("jpeg lossless", lossless(40, 30), FINE)
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0")
    for transform in range(3):
        four = flat_blocks(40, 40, [(1, 1)] * 4)
        yield Case(
            f"jpeg YCCK transform {transform}", four[:2] + adobe[:-1] + bytes([transform]) + four[2:], FINE
        )
        three = flat_blocks(40, 40, [(1, 1)] * 3)
        yield Case(
            f"jpeg Adobe transform {transform}", three[:2] + adobe[:-1] + bytes([transform]) + three[2:], FINE
        )
    for shape in ((1, 1), (1, 3000), (3000, 1), (7, 9), (8, 8), (17, 1)):
        yield Case(f"jpeg {shape}", encode(noise(*shape), "JPEG"), FINE)
    yield from _with_metadata(encode(image, "JPEG"))
    yield Case("mpo", encode(image, "MPO", save_all=True, append_images=[noise()]), FINE)


def _with_metadata(data: bytes) -> Iterator[Case]:
    for orientation in (0, 1, 3, 6, 8, 9, 255, 65535):
        tagged = with_segment(data, 0xE1, exif(orientation).tobytes())
        yield Case(f"jpeg orientation {orientation}", tagged, FINE)
    head = b"Exif\0\0"
    loop = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 0x8769, 4, 1, 8) + b"\x08\0\0\0"
    giant = b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + struct.pack(">HHII", 0x0112, 3, 2**32 - 1, 9)
    blocks = {
        "empty": head, "half a header": head + b"II*", "no order": head + b"XX*\0\x08\0\0\0", "loop": head + loop,
        "giant count": head + giant, "far away": head + b"MM\0*\xff\xff\xff\xff", "65535 tags": head + b"MM\0*\0\0\0\x08\xff\xff",
        "text as orientation": head + b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x0112, 2, 4, 0x36) + bytes(4),
        "zero rational": head + b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x011A, 5, 1, 26) + bytes(12),
        "xmp": b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation=\"99999999999999\"/>",
        "xmp bomb": b"http://ns.adobe.com/xap/1.0/\0<!DOCTYPE x [<!ENTITY a \"b\">]>",
    }  # fmt: skip
    for name, block in blocks.items():
        yield Case(f"jpeg exif {name}", with_segment(data, 0xE1, block), FINE)
    yield Case("jpeg 40 exif blocks", data[:2] + segment(0xE1, head + loop) * 40 + data[2:], FINE)
    others = {
        "bad mpf": (0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1\xb0\1\0\4\0\0\0\1\0\0\0\x09"), "mpf of nothing": (0xE2, b"MPF\0"),
        "icc part 9 of 3": (0xE2, b"ICC_PROFILE\0\x09\x03" + bytes(200)), "icc of nothing": (0xE2, b"ICC_PROFILE\0"),
        "half a photoshop block": (0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\xff\xff"),
        "flashpix": (0xE2, b"FPXR\0" + bytes(40)), "jfif without rest": (0xE0, b"JFIF\0"),
        "jfif zero density": (0xE0, b"JFIF\0\1\1\1\0\0\0\0\0\0"), "jfif thumbnail missing": (0xE0, b"JFIF\0\1\1\0\0\1\0\1\xff\xff"),
        "app15": (0xEF, bytes(60000)), "comment": (0xFE, b"\0\xff\xd9\0"), "end marker in a comment": (0xFE, b"\xff\xd9" * 99),
    }  # fmt: skip
    for name, (marker, payload) in others.items():
        yield Case(f"jpeg {name}", with_segment(data, marker, payload), FINE)
    yield Case("jpeg fill bytes", data[:2] + b"\xff" * 500 + data[2:], FINE)
    yield Case("jpeg junk between segments", data[:20] + b"junk \xff\0 junk" + data[20:], FINE)
    yield Case("jpeg without end marker", data[:-2], FINE)
    yield Case("jpeg, zeros for its end marker", data[:-2] + bytes(999), FINE)
    yield Case("jpeg junk after", data + b"\xff\xd8\xff junk" * 100, FINE)
    yield Case("jpeg twice", data + data, FINE)
    thumbnail = encode(scene(16, 16), "JPEG")
    yield Case("jpeg thumbnail", with_segment(data, 0xE1, head + b"II*\0" + thumbnail), FINE)


def ill() -> Iterator[Case]:
    """Every one of these has something wrong with it, or is beyond what is read."""
    data = encode(scene(161, 119), "JPEG")
    scan = data.index(b"\xff\xda")
    for bits in (12, 16):
        deep = flat_blocks(40, 40, [(1, 1)], sof=0xC1, precision=bits)
        yield Case(f"jpeg of {bits} bits", deep, UNSUPPORTED)
    yield Case("jpeg lossless 12 bits", lossless(40, 30, 12), UNSUPPORTED)
    for sof in (0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7):
        yield Case(f"jpeg SOF {sof:x}", flat_blocks(40, 40, [(1, 1)], sof=sof), UNSUPPORTED)
    for sof in (0xC9, 0xCA):
        yield Case(
            f"jpeg arithmetic {sof:x}, no data", flat_blocks(40, 40, [(1, 1)], sof=sof), FINE | DAMAGED
        )
    for count in (2, 5):
        yield Case(f"jpeg of {count} channels", flat_blocks(40, 40, [(1, 1)] * count), UNSUPPORTED | CORRUPT)
    for name, size, allowed in (
        ("0x0", (0, 0), CORRUPT), ("0 wide", (9, 0), CORRUPT), ("0 high", (0, 9), CORRUPT),
        ("65535^2", (65535, 65535), TOO_MANY), ("65500^2", (65500, 65500), TOO_MANY),
        ("larger than its data", (1000, 1000), FINE | DAMAGED),
    ):  # fmt: skip
        yield Case(f"jpeg {name}", patched_frame(data, *size), allowed)
    half = data[: len(data) // 2]
    yield Case("jpeg half, then zeros", half + bytes(len(data) // 2), TRUNCATED)
    yield Case("jpeg half, then zeros, closed", half + bytes(len(data) // 2) + b"\xff\xd9", DAMAGED)
    yield Case("jpeg junk before", b"junk" + data, NO_IMAGE)
    yield Case(
        "jpeg two frames", data[:scan] + data[data.index(b"\xff\xc0") : scan] + data[scan:], FINE | CORRUPT
    )
    yield Case("jpeg without tables", data[:2] + data[data.index(b"\xff\xc0") :], FINE | CORRUPT)
    yield Case("jpeg without huffman", data[: data.index(b"\xff\xc4")] + data[scan:], FINE | CORRUPT)
    yield Case(
        "jpeg without frame", data[: data.index(b"\xff\xc0")] + data[after(data, b"\xff\xc0") :], CORRUPT
    )
    yield Case("jpeg without scan", data[:scan] + b"\xff\xd9", CORRUPT)
    yield Case("jpeg only markers", b"\xff\xd8\xff\xd9", NO_IMAGE | CORRUPT)
    yield Case("jpeg begins", b"\xff\xd8", TRUNCATED)
    yield Case("jpeg begins, too", b"\xff\xd8\xff", TRUNCATED)
    yield Case("jpeg empty scan", data[: after(data, b"\xff\xda")] + b"\xff\xd9", FINE | DAMAGED)
    yield Case(
        "jpeg bad huffman",
        data.replace(b"\xff\xc4", b"\xff\xc4\0\x13\0" + b"\xff" * 16 + b"\xff\xc4", 1),
        CORRUPT,
    )
    yield Case("jpeg segment of length 0", data[:2] + b"\xff\xe1\0\0" + data[2:], FINE | DAMAGED)
    yield Case(
        "jpeg quantisers of 0",
        data.replace(data[data.index(b"\xff\xdb") + 5 :][:64], bytes(64)),
        FINE | CORRUPT,
    )
    yield Case("jpeg xl", b"\xff\x0a" + bytes(99), UNSUPPORTED)
    yield Case("jpeg 2000", encode(scene(), "JPEG2000"), UNSUPPORTED)
    progressive = encode(noise(161, 119), "JPEG", progressive=True)
    cut = progressive[: len(progressive) * 3 // 4]
    yield Case("jpeg progressive, some scans", cut, TRUNCATED)
    yield Case("jpeg progressive, some scans, closed", cut + b"\xff\xd9", DAMAGED)
    yield from _half_pictures()
    yield Case("jpeg hundreds of scans", _many_scans(300), FINE | DAMAGED)


def _half_pictures() -> Iterator[Case]:
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}):
        for mode in ("RGB", "L", "CMYK"):
            data = encode(noise(320, 240).convert(mode), "JPEG", **options)
            middle, end = len(data) // 2, len(data) * 3 // 4
            holes = {"gap": b"", "zeros": bytes(end - middle), "ones": b"\xff" * (end - middle)}
            name = f"jpeg {mode} {options}"
            yield Case(f"{name}, half, closed", data[:middle] + b"\xff\xd9", TRUNCATED)
            for what, hole in holes.items():
                yield Case(f"{name}, {what} in the middle", data[:middle] + hole + data[end:], DAMAGED)


def _many_scans(count: int) -> bytes:
    data = encode(Image.new("L", (64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + b"\xff\xd9"
