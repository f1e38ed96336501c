# ruff: noqa: E501
"""TIFFs: every order, layout, depth, colour and packing that one writes; loops, lies and giants."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tests.corpus.case import CORRUPT, DAMAGED, FINE, TOO_MANY, TRUNCATED, UNSUPPORTED, Case
from tests.support.pictures import encode, noise, scene

W, H = 40, 24
ODD = FINE | UNSUPPORTED
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 11: 4, 12: 8, 13: 4, 16: 8}
_CODES = {1: "B", 3: "H", 4: "I", 11: "f", 12: "d", 13: "I", 16: "Q"}

Tags = dict[int, tuple[int, Sequence[Any] | bytes]]


def tiff(
    tags: Mapping[int, tuple[int, Sequence[Any] | bytes]], pieces: Sequence[bytes], *, order: str = "<", big: bool = False,
    tiled: bool = False, next: int = 0, where: Sequence[int] | None = None, lengths: Sequence[int] | None = None,
) -> bytes:  # fmt: skip
    """Lay out one folder of tags, each (type, values), in front of its strips or tiles."""
    start = 16 if big else 8
    offsets = [start + sum(map(len, pieces[:n])) for n in range(len(pieces))]
    all_tags = dict(tags)
    wide = 16 if big else 4
    if pieces or where is not None:
        all_tags[324 if tiled else 273] = (wide, where if where is not None else offsets)
        all_tags[325 if tiled else 279] = (wide, lengths if lengths is not None else [len(p) for p in pieces])
    body = b"".join(pieces)
    body += bytes(len(body) % 2)
    folder = start + len(body)
    entry, field = (20, 8) if big else (12, 4)
    behind = folder + (8 if big else 2) + entry * len(all_tags) + field
    lines, extra = [], b""
    for tag, (kind, values) in sorted(all_tags.items()):
        raw = (
            values
            if isinstance(values, bytes)
            else struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values)
        )
        count = len(raw) // _SIZES[kind]
        if len(raw) > field:
            place = struct.pack(order + ("Q" if big else "I"), behind + len(extra))
            extra += raw + bytes(len(raw) % 2)
        else:
            place = raw.ljust(field, b"\0")
        lines.append(struct.pack(order + "HH" + ("Q" if big else "I"), tag, kind, count) + place)
    mark = b"II" if order == "<" else b"MM"
    if big:
        head = mark + struct.pack(order + "HHHQ", 43, 8, 0, folder)
        table = struct.pack(order + "Q", len(lines)) + b"".join(lines) + struct.pack(order + "Q", next)
    else:
        head = mark + struct.pack(order + "HI", 42, folder)
        table = struct.pack(order + "H", len(lines)) + b"".join(lines) + struct.pack(order + "I", next)
    return head + body + table + extra


def tags(
    width: int = W,
    height: int = H,
    *,
    bits: Sequence[int] = (8,),
    photo: int = 1,
    packing: int = 1,
    **more: Any,
) -> Tags:
    found: Tags = {
        256: (4, [width]), 257: (4, [height]), 258: (3, list(bits)), 259: (3, [packing]), 262: (3, [photo]), 277: (3, [len(bits)]),
        278: (4, [more.pop("rows", height)]),
    }  # fmt: skip
    found |= {int(name[1:]): value for name, value in more.items()}
    return found


def ramp(width: int, height: int, bits: Sequence[int]) -> bytes:
    row = -(-width * sum(bits) // 8)
    return b"".join(bytes((x * 5 + y * 11) % 256 for x in range(row)) for y in range(height))


def packbits(data: bytes) -> bytes:
    parts = (data[at : at + 128] for at in range(0, len(data), 128))
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def lzw(data: bytes) -> bytes:
    """Pack with nine bits a code, cleared before it would need ten."""
    codes = []
    for at in range(0, len(data), 200):
        codes += [256, *data[at : at + 200]]
    text = "".join(f"{code:09b}" for code in [*codes, 257])
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


PACKERS = {1: bytes, 5: lzw, 8: zlib.compress, 32773: packbits, 32946: zlib.compress}
GREYS = {
    "1": ((1,), 1),
    "1 inverted": ((1,), 0),
    "2": ((2,), 1),
    "4": ((4,), 1),
    "8": ((8,), 1),
    "8 inverted": ((8,), 0),
    "16": ((16,), 1),
}
COLOURS = {
    "RGB": ((8, 8, 8), 2),
    "RGB 16": ((16, 16, 16), 2),
    "CMYK": ((8, 8, 8, 8), 5),
    "RGBA": ((8, 8, 8, 8), 2),
}


def well() -> Iterator[Case]:
    """Every one of these is a picture."""
    for order in "<>":
        for big in (False, True):
            for name, (bits, photo) in {**GREYS, **COLOURS}.items():
                data = tiff(tags(bits=bits, photo=photo), [ramp(W, H, bits)], order=order, big=big)
                yield Case(f"tiff {order} big={big} {name}", data, ODD if big and order == ">" else FINE)
    for packing, pack in PACKERS.items():
        for name, (bits, photo) in {**GREYS, **COLOURS}.items():
            raw = ramp(W, H, bits)
            yield Case(
                f"tiff packing {packing} {name}",
                tiff(tags(bits=bits, photo=photo, packing=packing), [pack(raw)]),
                FINE,
            )
        strips = [pack(ramp(W, 5, (8,) * 3))] * 4 + [pack(ramp(W, 4, (8,) * 3))]
        yield Case(
            f"tiff packing {packing}, strips",
            tiff(tags(bits=(8,) * 3, photo=2, packing=packing, rows=5), strips),
            FINE,
        )
        tiles = [pack(ramp(16, 16, (8,) * 3))] * 6
        tiled = tags(bits=(8,) * 3, photo=2, packing=packing, t322=(3, [16]), t323=(3, [16]))
        yield Case(f"tiff packing {packing}, tiles", tiff(tiled, tiles, tiled=True), FINE)
        planes = [pack(ramp(W, H, (8,)))] * 3
        yield Case(
            f"tiff packing {packing}, planes",
            tiff(tags(bits=(8,) * 3, photo=2, packing=packing, t284=(3, [2])), planes),
            FINE,
        )
    image = scene(80, 60)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "I", "I;16", "F"):
        picture = Image.new(mode, (80, 60)) if mode in ("LAB", "I;16") else image.convert(mode)
        for packing in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
            try:
                data = encode(picture, "TIFF", compression=packing)
            except (OSError, RuntimeError, ValueError):
                continue
            # libtiff knows no PackBits of LAB, and says so only when it reads.
            yield Case(f"tiff {mode} {packing}", data, FINE)
    for packing in ("group3", "group4", "tiff_ccitt"):
        yield Case(f"tiff {packing}", encode(image.convert("1"), "TIFF", compression=packing), FINE)
    for packing in ("jpeg", "zstd"):
        yield Case(f"tiff {packing}", encode(image, "TIFF", compression=packing), FINE)
    yield Case("tiff big", encode(image, "TIFF", big_tiff=True), FINE)
    yield Case(
        "tiff of 40 pages",
        encode(image, "TIFF", save_all=True, append_images=[noise(80, 60, n) for n in range(39)]),
        FINE,
    )
    grey = [ramp(W, H, (8,))]
    palette = [(n * 257) % 65536 for n in range(768)]
    yield Case("tiff palette", tiff(tags(photo=3, t320=(3, palette)), grey), FINE)
    yield Case(
        "tiff palette of 16", tiff(tags(bits=(4,), photo=3, t320=(3, palette[:48])), [ramp(W, H, (4,))]), FINE
    )
    for kind, code in ((1, 1), (2, 2)):
        for bits in (8, 16, 32):
            data = tiff(tags(bits=(bits,), t339=(3, [code])), [ramp(W, H, (bits,))])
            yield Case(f"tiff {bits} bits, sample format {kind}", data, FINE)
    values = np.linspace(0, 1, W * H).astype("<f4").tobytes()
    yield Case("tiff float", tiff(tags(bits=(32,), t339=(3, [3])), [values]), FINE)
    odd = np.array([np.nan, np.inf, -np.inf, -1, 1e30, 0] * (W * H // 6), "<f4").tobytes()
    yield Case("tiff float of nan and infinity", tiff(tags(bits=(32,), t339=(3, [3])), [odd]), FINE)
    for orientation in (*range(10), 65535):
        yield Case(f"tiff orientation {orientation}", tiff(tags(t274=(3, [orientation])), grey), FINE)
    for fill in (1, 2):
        yield Case(
            f"tiff fill order {fill}", tiff(tags(bits=(1,), t266=(3, [fill])), [ramp(W, H, (1,))]), FINE
        )
    many = [ramp(W, 1, (8,))] * H
    yield Case("tiff a strip a row", tiff(tags(rows=1), many), FINE)
    yield Case("tiff rows 2^32-1", tiff(tags(rows=2**32 - 1), grey), FINE)
    yield Case("tiff unknown tags", tiff(tags(t65000=(1, b"x" * 9000), t65001=(12, [1.5])), grey), FINE)
    yield Case("tiff of 900,000 odd bytes in a tag", tiff(tags(t34675=(7, bytes(900_000))), grey), FINE)
    yield Case("tiff resolution 0", tiff(tags(t282=(5, bytes(8)), t283=(5, bytes(8))), grey), FINE)
    yield Case("tiff junk after", tiff(tags(), grey) + b"junk" * 99, FINE)
    for extra in (0, 1, 2):
        data = tiff(tags(bits=(8,) * 4, photo=2, t338=(3, [extra])), [ramp(W, H, (8,) * 4)])
        yield Case(f"tiff RGB and a channel of kind {extra}", data, FINE)
    yield Case(
        "tiff predictor",
        tiff(tags(bits=(8,) * 3, photo=2, packing=8, t317=(3, [2])), [zlib.compress(ramp(W, H, (8,) * 3))]),
        FINE,
    )


def ill() -> Iterator[Case]:
    """What few decoders read, and what none does."""
    grey = [ramp(W, H, (8,))]
    for bits in (3, 6, 10, 12, 14, 24, 64):
        for order in "<>":
            yield Case(
                f"tiff grey of {bits} bits {order}",
                tiff(tags(bits=(bits,)), [ramp(W, H, (bits,))], order=order),
                ODD,
            )
    for bits in (1, 2, 4, 10, 12, 14, 24, 32):
        yield Case(
            f"tiff RGB of {bits} bits", tiff(tags(bits=(bits,) * 3, photo=2), [ramp(W, H, (bits,) * 3)]), ODD
        )
    yield Case(
        "tiff grey and alpha of 16 bits",
        tiff(tags(bits=(16, 16), t338=(3, [2])), [ramp(W, H, (16, 16))]),
        ODD,
    )
    yield Case(
        "tiff RGB float", tiff(tags(bits=(32,) * 3, photo=2, t339=(3, [3] * 3)), [ramp(W, H, (32,) * 3)]), ODD
    )
    yield Case("tiff double", tiff(tags(bits=(64,), t339=(3, [3])), [ramp(W, H, (64,))]), ODD)
    yield Case("tiff half", tiff(tags(bits=(16,), t339=(3, [3])), [ramp(W, H, (16,))]), ODD)
    yield Case("tiff complex", tiff(tags(bits=(64,), t339=(3, [6])), [ramp(W, H, (64,))]), ODD)
    yield Case(
        "tiff planes of 16 bits",
        tiff(tags(bits=(16,) * 3, photo=2, t284=(3, [2])), [ramp(W, H, (16,))] * 3),
        FINE,
    )
    yield Case("tiff mixed depths", tiff(tags(bits=(5, 6, 5), photo=2), [ramp(W, H, (16,))]), ODD)
    for photo in (4, 8, 9, 32803, 32844, 32845, 34892, 65535):
        yield Case(
            f"tiff colours {photo}", tiff(tags(bits=(8,) * 3, photo=photo), [ramp(W, H, (8,) * 3)]), ODD
        )
    for packing in (
        0,
        6,
        7,
        9,
        10,
        32766,
        32809,
        32908,
        33003,
        34661,
        34676,
        34677,
        34712,
        34887,
        34892,
        50000,
        50001,
        52546,
        65535,
    ):
        for bits in ((8,), (8,) * 3):
            data = tiff(
                tags(bits=bits, photo=len(bits) - len(bits) // 3, packing=packing), [ramp(W, H, bits)]
            )
            yield Case(f"tiff packing {packing} of {len(bits)}", data, ODD | CORRUPT | TRUNCATED)
    for packing in (2, 3, 4, 5, 8, 32773):
        yield Case(
            f"tiff packing {packing}, words",
            tiff(tags(bits=(1,), packing=packing), [b"these are words " * 40]),
            FINE | DAMAGED,
        )
        yield Case(
            f"tiff packing {packing}, nothing",
            tiff(tags(packing=packing), [b""]),
            FINE | DAMAGED | UNSUPPORTED,
        )
    for name, size, allowed in (
        ("0x0", (0, 0), CORRUPT), ("0 wide", (0, 9), CORRUPT), ("2^31", (2**31, 2**31), TOO_MANY), ("60000^2", (60000, 60000), TOO_MANY),
        ("wider than its data", (4000, H), FINE | DAMAGED),
    ):  # fmt: skip
        yield Case(f"tiff {name}", tiff(tags(*size), grey), allowed)
    for tag in (256, 257):
        less = {key: value for key, value in tags().items() if key != tag}
        yield Case(f"tiff without tag {tag}", tiff(less, grey), CORRUPT)
    for tag in (258, 259, 262, 277, 278):
        less = {key: value for key, value in tags().items() if key != tag}
        yield Case(f"tiff without tag {tag}", tiff(less, grey), ODD | DAMAGED)
    yield Case("tiff without pixels", tiff(tags(), []), CORRUPT | UNSUPPORTED)
    yield Case("tiff pixels far away", tiff(tags(), grey, where=[2**32 - 5]), TRUNCATED)
    yield Case("tiff strip too long", tiff(tags(), grey, lengths=[2**31]), FINE)
    too_long = tiff(tags(packing=8), [zlib.compress(grey[0])], lengths=[2**31])
    yield Case("tiff packed strip too long", too_long, TRUNCATED)
    yield Case("tiff strip too short", tiff(tags(), grey, lengths=[3]), FINE | DAMAGED)
    yield Case("tiff fewer strips than rows", tiff(tags(rows=1), grey), FINE | DAMAGED)
    yield Case("tiff rows 0", tiff(tags(rows=0), grey), FINE | DAMAGED)
    for count in (2, 5, 255, 65535):
        yield Case(
            f"tiff of {count} samples", tiff(tags(t277=(3, [count])), grey), FINE | DAMAGED | UNSUPPORTED
        )
    yield Case("tiff two billion samples", tiff(tags(t277=(4, [2**31])), grey), CORRUPT | UNSUPPORTED)
    for side in (0, 1, 15, 65535, 2**31 - 1):
        tiled = tags(t322=(4, [side]), t323=(4, [side]))
        for packing in (1, 5, 8):
            yield Case(
                f"tiff tiles {side}^2 packing {packing}",
                tiff(tiled | {259: (3, [packing])}, grey, tiled=True),
                FINE | DAMAGED,
            )
    yield from _structures(grey)


def _structures(grey: list[bytes]) -> Iterator[Case]:
    plain = tiff(tags(), grey)
    folder = struct.unpack_from("<I", plain, 4)[0]
    yield Case("tiff folders in a ring", tiff(tags(), grey, next=folder), FINE)
    yield Case("tiff next folder far away", tiff(tags(), grey, next=2**32 - 9), FINE | DAMAGED)
    yield Case("tiff sub folders in a ring", tiff(tags(t330=(4, [folder] * 50)), grey), FINE)
    yield Case("tiff exif in a ring", tiff(tags(t34665=(4, [folder])), grey), FINE)
    for count in (0, 1, 65535):
        data = bytearray(plain)
        struct.pack_into("<H", data, folder, count)
        yield Case(f"tiff of {count} tags", bytes(data), FINE | DAMAGED | UNSUPPORTED)
    for tag_at, name in ((0, "first"), (5, "sixth")):
        for count in (0, 10**6, 2**31, 2**32 - 1):
            data = bytearray(plain)
            struct.pack_into("<I", data, folder + 2 + 12 * tag_at + 4, count)
            yield Case(f"tiff {name} tag of {count} values", bytes(data), FINE | DAMAGED | UNSUPPORTED)
    for kind in (0, 2, 5, 12, 99):
        data = bytearray(plain)
        struct.pack_into("<H", data, folder + 2 + 2, kind)
        yield Case(f"tiff width of type {kind}", bytes(data), DAMAGED | FINE)
    for name, data in {
        "first folder at 0": plain[:4] + bytes(4) + plain[8:], "first folder far away": plain[:4] + b"\xff\xff\xff\xff" + plain[8:],
        "first folder at the end": plain[:4] + struct.pack("<I", len(plain) - 1) + plain[8:], "only its head": plain[:8], "half its head": plain[:5],
        "wrong order": b"MM\0*" + plain[4:], "big of nothing": b"II+\0\x08\0\0\0" + bytes(8), "big, odd offsets": b"II+\0\x04\0\0\0" + bytes(40),
    }.items():  # fmt: skip
        yield Case(f"tiff {name}", data, DAMAGED | UNSUPPORTED)
    yield Case(
        "tiff 2,000,000 strips",
        tiff({**tags(), 273: (4, b"\0" * 8_000_000), 279: (4, b"\0" * 8_000_000)}, []),
        CORRUPT,
    )
    yield Case(
        "tiff a colour map of 3,000,000", tiff(tags(photo=3, t320=(3, b"\0" * 6_000_000)), grey), CORRUPT
    )
    yield Case("tiff 3,000,000 depths", tiff(tags() | {258: (3, b"\x08\0" * 3_000_000)}, grey), CORRUPT)
    yield Case("dng", tiff(tags(t50706=(1, b"\1\4\0\0")), grey), UNSUPPORTED)
    yield Case("nef", tiff(tags(t254=(4, [1]), t330=(4, [8])), grey), UNSUPPORTED)
