"""The decode: every format and mode gives the pixels of its plain twin, and every broken file a reason."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from models.images import decode as images
from models.images import resize, zero_runs
from models.images.decode import UnreadableImage, decode
from models.images.formats import jpeg
from models.images.memory_budget import WeightedSemaphore
from tests.corpus.case import FINE, Case
from tests.corpus.judge import judge
from tests.corpus.others import riff
from tests.support.pictures import FORMATS, chunk, encode, exif, noise, png, png_bomb, scene

SIZE = 32
Twin = Callable[[Image.Image], bytes]


@pytest.fixture(scope="module")
def plain() -> images.Pixels:
    return decode(encode(scene(), "PNG"), SIZE)


def difference(data: bytes, twin: images.Pixels) -> float:
    pixels = decode(data, SIZE)
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8
    return float(np.abs(pixels.astype(int) - twin.astype(int)).mean())


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.fault(49)
def test_each_format_shows_the_same_picture(kind: str, plain: images.Pixels) -> None:
    palette = 6.0 if kind == "GIF" else 2.5
    assert difference(encode(scene(), kind), plain) < palette


def _sixteen_bit_png(image: Image.Image) -> bytes:
    rows = (np.asarray(image).astype(">u2") * 257).reshape(image.height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(struct.pack(">IIBBBBB", image.width, image.height, 16, 2, 0, 0, 0), zlib.compress(raw))


def _adobe_cmyk(image: Image.Image) -> bytes:
    data = encode(image.convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data[:200], "Pillow writes CMYK the way Adobe does: inverted"
    return data


def _plain_cmyk(image: Image.Image) -> bytes:
    inverted = Image.merge("CMYK", [band.point(lambda v: 255 - v) for band in image.convert("CMYK").split()])
    data = encode(inverted, "JPEG", quality=95)
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + struct.unpack_from(">H", data, start + 2)[0] :]


def _lab(image: Image.Image) -> bytes:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    return encode(ImageCms.applyTransform(image, transform), "TIFF")  # type: ignore[arg-type]


COLOURED: dict[str, tuple[Twin, float]] = {
    "progressive": (lambda i: encode(i, "JPEG", progressive=True, quality=95), 2),
    "interlaced": (lambda i: encode(i, "PNG", interlace=1), 0.1),
    "RGBA, opaque": (lambda i: encode(i.convert("RGBA"), "PNG"), 0.6),
    "palette": (lambda i: encode(i.quantize(256), "PNG"), 6),
    "palette with transparency": (lambda i: encode(i.quantize(255), "PNG", transparency=255), 6),
    "CMYK JPEG by Adobe": (_adobe_cmyk, 3),
    "CMYK JPEG, plain": (_plain_cmyk, 3),
    "CMYK TIFF": (lambda i: encode(i.convert("CMYK"), "TIFF"), 1),
    "YCbCr TIFF": (lambda i: encode(i.convert("YCbCr"), "TIFF"), 2),
    "LAB TIFF": (_lab, 4),
    "16 bits a channel": (_sixteen_bit_png, 0.6),
    "TIFF, LZW": (lambda i: encode(i, "TIFF", compression="tiff_lzw"), 0.1),
    "TIFF, JPEG inside": (lambda i: encode(i, "TIFF", compression="jpeg", quality=95), 2),
    "WebP, lossless": (lambda i: encode(i, "WEBP", lossless=True), 0.1),
    "animated GIF": (lambda i: encode(i, "GIF", save_all=True, append_images=[noise()]), 6),
    "animated PNG": (lambda i: encode(i, "PNG", save_all=True, append_images=[noise()]), 0.1),
    "animated WebP": (lambda i: encode(i, "WEBP", save_all=True, append_images=[noise()], quality=95), 3),
    "animated AVIF": (lambda i: encode(i, "AVIF", save_all=True, append_images=[noise()], quality=95), 3),
    "two-page TIFF": (lambda i: encode(i, "TIFF", save_all=True, append_images=[noise()]), 0.1),
}


@pytest.mark.parametrize("name", COLOURED)
@pytest.mark.fault(49)
def test_each_dress_of_colour_shows_what_plain_rgb_shows(name: str, plain: images.Pixels) -> None:
    make, tolerance = COLOURED[name]
    assert difference(make(scene()), plain) < tolerance


def _grey(dtype: str, factor: float) -> Twin:
    return lambda i: encode(
        Image.fromarray((np.asarray(i.convert("L"), float) * factor).astype(dtype)), "TIFF"
    )


GREY: dict[str, tuple[Twin, float]] = {
    "L": (lambda i: encode(i.convert("L"), "PNG"), 0.1),
    "L JPEG": (lambda i: encode(i.convert("L"), "JPEG", quality=95), 2),
    "LA": (lambda i: encode(i.convert("LA"), "PNG"), 0.6),
    "I;16": (
        lambda i: encode(Image.fromarray(np.asarray(i.convert("L")).astype(np.uint16) * 257), "PNG"),
        0.6,
    ),
    "16 bit TIFF": (_grey("uint16", 257), 0.6),
    "I": (_grey("int32", 257), 3),
    "I up to 255": (_grey("int32", 1), 0.6),
    "F from 0 to 1": (_grey("float32", 1 / 255), 0.6),
    "F up to 255": (_grey("float32", 1), 0.6),
}


@pytest.mark.parametrize("name", GREY)
@pytest.mark.fault(49)
def test_each_dress_of_grey_shows_what_plain_grey_shows(name: str) -> None:
    make, tolerance = GREY[name]
    twin = decode(encode(scene().convert("L").convert("RGB"), "PNG"), SIZE)
    assert difference(make(scene()), twin) < tolerance


def test_one_bit_a_pixel_is_black_and_white() -> None:
    image = scene().convert("1")
    assert difference(encode(image, "PNG"), decode(encode(image.convert("RGB"), "PNG"), SIZE)) < 0.1


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    half = Image.new("RGBA", (40, 40), (255, 0, 0, 128))
    assert (decode(encode(clear, "PNG"), SIZE) == 255).all()
    assert (decode(encode(clear, "WEBP", lossless=True), SIZE) == 255).all()
    assert np.abs(decode(encode(half, "PNG"), SIZE).astype(int) - (255, 127, 127)).max() <= 1


@pytest.mark.parametrize("flags", [0x02, 0x12])
@pytest.mark.parametrize("background", [b"\0\0\0\0", b"\0\0\xff\xff"])
def test_what_the_first_frame_of_a_webp_leaves_free_is_white(background: bytes, flags: int) -> None:
    red = encode(Image.new("RGB", (20, 20), "red"), "WEBP", lossless=True)[12:]
    side, canvas = (19).to_bytes(3, "little"), (59).to_bytes(3, "little")
    frame = (b"ANMF", bytes(6) + side * 2 + bytes(4) + red)
    head = (b"VP8X", bytes([flags, 0, 0, 0]) + canvas * 2)
    shown = images.fit(riff(head, (b"ANIM", background + b"\0\0"), frame, frame), 100)
    assert (shown[25:] == 255).all()
    assert (shown[:15, :15] == (255, 0, 0)).all()


def test_transparency_is_seen_as_if_the_picture_lay_on_white_paper() -> None:
    image = scene().convert("RGBA")
    image.putalpha(noise(160, 120).convert("L"))
    paper = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    assert difference(encode(image, "PNG"), decode(encode(paper, "PNG"), SIZE)) < 1.0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
@pytest.mark.fault(49)
def test_every_orientation_stands_upright(orientation: int, kind: str, plain: images.Pixels) -> None:
    lying = scene()
    for turn in _LYING.get(orientation, ()):
        lying = lying.transpose(turn)
    assert difference(encode(lying, kind, exif=exif(orientation).tobytes()), plain) < 3


T = Image.Transpose
_LYING = {  # how the camera must have stored it for the tag to put it right
    2: (T.FLIP_LEFT_RIGHT,),
    3: (T.ROTATE_180,),
    4: (T.FLIP_TOP_BOTTOM,),
    5: (T.TRANSPOSE,),
    6: (T.ROTATE_90,),
    7: (T.TRANSVERSE,),
    8: (T.ROTATE_270,),
}


def test_a_large_jpeg_is_upright_too_though_decoded_at_a_reduced_scale(plain: images.Pixels) -> None:
    lying = scene(1600, 1200).transpose(T.ROTATE_90)
    assert difference(encode(lying, "JPEG", exif=exif(6), quality=95), plain) < 3


def test_a_reduced_scale_looks_like_the_whole() -> None:
    large = scene(1999, 1333)
    large.paste(noise(400, 300).resize((1200, 900)), (333, 222))
    twin = decode(encode(large, "PNG"), SIZE)
    assert difference(encode(large, "JPEG", quality=95), twin) < 3


def test_an_orientation_out_of_range_counts_as_none(plain: images.Pixels) -> None:
    assert difference(encode(scene(), "JPEG", exif=exif(99), quality=95), plain) < 2


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
def test_what_somebody_put_behind_a_whole_picture_does_not_matter(kind: str) -> None:
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


def test_a_budget_lets_in_what_fits_and_makes_the_rest_wait_its_turn() -> None:
    budget, order = WeightedSemaphore(10), list[str]()

    def enter(name: str, amount: int) -> None:
        with budget.hold(amount):
            order.append(name)

    with budget.hold(6):
        enter("fits", 4)
        large = threading.Thread(target=enter, args=("large", 99))
        large.start()
        time.sleep(0.02)
        small = threading.Thread(target=enter, args=("small, later", 1))
        small.start()
        time.sleep(0.02)
        assert order == ["fits"]
    large.join(5)
    small.join(5)
    assert order == ["fits", "large", "small, later"]


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


def test_a_large_picture_is_shrunk_in_bands_as_if_it_were_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(noise(701, 1503).convert("RGBA"), "PNG")
    whole = decode(data, SIZE)
    monkeypatch.setattr(resize, "BAND_PIXELS", 10_000)
    assert (decode(data, SIZE) == whole).all()


@pytest.mark.parametrize("size", [(701, 503), (3, 900), (40, 30), (2000, 64)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_where_only_pillow_can_resize_a_picture_looks_the_same(
    mode: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if resize.Resizer is None:
        pytest.skip("for this processor there is no other than Pillow")
    data = encode(noise(*size).convert(mode), "PNG")
    quick = decode(data, SIZE).astype(int)
    monkeypatch.setattr(resize, "Resizer", None)
    assert np.abs(quick - decode(data, SIZE)).max() <= 1


def test_what_needs_much_room_to_be_resized_is_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room, the quick resizer ends the process, and Pillow raises MemoryError."""
    monkeypatch.setattr(resize, "Resizer", lambda: pytest.fail("the quick resizer was asked"))
    assert images.fit(encode(noise(700, 2000), "PNG"), 1600).shape == (1600, 560, 3)


