# ruff: noqa: E501
"""WebP, HEIF and AVIF; and everything in a format that is not read."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator

from PIL import Image

from tests.corpus.case import CORRUPT, DAMAGED, EMPTY, FINE, NO_IMAGE, TOO_MANY, UNSUPPORTED, Case
from tests.support.heif_files import aperture, box, still, track
from tests.support.pictures import FORMATS, encode, exif, noise, scene

FOREIGN = UNSUPPORTED | NO_IMAGE


def riff(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4 if size is None else size) + b"WEBP" + body


def webp() -> Iterator[Case]:
    image = scene(80, 60)
    clear = image.convert("RGBA")
    clear.putalpha(noise(80, 60).convert("L"))
    for name, picture in (
        ("RGB", image),
        ("RGBA", clear),
        ("L", image.convert("L")),
        ("P", image.convert("P")),
    ):
        for options in (
            {"lossless": True},
            {"quality": 0},
            {"quality": 100},
            {"method": 6, "alpha_quality": 10},
            {"exact": True, "lossless": True},
        ):
            yield Case(f"webp {name} {options}", encode(picture, "WEBP", **options), FINE)
    for shape in ((1, 1), (1, 16383), (16383, 1), (7, 9)):
        yield Case(f"webp {shape}", encode(Image.new("RGB", shape, "red"), "WEBP"), FINE)
    for lossless in (False, True):
        frames = [noise(80, 60, n) for n in range(5)]
        animated = encode(image, "WEBP", save_all=True, append_images=frames, lossless=lossless)
        yield Case(f"webp animated lossless={lossless}", animated, FINE)
        plain = encode(image, "WEBP", lossless=lossless)
        kind = plain[12:16]
        payload = plain[20 : 20 + struct.unpack_from("<I", plain, 16)[0]]
        extended = (b"VP8X", b"\0\0\0\0" + (79).to_bytes(3, "little") + (59).to_bytes(3, "little"))
        for chunk_name, data in (
            ("EXIF", exif(6).tobytes()), ("EXIF", b"II*\0" + b"\xff" * 40), ("XMP ", b"<x"), ("ICCP", b"icc"), ("JUNK", bytes(9)), ("ALPH", b"\0"),
        ):  # fmt: skip
            flags = {"EXIF": 8, "XMP ": 4, "ICCP": 32, "ALPH": 16}.get(chunk_name, 0)
            head = (b"VP8X", bytes([flags]) + extended[1][1:])
            ornament = (chunk_name.encode(), data)
            chunks = (
                [head, ornament, (kind, payload)]
                if chunk_name in ("ICCP", "ALPH", "JUNK")
                else [head, (kind, payload), ornament]
            )
            allowed = FINE if chunk_name != "ALPH" else FINE | CORRUPT
            yield Case(f"webp {kind!r} with {chunk_name}, {len(data)} bytes", riff(*chunks), allowed)
        yield Case(f"webp {kind!r} size 0 told", riff((kind, payload), size=0), FINE | DAMAGED)
        yield Case(f"webp {kind!r} size too large told", riff((kind, payload), size=10**6), FINE)
        yield Case(f"webp {kind!r} size too small told", riff((kind, payload), size=30), DAMAGED)
        yield Case(f"webp {kind!r} junk after", plain + b"junk" * 99, FINE)
        lying = (b"VP8X", b"\0\0\0\0" + b"\xff" * 6)
        yield Case(f"webp {kind!r} canvas 2^24", riff(lying, (kind, payload)), TOO_MANY)
        yield Case(
            f"webp {kind!r} canvas of another size",
            riff((b"VP8X", bytes(10)), (kind, payload)),
            FINE | CORRUPT,
        )
        yield Case(f"webp {kind!r} empty", riff((kind, b"")), DAMAGED)
        yield Case(f"webp {kind!r} half", riff((kind, payload[: len(payload) // 2])), DAMAGED | FINE)
    yield Case("webp of nothing", riff(), CORRUPT)
    yield Case(
        "webp animated of nothing", riff((b"VP8X", b"\2\0\0\0" + bytes(6)), (b"ANIM", bytes(6))), CORRUPT
    )
    yield Case("webp unknown chunk only", riff((b"ABCD", b"x" * 50)), CORRUPT)


def heif() -> Iterator[Case]:
    image = scene(80, 60)
    clear = image.convert("RGBA")
    clear.putalpha(noise(80, 60).convert("L"))
    for kind in ("HEIF", "AVIF"):
        for name, picture in (("RGB", image), ("RGBA", clear), ("L", image.convert("L"))):
            for quality in (1, 90):
                yield Case(f"{kind} {name} {quality}", encode(picture, kind, quality=quality), FINE)
        for orientation in (3, 6, 99):
            yield Case(
                f"{kind} orientation {orientation}",
                encode(image, kind, exif=exif(orientation).tobytes()),
                FINE,
            )
        for shape in ((64, 64), (65, 63), (16, 200)):
            yield Case(f"{kind} {shape}", encode(noise(*shape), kind), FINE)
        data = encode(image, kind)
        yield Case(f"{kind} junk after", data + b"junk" * 99, FINE)
        yield Case(
            f"{kind} free box before",
            data[: data.index(b"meta") - 4] + b"\0\0\0\x10free" + bytes(8) + data[data.index(b"meta") - 4 :],
            FINE | DAMAGED,
        )
        at = data.index(b"ispe") + 8
        for size, allowed in (((0, 0), CORRUPT), ((2**31, 2**31), TOO_MANY), ((81, 61), FINE | DAMAGED)):
            yield Case(f"{kind} of {size}", data[:at] + struct.pack(">II", *size) + data[at + 8 :], allowed)
        for part in (b"meta", b"iloc", b"iprp", b"ipco", b"hdlr", b"pitm", b"iinf", b"mdat"):
            spot = data.find(part)
            if spot > 0:
                yield Case(
                    f"{kind} without {part.decode()}",
                    data[:spot] + b"free" + data[spot + 4 :],
                    FINE | DAMAGED,
                )
                for length in (0, 1, 7, 2**32 - 1):
                    lie = data[: spot - 4] + struct.pack(">I", length) + data[spot:]
                    yield Case(f"{kind} {part.decode()} of {length} bytes", lie, FINE | DAMAGED)
        yield Case(f"{kind} only its brand", data[:24], DAMAGED | UNSUPPORTED)
        yield from _built(kind)
    frames = [noise(80, 60, n) for n in range(4)]
    yield Case("AVIF animated", encode(image, "AVIF", save_all=True, append_images=frames), FINE)
    yield Case("HEIF of several", encode(image, "HEIF", save_all=True, append_images=frames), FINE)


def _built(kind: str) -> Iterator[Case]:
    image = scene(80, 60)
    film = box(b"moov", track(b"vide", 90) + track(b"soun", 4_000_000_000)) + box(b"mdat", bytes(99))
    yield Case(f"{kind} film and sound behind", still(image, kind, behind=film), FINE)
    yield Case(f"{kind} film in a box of its own", still(image, kind, behind=box(b"mpvd", film)), FINE)
    for sides in ((40, 30, 0, 0), (80, 60, 0, 0), (999, 1, 0, 0), (40, 30, 99, 0), (0, 0, 0, 0)):
        allowed = FINE if sides[0] in (40, 80) and not sides[2] else FINE | DAMAGED
        yield Case(f"{kind} aperture {sides}", still(image, kind, [aperture(*sides)]), allowed)
    for codec in (b"unci", b"j2k1", b"vvc1", b"\0\0\0\0"):
        yield Case(f"{kind} codec {codec!r}", still(image, kind, codec=codec), UNSUPPORTED)


def foreign() -> Iterator[Case]:
    Image.init()
    image = scene(64, 64)
    for kind in sorted(Image.SAVE):
        if kind in (*FORMATS, "MPO"):
            continue
        for mode in ("1", "L", "P", "RGB", "RGBA"):
            try:
                data = encode(image.convert(mode), kind)
            except Exception:
                continue
            yield Case(f"{kind} {mode}", data, FOREIGN)
    for name, head in {
        "pdf": b"%PDF-1.7\n%\xe2\xe3", "pdf in words": b"%PDF", "postscript": b"%!PS-Adobe-3.0 EPSF", "photoshop": b"8BPS\0\1" + bytes(6) + b"\0\3",
        "gimp": b"gimp xcf v011\0", "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg with head": b'<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg >',
        "svg with mark": b"\xef\xbb\xbf<svg ></svg>",
        "x3f": b"FOVb\0\0\2\0", "mrw": b"\0MRM\0\0\0\0", "mp4": b"\0\0\0\x18ftypmp42\0\0\0\0isommp42",
        "mov": b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "old mov": b"\0\0\0\x08moov", "mkv": b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", "avi": b"RIFF\0\0\1\0AVI LIST",
        "wav": b"RIFF\0\0\1\0WAVEfmt ", "flv": b"FLV\1\5\0\0\0\x09", "wmv": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "mpeg": b"\0\0\1\xba\x21\0\1", "ogg": b"OggS\0\2",
        "dicom": bytes(128) + b"DICM\2\0\0\0UL", "fits": b"SIMPLE  =                    T", "exr": b"\x76\x2f\x31\x01\2\0\0\0", "hdr": b"#?RADIANCE\nFORMAT=",
        "jxl": b"\0\0\0\x0cJXL \r\n\x87\n", "jxl bare": b"\xff\x0a\xfa\x1f", "jxr": b"II\xbc\1\x08\0\0\0", "j2k": b"\xff\x4f\xff\x51\0\x2f", "djvu": b"AT&TFORM\0\0",
        "ico": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0", "cur": b"\0\0\2\0\1\0\x10\x10", "icns": b"icns\0\0\1\0ic07", "dds": b"DDS \x7c\0\0\0", "qoi": b"qoif\0\0\0\x40",
        "pbm": b"P1\n2 2\n1 0 0 1\n", "pam": b"P7\nWIDTH 2\n", "pfm": b"PF\n2 2\n-1.0\n", "sun": b"\x59\xa6\x6a\x95" + bytes(28), "xpm": b"/* XPM */\nstatic",
        "xbm": b"#define x_width 16\n#define", "wmf": b"\xd7\xcd\xc6\x9a" + bytes(20), "emf": b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(9), "fli": b"\0\0\1\0\x11\xaf\1\0",
        "pcx": b"\x0a\5\1\x08" + bytes(140), "sgi": b"\1\xda\0\1\0\3", "tga": b"\0\0\2" + bytes(60) + b"TRUEVISION-XFILE.\0", "psp": b"Paint Shop Pro Image File\n",
        "bpg": b"BPG\xfb\x20", "flif": b"FLIF41", "ktx": b"\xabKTX 20\xbb\r\n\x1a\n", "aseprite": bytes(4) + b"\xe0\xa5", "ani": b"RIFF\0\0\1\0ACONLIST",
    }.items():  # fmt: skip
        yield Case(
            f"foreign {name}",
            head.ljust(300, b"\0") if name not in ("tga", "xbm", "pbm", "svg with mark") else head,
            FOREIGN,
        )
    for kind in ("HEIF", "AVIF"):
        data = encode(image, kind)
        for brand in (b"mp42", b"qt  ", b"zzzz", b"jpeg", b"mif1"):
            other = data[:8] + brand + data[12:]
            yield Case(f"{kind} called {brand.decode()}", other, FINE | UNSUPPORTED | DAMAGED)


def words() -> Iterator[Case]:
    text = "Dear diary, today I met a cät. 猫 and 🐈.\n" * 9
    for encoding in (
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-7",
        "gb18030",
        "punycode",
    ):
        yield Case(f"text in {encoding}", text.encode(encoding), NO_IMAGE)
    for encoding in ("latin-1", "cp437", "ascii", "koi8-r", "shift-jis", "cp037"):
        yield Case(f"text in {encoding}", text.encode(encoding, "replace"), NO_IMAGE)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.jpg", encode(scene(), "JPEG"))
    taped = io.BytesIO()
    with tarfile.open(fileobj=taped, mode="w") as tape:
        tape.addfile(tarfile.TarInfo("a.jpg"))
    for name, data in {
        "html": b"<!doctype html><html><img src=x></html>", "html with svg": b"<html><body><svg ></svg></body></html>", "xml": b"<?xml version='1.0'?><a/>",
        "json": b'{"cat": true}', "csv": b"a,b\n1,2\n", "script": b"#!/bin/sh\nrm -rf /\n", "elf": b"\x7fELF\2\1\1" + bytes(50), "exe": b"MZ\x90\0" + bytes(60),
        "class": b"\xca\xfe\xba\xbe\0\0\0\x34", "zip": packed.getvalue(), "tar": taped.getvalue(), "gzip": b"\x1f\x8b\x08\0" + bytes(20), "xz": b"\xfd7zXZ\0" + bytes(20),
        "rar": b"Rar!\x1a\7\0" + bytes(20), "7z": b"7z\xbc\xaf\x27\x1c" + bytes(20), "sqlite": b"SQLite format 3\0" + bytes(99), "ole": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99),
        "mp3": b"ID3\4\0\0\0\0\0\0" + bytes(99), "ttf": b"\0\1\0\0\0\x0c\0\x80" + bytes(99), "wasm": b"\0asm\1\0\0\0", "pickle": b"\x80\4\x95\0\0\0\0", "zeros": bytes(4096),
        "ones": b"\xff" * 4096, "one byte": b"\xff", "one zero": b"\0", "a letter": b"B", "BM and words": b"BM is not always a picture, as here", "II and words": b"II*nd words",
        "GIF and words": b"GIF is a format", "RIFF and words": b"RIFF and some words behind it", "P and a number": b"Price 5 euros", "words of a PNG": b"PNG\r\n\x1a\n" + bytes(9),
        "base64": b"data:image/png;base64,iVBORw0KGgo=", "json of numbers": b"[" + b"1," * 999 + b"1]", "noise": noise().tobytes(), "mbox": b"From a@b\nSubject: cat\n\n",
    }.items():  # fmt: skip
        yield Case(f"no image: {name}", data, NO_IMAGE)
    yield Case("nothing", b"", EMPTY)
