"""A JPEG is judged by how much of its picture was decoded, and not by the markers at its end."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from models.images.decode import UnreadableImage, decode
from tests.corpus.jpegs import flat_blocks, lossless, segment
from tests.support.pictures import encode, exif, noise, scene

SIZE = 64
END = b"\xff\xd9"

KINDS = {
    "baseline": {},
    "fine": {"quality": 95, "subsampling": 0},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts by block": {"restart_marker_blocks": 1},
    "restarts by row": {"restart_marker_rows": 1},
    "few restarts": {"restart_marker_blocks": 97},
    "progressive, restarts": {"progressive": True, "restart_marker_rows": 1},
}


def photo(width: int = 400, height: int = 300) -> Image.Image:
    """A scene with detail everywhere, as photos have."""
    grain = noise(width, height).filter(ImageFilter.GaussianBlur(1.5))
    return Image.blend(scene(width, height), grain, 0.5)


def jpeg(kind: str, mode: str = "RGB") -> bytes:
    return encode(photo().convert(mode), "JPEG", **KINDS[kind])


def reason(data: bytes) -> str:
    try:
        decode(data, SIZE)
    except UnreadableImage as error:
        return error.reason
    return "classified"


def scan_start(data: bytes) -> int:
    """Return where the data of the first scan begin."""
    at = data.index(b"\xff\xda")
    return at + 2 + int(struct.unpack_from(">H", data, at + 2)[0])


def place(data: bytes, share: float) -> int:
    start = scan_start(data)
    return start + int((len(data) - 2 - start) * share)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_lacks_only_its_end_marker_is_whole(kind: str, mode: str) -> None:
    data = jpeg(kind, mode)
    whole = decode(data, SIZE)
    for behind in (b"", b"\0" * 3000, b"\0" * 3000 + END, END + data, END + b"\xff\xd8\xff garbage" * 99):
        assert (decode(data[:-2] + behind, SIZE) == whole).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.fault(42)
def test_an_end_marker_does_not_make_half_a_picture_whole(kind: str, mode: str) -> None:
    data = jpeg(kind, mode)
    for share in (0.05, 0.2, 0.4, 0.6, 0.8, 0.94):
        cut = data[: place(data, share)]
        for behind in (b"", END, END + data):
            assert reason(cut + behind) == "truncated", (share, behind[:4])


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_zeros_is_corrupt(kind: str, mode: str) -> None:
    data = jpeg(kind, mode)
    for first, last in ((0.1, 0.5), (0.3, 0.4), (0.4, 0.9)):
        start, end = place(data, first), place(data, last)
        assert reason(data[:start] + bytes(end - start) + data[end:]) == "corrupt", (first, last)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_never_filled_is_refused(kind: str) -> None:
    data = jpeg(kind)
    half = data[: place(data, 0.5)]
    zeros = bytes(len(data) - len(half))
    assert {reason(half + zeros), reason(half + zeros + END)} <= {"truncated", "corrupt"}


@pytest.mark.parametrize("kind", KINDS)
def test_other_bytes_in_place_of_data_and_missing_ones_are_noticed(kind: str) -> None:
    data = jpeg(kind)
    start, end = place(data, 0.3), place(data, 0.6)
    random = np.random.default_rng(3).bytes(end - start)
    for middle in (b"", b"\xff" * (end - start), random):
        assert reason(data[:start] + middle + data[end:]) in ("truncated", "corrupt"), middle[:4]


@pytest.mark.parametrize(
    "kind", ["baseline", "fine"]
)  # data run out before the last block; some are left over
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_other_bytes_within_the_data_are_mostly_noticed_though_no_marker_is_broken(
    kind: str, mode: str
) -> None:
    data, found = jpeg(kind, mode), []
    for seed in range(10):
        start, end = place(data, 0.05 * seed), place(data, 0.05 * seed + 0.2)
        middle = np.random.default_rng(seed).integers(0, 255, end - start, dtype=np.uint8).tobytes()
        found.append(reason(data[:start] + middle + data[end:]))
    assert found.count("classified") <= 2, found


@pytest.mark.parametrize(("kind", "mode"), [("baseline", "RGB"), ("fine", "CMYK"), ("few restarts", "L")])
def test_data_that_cameras_append_is_accepted(kind: str, mode: str) -> None:
    data = jpeg(kind, mode)
    whole = decode(data, SIZE)
    for extra in (b"\x55" * 40, np.random.default_rng(5).integers(1, 255, 400, dtype=np.uint8).tobytes()):
        assert (decode(data[:-2] + extra + END, SIZE) == whole).all()


@pytest.mark.parametrize("kind", ["baseline", "progressive", "few restarts"])
def test_the_last_few_bytes_of_a_picture_may_be_missing(kind: str) -> None:
    data = jpeg(kind)
    assert reason(data[:-3]) == reason(data[:-4] + END) == "classified"


def test_one_lost_row_of_a_hundred_is_tolerated_and_five_are_not() -> None:
    data = encode(photo(160, 1600), "JPEG", subsampling=0)
    assert reason(data[: place(data, 0.993)] + END) == "classified"
    assert reason(data[: place(data, 0.95)] + END) == "truncated"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colour", ["white", "black", "grey", "red"])
def test_a_picture_of_one_colour_is_whole_whatever_its_bits_look_like(kind: str, colour: str) -> None:
    data = encode(Image.new("RGB", (1600, 1200), colour), "JPEG", **{"optimize": True} | KINDS[kind])
    assert reason(data) == reason(data[:-2]) == "classified"


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_with_a_plain_half_is_whole(kind: str) -> None:
    for top in (0, 600):
        image = Image.new("RGB", (800, 1200), (128, 128, 128))
        image.paste(photo(800, 600), (0, top))
        data = encode(image, "JPEG", **{"optimize": True} | KINDS[kind])
        assert reason(data) == reason(data[:-2]) == "classified"


def test_restart_markers_that_are_missing_or_doubled_are_noticed_when_they_are_many() -> None:
    data = jpeg("restarts by block")
    start = scan_start(data)
    one = data.index(b"\xff\xd3", start)
    assert reason(data[:one] + data[one + 2 :]) == "classified"
    assert reason(data[:start] + data[start:].replace(b"\xff\xd3", b"")) in ("truncated", "corrupt")
    doubled = data[start:].replace(b"\xff\xd3", b"\xff\xd3\xff\xd3")
    assert reason(data[:start] + doubled) in ("truncated", "corrupt")
    rows = jpeg("restarts by row")
    fourth = rows.index(b"\xff\xd3", start)
    assert reason(rows[:fourth] + rows[fourth : fourth + 2] * 9 + rows[fourth:]) == "corrupt"


@pytest.mark.fault(42)
def test_scans_that_never_came_are_noticed() -> None:
    data = jpeg("progressive")
    scans = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    for scan in scans[1:]:
        tables = data.rfind(b"\xff\xc4", 0, scan)
        assert reason(data[: max(tables, scan - 60)] + END) in ("truncated", "corrupt")
        assert reason(data[:scan] + END) == "truncated"


def test_one_colour_by_one_scan_is_whole_only_with_all_of_them() -> None:
    image = encode(photo(), "JPEG", progressive=True, quality=60)
    first = image.index(b"\xff\xda")
    assert image[first + 4] == 3, "the first scan has all three"
    blocks = flat_blocks(400, 300, [(1, 1)])
    frame = blocks.index(b"\xff\xc0")
    three = b"\1\x11\0\2\x11\0\3\x11\0"
    head = blocks[:frame] + segment(0xC0, blocks[frame + 4 : frame + 9] + b"\3" + three)
    tables = blocks[blocks.index(b"\xff\xc4") : blocks.index(b"\xff\xda")]
    body = blocks[scan_start(blocks) : -2]
    scans = [segment(0xDA, bytes([1, n, 0, 0, 63, 0])) + body for n in (1, 2, 3)]
    assert reason(head + tables + b"".join(scans) + END) == "classified"
    assert reason(head + tables + b"".join(scans)) == "classified"
    assert reason(head + tables + b"".join(scans[:2]) + END) == "truncated"
    assert reason(head + tables + scans[0] + scans[1][:-400] + scans[2] + END) == "corrupt"


def test_a_thumbnail_with_an_end_marker_of_its_own_proves_nothing() -> None:
    data = jpeg("baseline")
    thumbnail = segment(0xE1, b"Exif\0\0" + exif(1).tobytes() + encode(scene(16, 16), "JPEG"))
    tagged = data[:2] + thumbnail + data[2:]
    assert reason(tagged) == "classified"
    assert reason(tagged[: place(tagged, 0.5)]) == "truncated"


@pytest.mark.parametrize("sof", [0xC9, 0xCA])
def test_a_jpeg_of_arithmetic_coding_without_data_is_refused(sof: int) -> None:
    empty = flat_blocks(400, 400, [(1, 1)], sof=sof)
    assert reason(empty[: scan_start(empty)] + END) in ("truncated", "corrupt")


def test_a_lossless_jpeg_has_the_same_answer_at_any_size() -> None:
    for width, height in ((40, 30), (700, 500)):
        data = lossless(width, height)
        assert {decode(data, size).shape for size in (16, 64, 224, 256)} == {
            (size, size, 3) for size in (16, 64, 224, 256)
        }
        assert reason(data[: len(data) // 2] + END) == "truncated"


def test_a_large_lossless_jpeg_looks_like_its_reduced_copy() -> None:
    data = lossless(700, 500)
    twin = encode(Image.open(io.BytesIO(data)), "PNG")
    assert (decode(data, SIZE) == decode(twin, SIZE)).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jpeg_whole_without_eoi.jpg", "classified"),
        ("jpeg_zero_hole.jpg", "corrupt"),
        ("jpeg_cut_with_eoi.jpg", "truncated"),
        ("jpeg_lossless_large.jpg", "classified"),
    ],
)
def test_files_from_public_test_suites(shared_cases: Path, name: str, expected: str) -> None:
    data = (shared_cases / "pictures" / name).read_bytes()
    assert reason(data) == expected


def test_a_height_that_is_said_behind_the_pixels_is_unsupported() -> None:
    data = jpeg("baseline")
    at = data.index(b"\xff\xc0")
    later = data[: at + 5] + b"\0\0" + data[at + 7 : -2] + b"\xff\xdc\0\4\1\x2c" + END
    assert reason(later) == "unsupported"
    assert reason(data[:-2] + b"\xff\xdc\0\4\1\x2c" + END) == "classified", "told twice"


@pytest.mark.timeout(20)
def test_many_scans_of_zeros_take_no_long_time() -> None:
    data = encode(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    assert reason(data[:-2] + data[last:-2] * 300 + END) in ("classified", "corrupt")


@pytest.mark.parametrize("kind", ["progressive", "few restarts"])
def test_data_that_belong_to_no_block_tell_of_damage_within_a_picture_and_not_at_its_end(kind: str) -> None:
    data = jpeg(kind)
    start = scan_start(data)
    extra = np.random.default_rng(5).integers(1, 255, 3000, dtype=np.uint8).tobytes()
    inner = next(at for at in range(start, len(data)) if data[at] == 0xFF and data[at + 1] != 0)
    assert reason(data[:inner] + extra + data[inner:]) == "corrupt"
    assert reason(data[:-2] + extra + END) == "classified"


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_progressive_jpeg_without_one_of_its_scans_is_refused(mode: str) -> None:
    data = jpeg("progressive", mode)
    scans = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    marks = (b"\xff\xc4", b"\xff\xda", END)
    ends = [min(at for mark in marks if (at := data.find(mark, scan + 2)) > 0) for scan in scans]
    for scan, end in zip(scans, ends, strict=True):
        assert reason(data[:scan] + data[end:]) in ("truncated", "corrupt"), data[scan : scan + 14]
