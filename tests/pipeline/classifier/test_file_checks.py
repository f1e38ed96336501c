"""What may be read, by its headers; and what a file is, by its hash."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from models.images.decode import UnreadableImage, decode
from pipeline.classifier.file_checks import Admitted, Fingerprint, examine, fingerprint
from pipeline.files.safe_open import NotRegularError, leased
from pipeline.settings.sections import LimitSettings
from tests.support.dng_files import dng
from tests.support.pictures import EXIF_FOLDER, FORMATS, chunk, encode, exif, noise, png, png_bomb, scene

LIMITS = LimitSettings()


def refusal(data: bytes, limits: LimitSettings = LIMITS) -> str:
    with pytest.raises(UnreadableImage) as raised:
        examine(data, limits)
    assert raised.value.detail
    return raised.value.reason


def admitted(data: bytes, limits: LimitSettings = LIMITS) -> Admitted:
    return examine(data, limits)[1]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.fault(41)
def test_each_format_is_known_by_its_content(kind: str) -> None:
    assert admitted(encode(scene(), kind)) == Admitted(kind, 160, 120, 1, None)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_frames_are_counted(kind: str) -> None:
    data = encode(scene(), kind, save_all=True, append_images=[noise(seed=1), noise(seed=2)])
    assert admitted(data).frames == 3


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}])
def test_both_kinds_of_plain_webp_tell_their_size(options: dict[str, int]) -> None:
    assert admitted(encode(scene(333, 77), "WEBP", **options)).width == 333
    assert admitted(encode(scene(333, 77).convert("RGBA"), "WEBP", **options)).height == 77


FOREIGN = {
    b"%PDF-1.7\n": "PDF",
    b"8BPS\0\1": "Photoshop",
    b'<?xml version="1.0"?>\n<!-- drawn --><svg xmlns="http://www.w3.org/2000/svg"/>': "SVG",
    b"FOVb\0\0\2\0": "RAW photo (X3F)",
    b"\0\0\0\x18ftypisom\0\0\2\0isommp41": "video",
    b"\x1a\x45\xdf\xa3\x9fB\x86\x81": "video",
    b"\xff\x0a\xfa\x1f": "JPEG XL",
    b"P6 2 2 255 ............": "Netpbm",
}


@pytest.mark.parametrize("head", FOREIGN)
def test_what_is_a_picture_or_document_of_another_kind_is_named(head: bytes) -> None:
    with pytest.raises(UnreadableImage) as raised:
        examine(head.ljust(200, b" "), LIMITS)
    assert raised.value.reason == "unsupported"
    assert FOREIGN[head] in raised.value.detail


@pytest.mark.parametrize("order", "<>")
def test_a_raw_photo_in_a_tiff_is_not_taken_for_its_thumbnail(order: str) -> None:
    data = dng(scene(320, 240), scene(160, 120), order=order, taken="2024:05:06 07:08:09")
    assert admitted(data) == ("DNG", 320, 240, 1, "2024-05-06T07:08:09", "exif_original")


@pytest.mark.parametrize(
    "data", [b"words", b"<!doctype html><p>Hello", b"PK\3\4" + bytes(60), bytes(512), b"\xff"]
)
@pytest.mark.fault(43)
def test_a_file_that_is_not_an_image_is_reported_so(data: bytes) -> None:
    assert refusal(data) == "not_an_image"


def test_nothing_is_empty() -> None:
    assert refusal(b"") == "empty"


@pytest.mark.fault(45)
def test_a_png_bomb_is_refused_and_costs_no_memory() -> None:
    data = png_bomb(20000, 20000)
    assert len(data) < 60_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(data) == "too_many_pixels"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_only_the_decoded_image_counts_towards_the_pixels(kind: str) -> None:
    pages = [noise(100, 100, n) for n in range(9)]
    data = encode(scene(100, 100), kind, save_all=True, append_images=pages)
    assert admitted(data, LimitSettings(megapixels=0.01)).frames == 10
    assert refusal(data, LimitSettings(megapixels=0.0099)) == "too_many_pixels"
    assert decode(data, 32, 10_000).shape == (32, 32, 3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
@pytest.mark.fault(46)
def test_more_frames_than_the_limit_are_refused(kind: str) -> None:
    data = encode(scene(10, 10), kind, save_all=True, append_images=[noise(10, 10, n) for n in range(9)])
    assert admitted(data, LimitSettings(frames=10)).frames == 10
    assert refusal(data, LimitSettings(frames=9)) == "too_many_frames"


def test_a_scan_of_many_large_pages_is_taken_for_its_first_page() -> None:
    page = Image.new("1", (5000, 7000), 1)
    data = encode(page, "TIFF", save_all=True, append_images=[page] * 11, compression="group4")
    assert admitted(data).frames == 12  # 420 megapixels in all
    assert (decode(data, 32) == 255).all()


@pytest.mark.fault(46)
def test_a_gif_of_the_largest_size_is_refused_undecoded() -> None:
    data = bytearray(encode(scene(), "GIF"))
    struct.pack_into("<HH", data, 6, 32767, 32767)
    assert refusal(bytes(data)) == "too_many_pixels"


def test_a_first_frame_that_sticks_out_of_its_gif_counts_and_later_ones_do_not() -> None:
    data = bytearray(encode(scene(), "GIF"))
    at = data.index(b"\x2c\0\0\0\0\xa0\0")
    frame = data[at:-1]
    struct.pack_into("<HH", frame, 5, 65535, 65535)
    assert admitted(bytes(data[:-1] + frame) + b";").frames == 2
    assert decode(bytes(data[:-1] + frame) + b";", 32).any()
    struct.pack_into("<HH", data, at + 5, 65535, 65535)
    assert refusal(bytes(data)) == "too_many_pixels"


def ihdr(width: int, height: int) -> bytes:
    return png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"")


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(encode(scene(), "JPEG"))
    at = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, at + 5, height, width)
    return bytes(data)


@pytest.mark.fault(47)
def test_headers_that_lie_are_refused() -> None:
    assert refusal(ihdr(2**31 - 1, 2**31 - 1)) == "too_many_pixels"
    assert refusal(ihdr(0, 0)) == "corrupt"
    assert refusal(jpeg_of(65535, 65535)) == "too_many_pixels"
    assert refusal(jpeg_of(0, 10)) == "corrupt"


def test_an_animation_has_no_more_frames_than_are_there() -> None:
    data = encode(scene(), "PNG")
    lying = data[:33] + chunk(b"acTL", struct.pack(">II", 2**31, 0)) + data[33:]
    assert admitted(lying).frames == 1


def test_a_tiff_whose_pages_bite_their_tail_is_counted_once() -> None:
    data = bytearray(encode(scene(), "TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    assert admitted(bytes(data)).frames == 1


@pytest.mark.filterwarnings(
    r"ignore::UserWarning:PIL\..*"
)  # models.images.decode does so, but pytest comes first
@pytest.mark.parametrize("kind", FORMATS)
def test_no_cut_and_no_changed_byte_raises_anything_but_unreadable_image(kind: str) -> None:
    data = encode(noise(24, 24), kind, exif=exif(1, "2024:05:01 12:33:44").tobytes())
    for at in range(0, len(data), max(1, len(data) // 150)):
        changed = (data[:at] + byte + data[at + 1 :] for byte in (b"\xff", b"\0"))
        for content in (data[:at], *changed):
            with suppress(UnreadableImage):
                examine(content, LIMITS)


WITH_EXIF = ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"]


@pytest.mark.parametrize("kind", WITH_EXIF)
def test_when_it_was_taken_is_read(kind: str) -> None:
    block = exif(1, "2024:05:01 12:33:44", "+02:00")
    data = encode(scene(), kind, exif=block.tobytes())
    assert admitted(data).taken_at == "2024-05-01T12:33:44+02:00"


@pytest.mark.parametrize("kind", WITH_EXIF)
def test_a_scan_has_the_date_of_its_digitising_or_else_of_its_file(kind: str) -> None:
    block = Image.Exif()
    block[0x0132] = "2003:03:03 03:03:03"
    assert admitted(encode(scene(), kind, exif=block.tobytes())).taken_at == "2003-03-03T03:03:03"
    block[EXIF_FOLDER] = {0x9004: "2002:02:02 02:02:02"}
    assert admitted(encode(scene(), kind, exif=block.tobytes())).taken_at == "2002-02-02T02:02:02"


TAKEN = {
    "2024:05:01 12:33:44\0": "2024-05-01T12:33:44",
    "0000:00:00 00:00:00": None,
    "2024:13:41 99:00:00": None,
    "    :  :     :  :  ": None,
    "yesterday": None,
    "": None,
}


@pytest.mark.parametrize("text", TAKEN)
def test_a_date_is_a_date_or_none(text: str) -> None:
    assert admitted(encode(scene(), "JPEG", exif=exif(1, text).tobytes())).taken_at == TAKEN[text]


def test_an_invalid_offset_is_left_out() -> None:
    block = exif(1, "2024:05:01 12:33:44", "local")
    assert admitted(encode(scene(), "JPEG", exif=block.tobytes())).taken_at == "2024-05-01T12:33:44"


def test_too_many_bytes_are_refused() -> None:
    data = encode(scene(), "PNG")
    assert refusal(data, LimitSettings(file_mb=len(data) / 2e6)) == "too_large"


def test_a_fingerprint_is_the_hash_and_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x" * 3_000_000)
    status = path.stat()
    assert fingerprint(os.fsencode(path), LIMITS) == Fingerprint(
        hashlib.sha256(b"x" * 3_000_000).hexdigest(),
        3_000_000,
        status.st_mtime_ns,
        written_to=False,
    )


def test_a_file_whose_size_is_not_known_is_read_in_large_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    honest = os.read

    def counting(descriptor: int, size: int) -> bytes:
        reads.append(size)
        return honest(descriptor, size)

    monkeypatch.setattr(os, "read", counting)
    print_ = fingerprint(b"/proc/filesystems", LIMITS)  # regular, of 0 bytes by its own account
    assert print_.bytes > 100
    assert min(reads) >= 65536 and len(reads) < 5


def test_a_fingerprint_tells_of_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    with path.open("rb") as file:
        if leased(file.fileno()) is None:
            pytest.skip("this file system knows no leases")
    with path.open("ab"):
        print_ = fingerprint(os.fsencode(path), LIMITS)
    assert print_.written_to


@pytest.mark.fault(31)
def test_a_sparse_terabyte_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    os.truncate(path, 10**12)
    with pytest.raises(UnreadableImage, match=r"^too_large: 1000000000000 bytes; the limit is 200 MB$"):
        fingerprint(os.fsencode(path), LIMITS)


@pytest.mark.fault(32)
def test_an_empty_file_has_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UnreadableImage, match=r"^empty: 0 bytes$"):
        fingerprint(os.fsencode(tmp_path / "a.jpg"), LIMITS)


@pytest.mark.timeout(5)
@pytest.mark.fault(24)
def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImage, match=r"^unreadable: "):
        fingerprint(os.fsencode(tmp_path / "a.jpg"), LIMITS)


@pytest.mark.fault(25)
def test_a_link_has_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("/etc/passwd")
    with pytest.raises(NotRegularError) as raised:
        fingerprint(os.fsencode(tmp_path / "a.jpg"), LIMITS)
    assert raised.value.errno == errno.ELOOP


def test_judging_a_picture_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [encode(scene(), kind, exif=exif(1, "2024:05:01 12:33:44").tobytes()) for kind in FORMATS]

    def loaded(*_: object) -> None:
        raise AssertionError("a decoder saw the bytes")

    monkeypatch.setattr(Image.Image, "load", loaded)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", loaded)
    assert [admitted(data).format for data in pictures] == list(FORMATS)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a exif:DateTimeOriginal="2004-04-04T04:04:04"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "HEIF", "AVIF"])
def test_a_photo_whose_exif_has_no_date_may_have_one_in_xmp(kind: str) -> None:
    block = Image.Exif()
    block[0x010F] = "a camera"
    data = encode(scene(), kind, exif=block.tobytes(), xmp=XMP)
    assert admitted(data)[4:] == ("2004-04-04T04:04:04", "xmp")
    assert admitted(encode(scene(), kind, exif=exif(1, "2001:01:01 01:01:01").tobytes(), xmp=XMP))[4:] == (
        "2001-01-01T01:01:01",
        "exif_original",
    )
