"""A RAW photo shows its preview or, without one that is whole and large enough, what its sensor saw."""

from __future__ import annotations

import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from models.images.colours.code_points import profile_of
from models.images.decode import Pixels, UnreadableImage, decode, fit, read_header
from models.images.headers import Header
from models.images.raw import developing
from models.images.raw.developing import RawPhoto
from models.images.raw.header import has_bitmap
from models.installation import install_command
from tests.support.dng_files import dng
from tests.support.pictures import encode, exif, scene

SIZE = 64
PHOTO = scene(320, 240)
BLUE = Image.new("RGB", (320, 240), (0, 0, 255))


def off(shown: Pixels, wanted: Image.Image) -> float:
    """The mean distance of pixels, in levels of 255."""
    expected = np.asarray(wanted.resize((shown.shape[1], shown.shape[0]), Image.Resampling.BOX))
    return float(np.abs(shown.astype(int) - expected.astype(int)).mean())


def refusal(data: bytes, pixel_limit: int = 10**8) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as raised:
        decode(data, SIZE, pixel_limit)
    assert raised.value.detail
    return raised.value


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["JPEG", "bitmap"])
def test_the_preview_is_shown_and_not_the_sensor(kind: str, order: str) -> None:
    data = dng(BLUE, encode(PHOTO, "JPEG", quality=95) if kind == "JPEG" else PHOTO, order=order)
    assert off(decode(data, SIZE), PHOTO) < 3
    assert off(fit(data, 160), PHOTO) < 3


@pytest.mark.parametrize(
    "preview",
    [None, PHOTO.resize((80, 60)), encode(scene(40, 30), "JPEG"), b"?" * 99, encode(PHOTO, "JPEG")[:2000]],
    ids=["none", "small bitmap", "small JPEG", "garbage", "cut JPEG"],
)  # fmt: skip
@pytest.mark.parametrize("linear", [False, True])
def test_without_a_good_preview_the_sensor_is_developed(
    preview: bytes | Image.Image | None, linear: bool
) -> None:
    grey = Image.fromarray(np.full((240, 320, 3), 128, np.uint8))
    grey.paste((255, 255, 255), (0, 0, 320, 60))
    grey.paste((0, 0, 0), (0, 180, 320, 240))
    assert off(decode(dng(grey, preview, linear=linear), 100), grey) < 4


def test_a_small_preview_of_a_sensor_that_has_no_more_pixels_is_shown() -> None:
    small = scene(60, 40)
    data = dng(BLUE.resize((60, 40)), encode(small, "JPEG", quality=95))
    assert off(decode(data, SIZE), small) < 4


TURNS = ((6, -90), (8, 90), (3, 180))
KINDS = ("JPEG", "bitmap", "none", "says so itself", "upright already")
PREVIEWS = [(kind, *turn) for kind in KINDS for turn in TURNS]
del PREVIEWS[-1]  # whether a picture that is upside down is upright already, its shape does not show


@pytest.mark.parametrize(("preview", "orientation", "turn"), PREVIEWS)
def test_a_raw_photo_is_shown_upright(preview: str, orientation: int, turn: int) -> None:
    upright = PHOTO.rotate(turn, expand=True)
    previews = {
        "JPEG": encode(PHOTO, "JPEG", quality=95), "bitmap": PHOTO, "none": None,
        "upright already": encode(upright, "JPEG", quality=95),
        "says so itself": encode(PHOTO, "JPEG", quality=95, exif=exif(orientation=orientation)),
    }  # fmt: skip
    data = dng(PHOTO, previews[preview], orientation=orientation)
    shown = fit(data, 160)
    assert shown.shape == ((160, 120, 3) if abs(turn) == 90 else (120, 160, 3))
    others = [upright.rotate(180), upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    assert off(shown, upright) < min(20, *(off(shown, other) / 2 for other in others))


def test_large_sensors_are_developed_at_half_of_their_size() -> None:
    with developing.opened(dng(PHOTO), 10**8) as photo:
        assert photo.develop((160, 120)).size == (160, 120)
    with developing.opened(dng(PHOTO), 10**8) as photo:
        assert photo.develop((161, 121)).size == (320, 240)


def test_an_odd_preview_is_no_reason_to_refuse_a_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RawPhoto, "preview", lambda photo, wanted: None)
    assert off(decode(dng(PHOTO, encode(BLUE, "JPEG")), SIZE), PHOTO) < 20


