"""Which of EXIF, XMP and GPS says when a photo was taken, in which order."""

from __future__ import annotations

import pytest
from PIL import Image

from models.images.taken_at import Taken, find_xmp, read_taken
from tests.support.pictures import EXIF_FOLDER

GPS_FOLDER = 0x8825
GPS = {0x001D: "2005:05:05", 0x0007: (23.0, 59.0, 58.5)}
DATES = {0x9003: "2001:01:01 01:01:01", 0x9004: "2002:02:02 02:02:02", 0x0132: "2003:03:03 03:03:03"}


def block(*tags: int, gps: dict[int, object] | None = None) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    if 0x0132 in tags:
        exif[0x0132] = DATES[0x0132]
    exif[EXIF_FOLDER] = {tag: DATES[tag] for tag in tags if tag != 0x0132}
    exif[GPS_FOLDER] = gps or {}
    return exif.tobytes()


def packet(*properties: str) -> bytes:
    said = " ".join(properties)
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {said}/></x:xmpmeta>'.encode()


XMP = packet('exif:DateTimeOriginal="2004-04-04T04:04:04+04:00"')


def test_each_source_counts_only_where_none_before_it_has_a_date() -> None:
    def found(*tags: int, xmp: bytes = XMP, gps: dict[int, object] | None = GPS) -> Taken | None:
        return read_taken(block(*tags, gps=gps), lambda: xmp)

    assert found(*DATES) == Taken("2001-01-01T01:01:01", "exif_original")
    assert found(0x9004, 0x0132) == Taken("2002-02-02T02:02:02", "exif_digitized")
    assert found(0x0132) == Taken("2003-03-03T03:03:03", "exif_datetime")
    assert found() == Taken("2004-04-04T04:04:04+04:00", "xmp")
    assert found(xmp=b"") == Taken("2005-05-05T23:59:58+00:00", "gps"), "GPS has UTC"
    assert found(xmp=b"", gps=None) is None


def test_xmp_is_not_looked_for_where_exif_has_a_date() -> None:
    asked: list[bytes] = []
    assert read_taken(block(0x0132), lambda: asked.append(XMP) or XMP)
    assert asked == []


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        (['xmp:CreateDate="2024-01-31T10:15:00.25-05:00"'], "2024-01-31T10:15:00-05:00"),
        (['xmp:CreateDate="2020-01-01"', 'photoshop:DateCreated="1965-07-04"'], "1965-07-04T00:00:00"),
        (["exif:DateTimeOriginal='2024-01-31T10:15'"], "2024-01-31T10:15:00"),
        (
            ["><exif:DateTimeOriginal>2024-01-31T10:15:00Z</exif:DateTimeOriginal"],
            "2024-01-31T10:15:00+00:00",
        ),
        (['exif:DateTimeOriginal="0000-00-00"', 'xmp:CreateDate="2020-01-01"'], "2020-01-01T00:00:00"),
        (['xmp:ModifyDate="2024-01-31"', 'xmp:MetadataDate="2024-01-31"'], None),
        (['xmp:CreateDate="2024"'], None),
        (['xmp:CreateDate="2024-02-30"'], None),
    ],
)
def test_xmp_says_when_a_photo_was_taken_never_when_it_was_changed(
    properties: list[str], expected: str | None
) -> None:
    found = read_taken(b"", lambda: packet(*properties))
    assert (found and found.at) == expected


@pytest.mark.parametrize(
    ("gps", "expected"),
    [
        ({0x001D: "2005:05:05"}, "2005-05-05T00:00:00+00:00"),
        ({0x001D: "2005:05:05", 0x0007: (24.0, 0.0, 0.0)}, "2005-05-05T00:00:00+00:00"),
        ({0x001D: "2005:05:05", 0x0007: (1.0, 2.0)}, "2005-05-05T00:00:00+00:00"),
        ({0x001D: "2005:13:05", 0x0007: (1.0, 2.0, 3.0)}, None),
        ({0x0007: (1.0, 2.0, 3.0)}, None),
    ],
)
def test_a_time_of_gps_needs_a_date_and_a_date_no_time(gps: dict[int, object], expected: str | None) -> None:
    found = read_taken(block(gps=gps))
    assert (found and found.at) == expected


def test_a_block_with_gps_that_is_cut_off_anywhere_does_not_crash() -> None:
    whole = block(gps=GPS)
    for end in range(len(whole)):
        read_taken(whole[:end])
    assert read_taken(whole) == Taken("2005-05-05T23:59:58+00:00", "gps")


@pytest.mark.parametrize("before", [0, 200_000, 3_000_000])
def test_an_xmp_packet_is_found_at_either_end_of_a_file(before: int) -> None:
    assert find_xmp(b"\xff" * before + XMP + b"\0" * 100) == XMP + b"\0" * 100
    assert find_xmp(b"\xff" * before) == b""
    assert len(find_xmp(XMP + b" " * 2_000_000)) < 100_000
