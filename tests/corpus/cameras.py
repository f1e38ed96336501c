"""What cameras and photographers write: RAW photos, and pictures with profiles; good, odd and broken."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from tests.corpus.case import DAMAGED, FINE, TOO_MANY, UNSUPPORTED, Case
from tests.support.dng_files import BYTE, LONG, SHORT, dng
from tests.support.icc_profiles import DISPLAY_P3, SRGB, WIDE, cmyk_profile, grey_profile
from tests.support.pictures import chunk, encode, scene

PHOTO = scene(96, 64)
JPEG = encode(PHOTO, "JPEG")
REFUSED = UNSUPPORTED | DAMAGED | TOO_MANY
ODD = FINE | REFUSED
MAKES = (b"NIKON CORPORATION", b"SONY", b"PENTAX", b"SAMSUNG", b"Canon", b"Panasonic", b"")
SIZES = ((0, 0), (1, 1), (65_535, 1), (60_000, 60_000), (2**31, 2), (14_000, 14_000), (97, 64), (96, 65))


def raws() -> Iterator[Case]:
    """Each of these is a RAW photo."""
    for order in "<>":
        for linear in (False, True):
            for name, preview in {
                "none": None,
                "JPEG": JPEG,
                "bitmap": PHOTO,
                "small": PHOTO.resize((16, 12)),
            }.items():
                data = dng(PHOTO, preview, order=order, linear=linear)
                yield Case(f"dng {order} linear={linear} preview {name}", data, FINE)
    for orientation in range(9):
        yield Case(f"dng of orientation {orientation}", dng(PHOTO, JPEG, orientation=orientation), FINE)
    for make in MAKES:
        yield Case(f"raw by {make!r}", dng(PHOTO, JPEG, make=make, more={50706: (SHORT, [])}), ODD)
    for width in (3, 22, 33, 200):  # LibRaw takes what is smaller than 22 for no photo
        yield Case(f"dng {width} wide", dng(scene(width, 30)), FINE if width >= 22 else UNSUPPORTED)


def broken_raws() -> Iterator[Case]:
    """Liars and what is no RAW photo."""
    for across, down in SIZES:
        sizes = {256: (LONG, [across]), 257: (LONG, [down])}
        yield Case(f"dng of {across} x {down}", dng(PHOTO, more=sizes), ODD)
        yield Case(f"dng with a preview of {across} x {down}", dng(PHOTO, PHOTO, more=sizes), ODD)
    for packing in (0, 2, 5, 7, 8, 32767, 34713, 34892, 52546, 65535):
        yield Case(f"dng packed by {packing}", dng(PHOTO, packing=packing), ODD)
        yield Case(f"dng packed by {packing} with a preview", dng(PHOTO, JPEG, packing=packing), ODD)
    for tag in (258, 262, 277, 278, 273, 279, 33421, 33422, 50706, 50721, 50728):
        for values in ([0], [1] * 9, [2**32 - 1]):
            yield Case(f"dng {tag} = {values}", dng(PHOTO, more={tag: (LONG, values)}), ODD)
    for name, preview in {"words": b"no JPEG " * 40, "cut": JPEG[:900], "PNG": encode(PHOTO, "PNG")}.items():
        yield Case(f"dng with {name} for a preview", dng(PHOTO, preview), FINE)
    yield Case("dng whose preview is a bomb", dng(PHOTO, _bomb()), FINE)
    for kind in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0"):
        yield Case(
            f"dng as {kind!r}", kind + dng(PHOTO, JPEG, order=">" if kind[:1] == b"M" else "<")[4:], ODD
        )
    for head in (
        b"II*\0\x10\0\0\0CR\2\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        b"FUJIFILMCCD-RAW 0201FF000001",
    ):
        yield Case(f"only the head {head[:12]!r}", head.ljust(400, b"\0"), REFUSED)
    ring = dng(PHOTO, more={330: (LONG, [8, 8, 8])})
    yield Case("dng with folders in a ring", ring, ODD)
    yield Case("dng with many folders", dng(PHOTO, more={330: (LONG, list(range(8, 4000, 2)))}), ODD)
    yield Case("dng without a version", dng(PHOTO, more={50706: (BYTE, [0, 0, 0, 0])}), ODD)


def _bomb() -> bytes:
    """A JPEG of a few bytes that says that it has 60,000 pixels a side."""
    data = bytearray(JPEG)
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 60_000, 60_000)
    return bytes(data)


def profiles() -> Iterator[Case]:
    """Pictures with profiles, which are shown whatever is wrong with these."""
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "HEIF", "AVIF"):
        for name, profile in {"sRGB": SRGB, **WIDE}.items():
            yield Case(f"{kind} with {name}", encode(PHOTO, kind, icc_profile=profile), FINE)
    for mode, profile in {"CMYK": cmyk_profile(), "L": grey_profile(1.8)}.items():
        for kind in ("JPEG", "TIFF"):
            yield Case(
                f"{kind} {mode} with a profile", encode(PHOTO.convert(mode), kind, icc_profile=profile), FINE
            )
            wrong = encode(PHOTO.convert(mode), kind, icc_profile=DISPLAY_P3)
            yield Case(f"{kind} {mode} with a profile of RGB", wrong, FINE)
    for cut in range(0, 600, 37):
        broken = DISPLAY_P3[:cut] + b"\xff" * 4 + DISPLAY_P3[cut + 4 :]
        yield Case(f"JPEG with a profile broken at {cut}", encode(PHOTO, "JPEG", icc_profile=broken), FINE)
    for cut in range(1, 6000, 499):
        yield Case(
            f"PNG with a profile cut at {cut}", encode(PHOTO, "PNG", icc_profile=DISPLAY_P3[:cut]), FINE
        )
    plain = encode(Image.new("RGB", (40, 40), (9, 99, 200)), "PNG")
    for name in (b"cICP", b"gAMA", b"cHRM", b"iCCP", b"sRGB"):
        for content in (b"", b"\0" * 4, b"\xff" * 4, bytes(range(32)), b"\xff" * 32):
            yield Case(
                f"PNG {name!r} {content[:5]!r} of {len(content)}",
                plain[:33] + chunk(name, content) + plain[33:],
                FINE,
            )