def test_colours_of_the_preview_count_as_its_own_profile_says() -> None:
    wide = Image.new("RGB", (320, 240), (200, 50, 50))
    data = dng(BLUE, encode(wide, "JPEG", quality=95, icc_profile=profile_of(12, 13)))
    assert np.abs(decode(data, SIZE)[5, 5].astype(int) - (218, 24, 40)).max() < 5


HEADERS = [
    (dng(PHOTO, PHOTO.resize((80, 60))), "DNG"),
    (dng(PHOTO, PHOTO, more={50706: (3, [])}, make=b"NIKON CORPORATION"), "NEF"),
    (dng(PHOTO, PHOTO, more={50706: (3, [])}, make=b"SONY"), "ARW"),
    (dng(PHOTO, PHOTO, more={50706: (3, [])}, make=b"PENTAX"), "PEF"),
    (dng(PHOTO, None, more={50706: (3, [])}, make=b"PENTAX"), "PEF"),
    (dng(PHOTO, PHOTO, more={50706: (3, [])}, make=b"SAMSUNG"), "RAW"),
    (b"IIRO" + dng(PHOTO)[4:], "ORF"),
]


@pytest.mark.parametrize(("data", "kind"), HEADERS, ids=[f"{kind}{n}" for n, (_, kind) in enumerate(HEADERS)])
def test_the_header_says_the_kind_and_the_pixels_of_the_sensor(data: bytes, kind: str) -> None:
    header = read_header(data)
    assert (header.format, header.width, header.height) == (kind, 320, 240)


def test_a_tiff_with_a_smaller_copy_of_itself_stays_a_tiff() -> None:
    assert read_header(encode(scene(), "TIFF")).format == "TIFF"
    pages = encode(scene(), "TIFF", save_all=True, append_images=[scene(20, 20)], tiffinfo={271: "NIKON"})
    assert read_header(pages) == Header("TIFF", 160, 120, 2, exif=pages)


def raf(preview: bytes, pixels: bytes) -> bytes:
    """A RAF as far as its header goes."""
    parts = (160, len(preview), 0, 0, 160 + len(preview), len(pixels))
    return (
        b"FUJIFILMCCD-RAW 0201".ljust(0x54, b"\0")
        + struct.pack(">6I", *parts).ljust(76, b"\0")
        + preview
        + pixels
    )


def cr3(pixels: bytes) -> bytes:
    """A CR3 as far as its header goes."""
    taken = encode(scene(8, 8), "JPEG", exif=exif(taken="2023:02:03 04:05:06"))
    tiff = taken[taken.index(b"MM\0*" if b"MM\0*" in taken else b"II*\0") :]
    size = struct.pack("<2sHIHHHIHHHIHHI", b"II", 42, 8, 2, 256, 3, 1, 600, 0, 257, 3 | 1 << 16, 400, 0, 0)
    size = b"II*\0" + struct.pack("<IH", 8, 2) + struct.pack("<HHIHxx", 256, 3, 1, 600)
    size += struct.pack("<HHIHxxI", 257, 3, 1, 400, 0)
    boxes = [box(b"CMT1", size), box(b"CMT2", tiff)]
    return box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", b"".join(boxes)) + box(b"mdat", pixels)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def test_a_raf_says_its_size_and_date_in_its_preview() -> None:
    header = read_header(raf(encode(PHOTO, "JPEG", exif=exif(orientation=6)), bytes(999)))
    assert (header.format, header.width, header.height) == ("RAF", 320, 240)
    assert header.exif[:2] in (b"II", b"MM")


def test_a_cr3_says_its_size_and_date_in_its_boxes() -> None:
    header = read_header(cr3(bytes(999)))
    assert (header.format, header.width, header.height) == ("CR3", 600, 400)
    assert b"2023:02:03" in header.exif


@pytest.mark.parametrize(
    "data", [dng(PHOTO, PHOTO), raf(encode(PHOTO, "JPEG"), bytes(50_000)), cr3(bytes(50_000))],
    ids=["DNG", "RAF", "CR3"],
)  # fmt: skip
@pytest.mark.fault(42)
def test_a_raw_photo_without_its_end_is_truncated_though_its_preview_is_whole(data: bytes) -> None:
    body = data[:-5000] if data[:2] != b"II" else moved_to_the_front(data)[:-5000]
    with pytest.raises(UnreadableImage, match="truncated: the RAW photo lacks"):
        read_header(body)
    assert read_header(data).width


