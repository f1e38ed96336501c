"""Decode a file into a square, and give every broken file its reason."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from models.images import decode as images
from models.images.decode import UnreadableImage, decode
from models.images.formats import jpeg
from tests.models.images.conftest import SIZE, difference
from tests.support.pictures import FORMATS, chunk, encode, noise, png_bomb, scene


@pytest.mark.filterwarnings(
    "ignore:Corrupt EXIF"
)  # ignored by models.images.decode too, but pytest comes first
def test_exif_that_is_garbage_does_not_spoil_the_picture(plain: images.Pixels) -> None:
    data = encode(scene(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\xff\xff", quality=95)
    assert difference(data, plain) < 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 20000), (20000, 1), (2, 3)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.fault(48)
def test_extreme_shapes_give_a_square(shape: tuple[int, int], kind: str) -> None:
    pixels = decode(encode(Image.new("RGB", shape, (200, 100, 50)), kind), SIZE)
    assert np.abs(pixels.astype(int) - (200, 100, 50)).max() <= 3


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("kind", [*FORMATS, "progressive"])
@pytest.mark.fault(42)
def test_a_file_cut_at_any_tenth_is_truncated(kind: str, tenth: int) -> None:
    data = encode(noise(), "JPEG", progressive=True) if kind == "progressive" else encode(noise(), kind)
    cut = data[: len(data) * tenth // 10]
    assert reason(cut) == ("truncated" if cut else "empty")


@pytest.mark.parametrize("options", [{"compression": "jpeg"}, {"compression": "tiff_lzw"}])
def test_a_compressed_tiff_cut_short_is_truncated(options: dict[str, str]) -> None:
    data = encode(noise(), "TIFF", **options)
    assert {reason(data[: len(data) * tenth // 10]) for tenth in range(1, 10)} == {"truncated"}


@pytest.mark.parametrize("kind", FORMATS)
def test_bytes_after_a_whole_picture_are_ignored(kind: str) -> None:
    data = encode(noise(), kind)
    assert (decode(data + b"Exif trailing \xff\x00 words" * 9, SIZE) == decode(data, SIZE)).all()


def test_a_flipped_bit_in_compressed_pixels_is_corrupt() -> None:
    data = bytearray(encode(noise(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    assert reason(bytes(data)) == "corrupt"


@pytest.mark.parametrize(
    "data",
    [b"plain words", b"<html><svg ></html>", b"PK\x03\x04" + bytes(60), bytes(99), b"BM and more words"],
)
@pytest.mark.fault(43)
def test_a_file_that_is_not_an_image_is_reported_so(data: bytes) -> None:
    assert reason(data) == "not_an_image"


@pytest.mark.fault(45)
def test_a_bomb_is_refused_from_its_header() -> None:
    assert reason(png_bomb(20000, 20000)) == "too_many_pixels"


def test_pillow_sees_no_bomb_and_only_the_decoder_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def spy(kind: str) -> Callable[[io.BytesIO], Image.Image]:
        honest = images._DECODERS[kind]
        return lambda file: opened.append(kind) or honest(file)  # type: ignore[func-returns-value]

    monkeypatch.setattr(images, "_DECODERS", {kind: spy(kind) for kind in FORMATS})
    monkeypatch.setattr(Image, "open", None)
    assert reason(png_bomb(20000, 20000)) == "too_many_pixels"
    assert opened == []
    decode(encode(scene(), "GIF"), SIZE)
    assert opened == ["GIF"]


def test_the_limit_is_the_callers() -> None:
    data = encode(scene(100, 100), "PNG")
    assert decode(data, SIZE, pixel_limit=10_000).any()
    with pytest.raises(UnreadableImage, match="too_many_pixels"):
        decode(data, SIZE, pixel_limit=9_999)


def test_a_large_picture_raises_no_warning_and_is_not_refused_by_pillow() -> None:
    data = png_bomb(14000, 13500)  # 189 megapixels: over both of Pillow's limits, under ours
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Image.open(io.BytesIO(data)) as image:
            assert image.width == 14000
    assert images.read_header(data).width == 14000


def test_pillows_warnings_do_not_leak() -> None:
    script = (
        "import io; from tests.support.pictures import *; from models.images.decode import decode\n"
        "data = encode(scene(), 'TIFF', compression='jpeg')\n"
        "try: decode(data[:len(data) // 2], 32)\n"
        "except Exception as error: print(type(error).__name__)\n"
        "decode(encode(scene(), 'JPEG', exif=b'Exif\\0\\0II*\\0\\x08\\0\\0\\0\\xff\\0'), 32)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("UnreadableImage", "")


def test_only_formats_we_take_are_opened() -> None:
    for kind in ("PPM", "ICO", "TGA", "PCX", "JPEG2000", "EPS", "SGI"):
        assert reason(encode(scene(64, 64), kind)) in {"unsupported", "not_an_image"}


def reason(data: bytes) -> str:
    with pytest.raises(UnreadableImage) as raised:
        decode(data, SIZE)
    assert raised.value.detail
    return raised.value.reason


def test_text_and_profiles_cannot_spoil_a_good_png(plain: images.Pixels) -> None:
    data = encode(scene(), "PNG")
    bomb = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(40_000_000))) + chunk(b"zTXt", b"t\0\0no zlib")
    assert difference(data[:33] + bomb + chunk(b"acTL", b"\0\0\0\1\0\0\0\0") + data[33:], plain) < 0.1


def test_metadata_cannot_spoil_a_good_jpeg(plain: images.Pixels) -> None:
    data = encode(scene(), "JPEG", quality=95)
    broken = b"".join(
        b"\xff%c" % marker + struct.pack(">H", 2 + len(payload)) + payload
        for marker, payload in [
            (0xE0, b"JFIF\0"),
            (0xE2, b"MPF\0MM\0*\xff\xff\xff\xff"),
            (0xED, b"Photoshop 3.0\0"),
        ]
    )
    assert difference(data[:2] + broken + data[2:], plain) < 2
    spoilt = data[:2] + broken + data[2:]
    plain_bytes = jpeg.without_metadata(data, jpeg.read_jpeg(data).segments)
    assert jpeg.without_metadata(spoilt, jpeg.read_jpeg(spoilt).segments) == plain_bytes


def test_a_png_with_a_wrong_check_sum_is_corrupt_though_its_pixels_unpack() -> None:
    data = bytearray(encode(scene(), "PNG"))
    data[-14] ^= 1  # of the last IDAT
    assert reason(bytes(data)) == "corrupt"


def test_what_pillow_cannot_read_is_unsupported_and_not_corrupt() -> None:
    deep = bytearray(encode(scene(), "JPEG"))
    deep[deep.index(b"\xff\xc0") + 4] = 12
    assert reason(bytes(deep)) == "unsupported"
    grey = bytearray(encode(scene().convert("L"), "TIFF"))
    at = grey.index(struct.pack("<HHI", 258, 3, 1))
    struct.pack_into("<H", grey, at + 8, 10)
    assert reason(bytes(grey)) == "unsupported"