def test_a_large_picture_takes_little_more_memory_than_its_pixels() -> None:
    (end,) = judge([Case("8,000 x 8,000 of one bit", png_bomb(8000, 8000), FINE)])
    assert end.right
    assert end.most_mb < 75 + 64 + 60


# --- for people -----------------------------------------------------------------------------------------


def test_a_picture_for_people_keeps_its_shape_and_is_never_enlarged() -> None:
    data = encode(scene(160, 120), "PNG")
    assert images.fit(data, 80).shape == (60, 80, 3)
    assert images.fit(data, 1000).shape == (120, 160, 3)
    assert images.fit(encode(scene(900, 2), "PNG"), 90).shape == (1, 90, 3)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_can_be_shown(kind: str) -> None:
    assert images.fit(encode(scene(160, 120), kind), 80).shape == (60, 80, 3)


def test_a_picture_for_people_is_upright() -> None:
    turned = encode(scene(160, 120), "JPEG", quality=95, exif=exif(orientation=6))
    upright = np.rot90(images.fit(encode(scene(160, 120), "PNG"), 80), k=-1)
    shown = images.fit(turned, 80)
    assert shown.shape == (80, 60, 3)
    assert np.abs(shown.astype(int) - upright.astype(int)).mean() < 3


def test_a_bomb_is_not_shown() -> None:
    with pytest.raises(UnreadableImage, match="too_many_pixels"):
        images.fit(png_bomb(2000, 2000), 80, pixel_limit=1_000_000)