def moved_to_the_front(data: bytes) -> bytes:
    """A DNG whose pixels are its last bytes: those of the sensor once more behind its folders."""
    start = data.index(struct.pack("<HHI", 262, 3, 1) + struct.pack("<I", 32803))
    entry = data.index(struct.pack("<HHI", 273, 4, 1), start)
    (at,) = struct.unpack_from("<I", data, entry + 8)
    moved = bytearray(data)
    struct.pack_into("<I", moved, entry + 8, len(data))
    return bytes(moved) + data[at : at + 320 * 240 * 2]


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.fault(42)
def test_a_raw_photo_that_is_cut_has_a_reason(share: float) -> None:
    data = dng(PHOTO, encode(PHOTO, "JPEG"))
    assert refusal(data[: int(len(data) * share)]).reason in ("truncated", "corrupt")


@pytest.mark.fault(47)
def test_sensors_and_previews_beyond_the_limit_are_refused_before_they_are_unpacked() -> None:
    assert refusal(dng(PHOTO), 320 * 240 - 1).reason == "too_many_pixels"
    with pytest.raises(UnreadableImage, match="on the sensor"), developing.opened(dng(PHOTO), 1000):
        pass
    huge = dng(PHOTO, more={256: (4, [60_000]), 257: (4, [60_000])})
    assert refusal(huge).reason in ("too_many_pixels", "truncated")


@pytest.mark.fault(45)
def test_a_preview_with_more_pixels_than_the_limit_is_not_decoded() -> None:
    data = dng(PHOTO.resize((80, 60)), encode(Image.new("RGB", (900, 700), (0, 0, 255)), "JPEG"))
    assert off(decode(data, SIZE, pixel_limit=10_000), PHOTO) < 20


@pytest.mark.fault(47)
def test_a_bitmap_that_is_smaller_than_it_says_shows_no_bytes_of_other_memory() -> None:
    data = dng(PHOTO, scene(100, 80), more={256: (4, [300]), 257: (4, [200])})
    assert off(decode(data, SIZE), PHOTO) < 20
    assert has_bitmap(dng(PHOTO, scene(100, 80)), 100, 80)
    assert not has_bitmap(data, 300, 200) and not has_bitmap(data, 100, 80)
    assert not has_bitmap(raf(encode(PHOTO, "JPEG"), b""), 100, 80)


def test_a_sensor_of_grey_is_developed() -> None:
    assert off(decode(dng(PHOTO, more={33422: (4, [0])}), SIZE), PHOTO) < 120


JPEG_XL = 52546


def test_what_libraw_does_not_read_is_unsupported_and_its_preview_is_read_all_the_same() -> None:
    refused = refusal(dng(PHOTO, packing=JPEG_XL))
    assert refused.reason == "unsupported" and "LibRaw" in refused.detail
    head = b"II*\0\x10\0\0\0CR\2\0".ljust(16, b"\0") + struct.pack("<HHHII", 2, 256, 4, 1, 9)
    assert refusal(head + struct.pack("<HHII", 257, 4, 1, 9) + bytes(200)).reason == "unsupported"
    assert off(decode(dng(BLUE, PHOTO, packing=JPEG_XL), SIZE), PHOTO) < 4


def test_without_the_extra_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    refused = refusal(dng(PHOTO, encode(PHOTO, "JPEG")))
    assert refused.reason == "unsupported"
    assert install_command(extra="raw") in refused.detail and "pawsort retry" in refused.detail
    monkeypatch.undo()
    assert off(decode(dng(BLUE, encode(PHOTO, "JPEG")), SIZE), PHOTO) < 4


def test_libraw_uses_one_thread_for_a_photo_and_other_libraries_are_not_told() -> None:
    code = (
        "import os, sys; sys.path.insert(0, os.getcwd())\n"
        "from models.images.raw import developing\n"
        "from tests.support.dng_files import dng\n"
        "from tests.support.pictures import scene\n"
        "with developing.opened(dng(scene(800, 600)), 10**8) as photo:\n"
        "    photo.develop((9, 9))\n"
        "print(len(os.listdir('/proc/self/task')), os.environ.get('OMP_NUM_THREADS'))\n"
    )
    environment = {"OPENBLAS_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert ran.stdout.split() == ["1", "None"]
