"""The segments of a JPEG are walked once, and what they say is handed on."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from models.images.decode import decode, read_header
from models.images.formats import jpeg, jpeg_scans
from tests.support.pictures import encode, scene


def test_the_segments_of_a_photo_are_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data, walks, walk = encode(scene(), "JPEG"), list[int](), jpeg.segments

    def counted(data: bytes, at: int = 2) -> Iterator[jpeg.Segment]:
        walks.append(at)
        return walk(data, at)

    for module in (jpeg, jpeg_scans):
        monkeypatch.setattr(module, "segments", counted)
    decode(data, 32, header=read_header(data))
    assert walks == [2, len(data) - 2], "from the beginning, and on from the end of the scan"


def test_segments_lie_where_they_are_said_to_be_without_metadata() -> None:
    data = encode(scene(), "JPEG", exif=b"Exif\0\0" + bytes(99), comment=b"words")
    found = jpeg.read_jpeg(data)
    plain = jpeg.without_metadata(data, found.segments)
    assert jpeg.moved(found.segments) == list(jpeg.read_jpeg(plain).segments)
    assert len(plain) < len(data)


@pytest.mark.parametrize("quality", [10, 50, 90, 99, 100])
@pytest.mark.parametrize("colours", ["black and white", "colours", "grey"])
def test_the_means_of_blocks_of_a_whole_jpeg_are_between_black_and_white(quality: int, colours: str) -> None:
    squares = np.random.default_rng(1).choice([0, 255], (20, 20, 3)).astype(np.uint8)
    if colours != "colours":
        squares[:] = squares[..., :1]
    image = Image.fromarray(squares.repeat(8, 0).repeat(8, 1)).convert("L" if colours == "grey" else "RGB")
    data = encode(image, "JPEG", quality=quality, subsampling=0)
    found = jpeg.means_of_blocks(data, jpeg.read_jpeg(data).segments)
    assert found is not None
    plain = Image.open(io.BytesIO(found[0]))
    plain.tile = [plain.tile[0]._replace(args=(plain.mode, plain.mode))]
    distances = abs(np.asarray(plain, np.int16).reshape(-1, len(found[1])) - 128).max(0)
    assert (distances <= np.add(found[1], 12)).all()
    assert distances[0] >= found[1][0] - 12, "black and white are there"


def test_tables_of_sixteen_bits_or_behind_the_first_scan_say_nothing_of_means() -> None:
    data = encode(scene(), "JPEG")
    head = jpeg.read_jpeg(data).segments
    table = next(start for marker, start, _ in head if marker == 0xDB)
    wide = data[:table] + b"\x10" + data[table + 1 :]
    assert jpeg.means_of_blocks(wide, head) is None
    assert jpeg.means_of_blocks(data[:-2] + data[table - 4 : table + 65] + data[-2:], head) is None
    assert jpeg.means_of_blocks(data, head) is not None