@pytest.mark.fault(42)
@pytest.mark.parametrize(
    ("kind", "options"),
    [("WEBP", {}), ("WEBP", {"lossless": True}), ("AVIF", {}), ("HEIF", {}), ("WEBP", {"save_all": True})],
)
def test_an_image_with_a_run_of_zeros_is_corrupt(kind: str, options: dict[str, bool]) -> None:
    image = noise(300, 200)
    if "save_all" in options:
        options = options | {"append_images": [scene(300, 200)]}  # type: ignore[dict-item]
    data = encode(image, kind, **options)
    marks = {"WEBP": b"VP8", "AVIF": b"mdat", "HEIF": b"mdat"}
    start = data.rindex(marks[kind], 0, data.index(b"ANMF", 60) if "save_all" in options else None)
    decode(data, 32)
    for first, last in ((0.3, 0.4), (0.5, 1.0)):
        begin, end = (start + 200 + int((len(data) - start - 200) * share) for share in (first, last))
        with pytest.raises(UnreadableImage) as refused:
            decode(data[:begin] + bytes(end - begin) + data[end:], 32)
        assert refused.value.reason == "corrupt", (first, last)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("colour", ["white", "black", "grey", "red"])
def test_an_image_of_one_colour_has_no_run_of_zeros(kind: str, colour: str) -> None:
    plain = Image.new("RGB", (2000, 1500), colour)
    half = Image.new("RGB", (1000, 800), colour)
    half.paste(noise(1000, 400), (0, 0))
    for image in (plain, half):
        decode(encode(image, kind, quality=20), 32)


@pytest.mark.timeout(20)
def test_data_that_a_file_names_again_and_again_take_no_long_time() -> None:
    data = bytes(range(1, 256)) * 100_000
    zero_runs.check(data, [(0, len(data))] * 60_000, 1, "HEIF")


PROGRAM = re.compile(r"Error|Exception|driver|\bNone|object has|b'|0x[0-9a-f]{4}")


def _spoilt(data: bytes, chance: np.random.Generator) -> bytes:
    spoilt = bytearray(data)
    end = min(len(data), int(chance.choice([64, 300, len(data)])))
    for at in chance.integers(0, end, chance.choice([1, 2, 4, 16])):
        spoilt[at] = chance.integers(256)
    return bytes(spoilt[: int(chance.integers(1, len(data)))] if chance.random() < 0.2 else spoilt)


@pytest.mark.parametrize("kind", FORMATS)
def test_details_are_in_words(kind: str) -> None:
    chance, data, refused = np.random.default_rng(5), encode(scene(96, 72), kind), 0
    for _ in range(120):
        try:
            decode(_spoilt(data, chance), SIZE)
        except UnreadableImage as error:
            refused += 1
            assert not PROGRAM.search(error.detail), error.detail
            assert "\n" not in error.detail
    assert refused > 10
