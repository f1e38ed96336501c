"""HEIF and AVIF: what is decoded is the primary picture, whatever else is in the file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.images.decode import UnreadableImage, decode
from models.images.formats.heif import clean_aperture, plain_avif
from models.images.headers import read_header
from pipeline.classifier.file_checks import examine
from pipeline.settings.sections import LimitSettings
from tests.support.heif_files import aperture, box, still, track
from tests.support.pictures import encode, noise, scene

SIZE = 32
KINDS = ("HEIF", "AVIF")


def reason(data: bytes) -> str:
    try:
        decode(data, SIZE)
    except UnreadableImage as error:
        return error.reason
    return "classified"


def difference(data: bytes, twin: Image.Image) -> float:
    wanted = decode(encode(twin, "PNG"), SIZE).astype(int)
    return float(np.abs(decode(data, SIZE).astype(int) - wanted).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_video_and_sound_do_not_count_as_frames(kind: str) -> None:
    film = box(b"moov", box(b"mvhd", bytes(100)) + track(b"vide", 90) + track(b"soun", 4_000_000_000))
    data = still(scene(), kind, behind=film + box(b"mdat", bytes(500)))
    assert read_header(data).frames == 1
    assert examine(data, LimitSettings())[1].frames == 1
    assert difference(data, scene()) < 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_track_of_pictures_is_a_sequence(kind: str) -> None:
    data = still(
        scene(), kind, behind=box(b"moov", track(b"soun", 999) + track(b"pict", 12) + track(b"auxv", 50))
    )
    assert read_header(data).frames == 12


@pytest.mark.parametrize("kind", KINDS)
def test_a_motion_photo_in_a_box_of_its_own_is_passed_over(kind: str) -> None:
    film = box(b"ftyp", b"mp42" + bytes(8)) + box(b"moov", track(b"soun", 4_000_000_000))
    data = still(scene(), kind, behind=box(b"mpvd", film))
    assert read_header(data).frames == 1
    assert difference(data, scene()) < 3


def test_a_sequence_without_a_still_picture_is_unsupported_and_not_truncated() -> None:
    head = box(b"ftyp", b"hevc" + bytes(4) + b"msf1hevciso8")
    data = head + box(b"moov", track(b"pict", 30)) + box(b"mdat", bytes(3000))
    assert reason(data) == "unsupported"


def test_a_later_edition_of_the_brand_is_a_picture_and_no_video() -> None:
    assert difference(still(scene(), "HEIF", brand=b"mif2"), scene()) < 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codec", [b"unci", b"j2k1", b"vvc1", b"avc1", b"jpeg"])
def test_a_codec_that_is_not_built_in_is_unsupported(kind: str, codec: bytes) -> None:
    assert reason(still(scene(), kind, codec=codec)) == "unsupported"


@pytest.mark.parametrize("brand", [b"mif1", b"heic"])
def test_the_codec_decides_which_decoder_reads_it(brand: bytes) -> None:
    assert difference(still(scene(), "AVIF", brand=brand), scene()) < 3


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_clean_aperture_is_shown(kind: str) -> None:
    # Its middle is 16 pixels left of and 8 above the middle of the picture, which is 160 x 120.
    data = still(scene(), kind, [aperture(96, 64, -16, -8)])
    assert difference(data, scene().crop((16, 20, 112, 84))) < 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("turns", "transpose"), [(1, Image.Transpose.ROTATE_90), (3, Image.Transpose.ROTATE_270)]
)
def test_the_aperture_is_cut_out_before_the_picture_is_turned(
    kind: str, turns: int, transpose: Image.Transpose
) -> None:
    data = still(scene(), kind, [aperture(96, 64, -16, -8), (b"irot", bytes([turns]))])
    assert difference(data, scene().crop((16, 20, 112, 84)).transpose(transpose)) < 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_aperture_is_cut_out_before_the_picture_is_mirrored(kind: str) -> None:
    data = still(scene(), kind, [aperture(96, 64, -16, -8), (b"imir", b"\1")])
    mirrored = scene().crop((16, 20, 112, 84)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert difference(data, mirrored) < 3


@pytest.mark.parametrize(
    "content",
    [
        aperture(400, 64, 0, 0)[1], aperture(96, 64, 900, 0)[1], aperture(0, 0, 0, 0)[1], bytes(32), b"short",
        struct.pack(">IIIIiIiI", 96, 0, 64, 1, 0, 1, 0, 1),
    ],
)  # fmt: skip
def test_an_aperture_that_does_not_fit_is_passed_over(content: bytes) -> None:
    data = still(scene(), "AVIF", [(b"clap", content)])
    assert clean_aperture(data, (160, 120)) is None


def test_an_avif_whose_alpha_has_no_size_shows_its_picture() -> None:
    data = still(scene(), "AVIF", hidden_alpha=True)
    assert difference(data, scene()) < 3


def test_an_avif_whose_parts_overlap_is_not_joined_to_more_than_its_file() -> None:
    data = still(scene(), "AVIF")
    start = data.index(b"iloc") - 4
    one = data[start : start + struct.unpack_from(">I", data, start)[0]]
    assert len(plain_avif(data) or b"") < len(data) + 1_000

    def parts(count: int) -> bytes:
        return box(b"iloc", one[8:20] + struct.pack(">H", count) + struct.pack(">II", 1, 100) * count)

    meta = data.index(b"meta") - 4
    for count in (2, 60_000):
        longer = struct.pack(">I", struct.unpack_from(">I", data, meta)[0] + len(parts(count)) - len(one))
        many = data[:meta] + longer + data[meta + 4 :].replace(one, parts(count))
        assert (plain_avif(many) is None) == (count > 2), count


@pytest.mark.parametrize("kind", KINDS)
def test_a_still_that_is_cut_off_anywhere_is_refused(kind: str) -> None:
    data = still(noise(), kind, [aperture(96, 64, -16, -8)], hidden_alpha=kind == "AVIF")
    assert reason(data) == "classified"
    found = {reason(data[: len(data) * share // 20]) for share in range(1, 20)}
    assert found <= {"truncated", "corrupt", "not_an_image"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("avif_alpha_noispe.avif", "classified"),
        ("avif_star_alpha.avifs", "classified"),
        ("avif_clap.avif", "classified"),
        ("avif_not_implemented.avif", "unsupported"),
        ("heif_unci.heif", "unsupported"),
    ],
)
def test_files_from_public_test_suites(shared_cases: Path, name: str, expected: str) -> None:
    assert reason((shared_cases / "pictures" / name).read_bytes()) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("type_", "value"), [(3, 6), (4, 6), (5, 26), (8, 6), (5, 2**32 - 1), (2, 6)])
def test_a_picture_is_turned_by_its_own_properties_and_not_by_its_exif(
    kind: str, type_: int, value: int
) -> None:
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIIIII", 1, 0x0112, 3, 1, 1, 0, 6, 1)
    data = encode(scene(), kind, exif=block)
    tag = data.find(struct.pack("<HHI", 0x0112, 3, 1))
    if tag < 0:  # an encoder may leave out what it understands
        pytest.skip(f"the {kind} encoder has rewritten the block")
    data = data[:tag] + struct.pack("<HHII", 0x0112, type_, 1, value) + data[tag + 12 :]
    assert difference(data, scene()) < 3
