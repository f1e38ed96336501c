# ruff: noqa: E501
"""What a file is, by its content: formats that are not read have their names, and words are no image."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
from PIL import Image

from models.images.formats.errors import UnreadableImage
from models.images.formats.sniff import foreign, sniff
from models.images.headers import read_header
from tests.support.pictures import encode, noise, scene


def verdict(data: bytes) -> tuple[str, str]:
    with pytest.raises(UnreadableImage) as raised:
        read_header(data)
    return raised.value.reason, raised.value.detail


def packets(first: int, length: int, count: int = 8) -> bytes:
    """A transport stream: each packet begins with its mark and is padded."""
    packet = b"\x47\x40\x00\x10".ljust(188, b"\xff")
    if first:
        return (b"\x00\x01\x02\x03" + packet) * count
    return packet.ljust(length, b"\x00") * count


PICT = bytes(512) + struct.pack(">Hhhhh", 900, 0, 0, 60, 80)
SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'
NAMED = {
    "OS/2 bitmap array": b"BA" + struct.pack("<IIHH", 40, 0, 1, 1) + encode(scene(8, 8), "BMP"),
    "OS/2 icon": b"IC"
    + struct.pack("<IhhI", 26, 0, 0, 90)
    + struct.pack("<IHHHH", 12, 32, 64, 1, 1)
    + bytes(99),
    "pointer": b"CP"
    + struct.pack("<IhhI", 26, 0, 0, 90)
    + struct.pack("<IHHHH", 12, 32, 64, 1, 1)
    + bytes(9),
    "without the header": encode(scene(20, 20), "DIB"),
    "PICT": PICT + b"\x00\x11\x02\xff\x0c\x00" + bytes(99),
    "PICT drawing": PICT + b"\x11\x01" + bytes(99),
    "IFF picture": b"FORM\0\0\1\0ILBMBMHD" + bytes(99),
    "IFF": b"FORM\0\0\1\0PBM BMHD" + bytes(99),
    "IFF animation": b"FORM\0\0\1\0ANIMFORM" + bytes(99),
    "SVG": SVG.encode(),
    "SVG drawing, prefixed": f'<svg:svg xmlns:svg="http://www.w3.org/2000/svg">{"<svg:g/>" * 99}</svg:svg>'.encode(),
    "SVG, doctype": (
        '<?xml version="1.0"?>\n<!-- drawn <svg> by hand -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" '
        f'"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [<!ENTITY a "b>c">]>\n{SVG}'
    ).encode(),
    "SVG, long": f"<?xml version='1.0'?><!--{'words ' * 5000}-->{SVG}".encode(),
    "SVG, mark": ("\ufeff" + SVG).encode(),
    "SVG, UTF-16": SVG.encode("utf-16"),
    "SVG, UTF-16 LE": f"<?xml version='1.0'?>{SVG}".encode("utf-16-le"),
    "SVG, UTF-16 BE": ("\ufeff" + SVG).encode("utf-16-be"),
    "SVG, gzip": gzip.compress(SVG.encode()),
    "SVG, capitals": b"<SVG >",
    "MPEG video, TS": packets(0, 188),
    "MPEG video, MTS": packets(4, 192),
    "MPEG video, 204": packets(0, 204),
    "QuickTime": b"\0\0\0\x08free\0\0\1\0mdat" + bytes(99),
    "QuickTime, moof": b"\0\0\0\x18styp" + bytes(99),
    "Windows animated cursor": b"RIFF\0\0\1\0ACONLIST" + bytes(99),
    "CorelDRAW": b"RIFF\0\0\1\0CDR9vrsn" + bytes(99),
    "X bitmap": b"#define x_width 16\n#define x_height 7\nstatic char x_bits[] = {",
    "MXF": b"\x06\x0e\x2b\x34\x02\x05\x01\x01" + bytes(99),
    "H.264": b"\0\0\0\1\x67\x42\0\x1e" + bytes(99),
    "RealMedia": b".RMF\0\0\0\x12" + bytes(99),
    "Flash": b"CWS\x0a\x10\0\0\0\x78\x9c" + bytes(99),
    "CRW": b"II\x1a\0\0\0HEAPCCDR" + bytes(99),
    "Windows icon": encode(scene(32, 32), "ICO"),
    "Windows cursor": b"\0\0\2\0\1\0\x10\x10\0\0\1\0\1\0" + bytes(200),
    "JBIG2": b"\x97JB2\r\n\x1a\n" + bytes(9),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_not_read_has_its_name(name: str) -> None:
    reason, detail = verdict(NAMED[name])
    assert reason == "unsupported"
    assert name.split(",")[0] in detail


def without_footer(mode: str, *, packed: bool, words: bytes = b"") -> bytes:
    image = scene(40, 30).convert(mode)
    data = encode(image, "TGA", compression="tga_rle" if packed else None, id_section=words)
    return data[: -26 if data.endswith(b"TRUEVISION-XFILE.\0") else len(data)]


@pytest.mark.parametrize("words", [b"", b"drawn by hand"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA"])
def test_a_tga_without_a_footer_is_one(mode: str, packed: bool, words: bytes) -> None:
    assert verdict(without_footer(mode, packed=packed, words=words)) == ("unsupported", "a TGA picture")


def test_a_tga_of_16_bits_is_recognised_and_zeros_are_not() -> None:
    data = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 20, 10, 16, 0x21) + bytes(400)
    assert verdict(data) == ("unsupported", "a TGA picture")
    assert verdict(bytes(600))[0] == "not_an_image"
    assert verdict(data[:100])[0] == "unsupported"  # too short for one: it may be a cursor


@pytest.mark.parametrize("offset", [0xAF11, 0xAF12, 0xA5E0])
def test_a_tiff_is_one_wherever_its_first_page_lies(offset: int) -> None:
    """Other formats are known by the same bytes at this place."""
    data = encode(noise(160, 120), "TIFF")
    (first,) = struct.unpack_from("<I", data, 4)
    moved = data[:4] + struct.pack("<I", offset) + data[8:].ljust(offset - 8, b"\0")
    assert sniff(moved + data[first:]) == "TIFF"
    assert sniff(b"II*\0\x10\0\0\0CR\2\0" + bytes(99)) == "RAW"


WORDS = [
    "P1 is the first of the parking levels, P2 the second", "P6 and P5", "Price", "PF 12 is a model", "FWS, agency", "CWS",
    "DDS is a format", "BLP2 words", "GRIB files are distinct", "FORM a circle", "FORMAT: ILBM words", "RIFF and words",
    "icns", "qoif", "8BPS is what it begins with", "DanM", "The free lunch is here", "Thismoov", "BAIC words", "ICs are chips of 40",
    "OggS", "G" * 2000, "AC1015 words", "FLIF", "gimp xcf file", "BPG\ufb01", "<p>svg</p>", "<html><svg></svg></html>",
    "<!doctype html><svg></svg>", "<!-- <svg> --><html>", '<?xml version="1.0"?><a><svg/></a>', '{"svg": "<svg/>"}', "[1, 2]",
    "<svgs/>", "svg", "words <svg>", "#define width 16", "#define x 1\n#define y 2\n", "DKIF", "SIMPLE", "BM (40) words are these",
    "begin 644 cat.gif", "GIF89", "%PD", "%!", "id=Image", "Paint Shop Pro Image File is what it begins with",
]  # fmt: skip


@pytest.mark.fault(43)
@pytest.mark.parametrize("words", WORDS)
def test_text_is_not_an_image_whatever_it_begins_with(words: str) -> None:
    for data in (words.encode(), (words + " and more words\n" * 40).encode()):
        assert foreign(data) is None
        assert sniff(data) is None
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        assert foreign((words + " and more words\n" * 40).encode(encoding)) is None


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "data",
    [b"<!---->" * 9000 + b"<a>", b"<??>" * 9000, b"<!DOCTYPE [" * 6000, b" " * 65000, b"P1" + b"#\n" * 30000, b"<!--" * 16000],
)  # fmt: skip
def test_no_file_makes_sniffing_slow(data: bytes) -> None:
    assert foreign(data) is None


def test_a_bomb_of_gzip_is_not_unpacked() -> None:
    assert foreign(gzip.compress(bytes(50_000_000))) is None


def test_noise_is_not_an_image() -> None:
    for seed in range(200):
        assert foreign(noise(16, 16, seed).tobytes()) is None


def test_a_tga_is_not_called_a_cursor(shared_cases: Path) -> None:
    data = (shared_cases / "pictures/tga_without_footer.tga").read_bytes()
    assert verdict(data) == ("unsupported", "a TGA picture")


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # of a format that Pillow gives up
def test_every_format_that_pillow_writes_and_is_not_read_is_named() -> None:
    Image.init()
    for kind in (
        "PPM",
        "ICO",
        "TGA",
        "PCX",
        "JPEG2000",
        "EPS",
        "SGI",
        "DDS",
        "IM",
        "MSP",
        "QOI",
        "XBM",
        "DIB",
        "ICNS",
    ):
        mode = "1" if kind in ("MSP", "XBM") else "RGB"
        assert foreign(encode(scene(64, 64).convert(mode), kind)), kind
