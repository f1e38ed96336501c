"""What kind of file some bytes are, by their first few and never by a name."""

from __future__ import annotations

import re

_HEIF_BRANDS = {
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"hevm",
    b"hevs",
    b"mif1",
    b"msf1",
    b"mif2",
}
_AVIF_BRANDS = {b"avif", b"avis"}
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)

_FOREIGN = (  # real pictures, documents and films that are not taken, so that the reason can name them
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "an EPS document"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"II*\x00\x10\x00\x00\x00CR", "a Canon RAW photo (CR2)"),
    (b"IIU\x00", "a Panasonic RAW photo (RW2)"),
    (b"IIRO", "an Olympus RAW photo (ORF)"),
    (b"IIRS", "an Olympus RAW photo (ORF)"),
    (b"MMOR", "an Olympus RAW photo (ORF)"),
    (b"FUJIFILMCCD-RAW", "a Fujifilm RAW photo (RAF)"),
    (b"FOVb", "a Sigma RAW photo (X3F)"),
    (b"\x00MRM", "a Minolta RAW photo (MRW)"),
    (b"II\xbc", "a JPEG XR picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\x00\x00\x01\x00", "a Windows icon"),
    (b"icns", "an Apple icon"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance picture"),
    (b"DDS ", "a DirectDraw surface"),
    (b"qoif", "a QOI picture"),
    (b"\x8aMNG", "an MNG animation"),
    (b"AT&TFORM", "a DjVu document"),
    (b"SIMPLE  =", "a FITS picture"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"\x00\x00\x01\xba", "an MPEG video"),
    (b"\x00\x00\x01\xb3", "an MPEG video"),
    (b"FLV\x01", "a Flash video"),
    (b"\x30\x26\xb2\x75", "a Windows Media file"),
    (b"OggS", "an Ogg file"),
    (b"\x01\xda\x00", "an SGI picture"),
    (b"\x01\xda\x01", "an SGI picture"),
    (b"\x59\xa6\x6a\x95", "a Sun raster picture"),
    (b"/* XPM */", "an X pixmap"),
    (b"\x00\x00\x02\x00", "a Windows cursor"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"\x01\x00\x09\x00\x00\x03", "a Windows metafile"),
    (b"\xb1\x68\xde\x3a", "a DCX fax"),
    (b"BLP1", "a Blizzard texture"),
    (b"BLP2", "a Blizzard texture"),
    (b"FTC\x00", "a game's texture (FTEX)"),
    (b"FTU\x00", "a game's texture (FTEX)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"GRIB", "a GRIB file"),
    (b"BUFR", "a BUFR file"),
    (b"DanM", "a Microsoft Paint 1 picture"),
    (b"LinS", "a Microsoft Paint 1 picture"),
    (b"\x80\xe8\x00\x00", "a PIXAR raster picture"),
    (b"\x8bJNG", "a JNG picture"),
    (b"IIII", "a Phase One RAW photo"),
    (b"IIXPR3", "a QuarkXPress document"),
    (b"Image type:", "an IFUNC picture (IM)"),
    (b"PF\n", "a Netpbm picture"),
    (b"Pf\n", "a Netpbm picture"),
    (b"BPG\xfb", "a BPG picture"),
    (b"FLIF", "a FLIF picture"),
    (b"\x13\xab\xa1\x5c", "an ASTC texture"),
    (b"\xabKTX ", "a KTX texture"),
    (b"id=ImageMagick", "an ImageMagick picture (MIFF)"),
    (b"\x00\x00\x01\xb0", "an MPEG video"),
    (b"FWS", "a Flash film"),
    (b"CWS", "a Flash film"),
)

_FOREIGN_AT = (  # the same, of which the first bytes may be any
    (4, b"\x11\xaf", "a FLI animation"),
    (4, b"\x12\xaf", "a FLC animation"),
    (20, b"GIMP", "a GIMP brush"),
    (40, b" EMF", "a Windows metafile"),
    (128, b"DICM", "a DICOM picture"),
    (2048, b"PCD_IPI", "a Kodak Photo CD picture"),
)

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_PCX = re.compile(rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]")


def sniff(data: bytes) -> str | None:
    """Return the format, named as Pillow names it, of a picture that we read; None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _brand(data)
    if foreign(data) is None and data[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "TIFF"
    # Two letters are few: text may begin with them, but not with a known size of header behind.
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return None


_BMP_HEADERS = {12, *range(16, 65), 108, 124}  # OS/2 may end one after any field


def foreign(data: bytes) -> str | None:
    """Name a picture, document or film of a kind that we do not read; None for anything else."""
    for magic, name in _FOREIGN:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp" and _brand(data) is None:
        return "a Canon RAW photo (CR3)" if data[8:11] == b"crx" else "a video"
    if data[4:8] in (b"moov", b"mdat", b"wide"):
        return "a QuickTime video"
    if data[:4] == b"RIFF" and data[8:12] in (b"AVI ", b"WAVE"):
        return "a video or sound file"
    if data[:1] == b"P" and data[1:2] in b"1234567" and data[2:3] in (b"\n", b" ", b"\t", b"\r", b"#"):
        return "a Netpbm picture"
    for at, magic, name in _FOREIGN_AT:
        if data[at : at + len(magic)] == magic:
            return name
    if len(data) >= 128 and _PCX.match(data):
        return "a PCX picture"
    if data[-18:] == b"TRUEVISION-XFILE.\0":
        return "a TGA picture"
    head = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"<") and _SVG.search(head) and b"<html" not in head.lower():
        return "an SVG drawing"
    return None


def _brand(data: bytes) -> str | None:
    size = min(int.from_bytes(data[:4], "big"), 1024)
    brands = {data[8:12]} | {data[at : at + 4] for at in range(16, size, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    # A film may list mif1 among what it is compatible with; what it is comes first.
    return "HEIF" if data[8:12] in _HEIF_BRANDS else None


def is_beginning(data: bytes) -> bool:
    """Tell whether some bytes are too few to be a picture of ours, and begin like one."""
    cut = any(4 <= len(data) < len(magic) and magic.startswith(data) for magic in _SIGNATURES)
    box = data[4:8] == b"ftyp" and len(data) < 12
    return cut or box or data == b"\xff\xd8" or (data[:4] == b"RIFF" and len(data) < 12)
