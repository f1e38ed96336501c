"""When a photo was taken: the first of three dates that is one, however it is written."""

from __future__ import annotations

import struct

import pytest
from PIL import Image

from models.images import taken_at
from tests.support.pictures import EXIF_FOLDER

ORIGINAL, DIGITISED, CHANGED = 0x9003, 0x9004, 0x0132
OFFSETS = {ORIGINAL: 0x9011, DIGITISED: 0x9012, CHANGED: 0x9010}


def block(dates: dict[int, str], offsets: dict[int, str] | None = None) -> bytes:
    exif = Image.Exif()
    folder = {tag: text for tag, text in dates.items() if tag != CHANGED}
    folder |= {OFFSETS[tag]: text for tag, text in (offsets or {}).items()}
    if CHANGED in dates:
        exif[CHANGED] = dates[CHANGED]
    if folder:
        exif[EXIF_FOLDER] = folder
    return exif.tobytes()


def read_taken(exif: bytes) -> str | None:
    found = taken_at.read_taken(exif)
    return None if found is None else found.at


def test_the_first_date_that_is_one_counts() -> None:
    dates = {
        ORIGINAL: "2001:01:01 01:01:01",
        DIGITISED: "2002:02:02 02:02:02",
        CHANGED: "2003:03:03 03:03:03",
    }
    assert read_taken(block(dates)) == "2001-01-01T01:01:01"
    assert read_taken(block({**dates, ORIGINAL: "0000:00:00 00:00:00"})) == "2002-02-02T02:02:02"
    assert (
        read_taken(block({CHANGED: dates[CHANGED], DIGITISED: "    :  :     :  :  "}))
        == "2003-03-03T03:03:03"
    )
    assert read_taken(block({CHANGED: dates[CHANGED]})) == "2003-03-03T03:03:03"
    assert read_taken(block({})) is None


def test_each_date_has_an_offset_of_its_own() -> None:
    dates = {
        ORIGINAL: "2001:01:01 01:01:01",
        DIGITISED: "2002:02:02 02:02:02",
        CHANGED: "2003:03:03 03:03:03",
    }
    offsets = {ORIGINAL: "+01:00", DIGITISED: "+02:00", CHANGED: "+03:00"}
    for tag, text in dates.items():
        found = read_taken(block({tag: text}, offsets))
        assert found is not None and found.endswith(offsets[tag])


FORMS = {
    "2024:05:01 12:33:44": "2024-05-01T12:33:44",
    "2024-05-01 12:33:44": "2024-05-01T12:33:44",
    "2024/05/01 12:33:44": "2024-05-01T12:33:44",
    "2024.05.01 12.33.44": "2024-05-01T12:33:44",
    "2024-05-01T12:33:44": "2024-05-01T12:33:44",
    "2024-05-01T12:33:44Z": "2024-05-01T12:33:44+00:00",
    "2024-05-01T12:33:44.123+0200": "2024-05-01T12:33:44+02:00",
    "2024:05:01 12:33:44.987654": "2024-05-01T12:33:44",
    "2024:05:01 12:33:44,5": "2024-05-01T12:33:44",
    "2024:05:01:12:33:44": "2024-05-01T12:33:44",
    "2024:05:01  12:33:44": "2024-05-01T12:33:44",
    " 2024:05:01 12:33:44 \0\0": "2024-05-01T12:33:44",
    "2024:05:01 12:33:44\0+x": "2024-05-01T12:33:44",
    "2024:5:1 2:3:4": "2024-05-01T02:03:04",
    "2024: 5: 1 12:33:44": "2024-05-01T12:33:44",
    "2024:05:01 12:33": "2024-05-01T12:33:00",
    "2024:05:01": "2024-05-01T00:00:00",
    "2024:02:30 12:33:44": None,
    "2024:05:01 24:33:44": None,
    "2024:05:01 12:33:44 or so": None,
    "0001:01:01 00:00:00": None,
    "1825:12:31 12:00:00": None,
    "2101:01:01 00:00:00": None,
    "9999:12:31 23:59:59": None,
    "12:33:44": None,
    "0000:00:00": None,
    "0000-00-00 00:00:00": None,
    "::  ::": None,
    "yesterday": None,
    "\0": None,
    "２０２４": None,
}


@pytest.mark.parametrize("text", FORMS)
def test_a_date_is_read_in_the_forms_that_programs_write(text: str) -> None:
    assert read_taken(block({ORIGINAL: text})) == FORMS[text]


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ("+02:00", "+02:00"),
        ("-0930", "-09:30"),
        ("Z", "+00:00"),
        (" +02:00 \0", "+02:00"),
        ("+99:00", ""),
        ("local", ""),
    ],
)
def test_an_offset_is_one_or_left_out(offset: str, expected: str) -> None:
    found = read_taken(block({ORIGINAL: "2024:05:01 12:33:44"}, {ORIGINAL: offset}))
    assert found == "2024-05-01T12:33:44" + expected


def test_a_block_that_is_cut_off_anywhere_does_not_crash() -> None:
    whole = block({ORIGINAL: "2024:05:01 12:33:44", CHANGED: "2003:03:03 03:03:03"}, {ORIGINAL: "+02:00"})
    for end in range(len(whole)):
        read_taken(whole[:end])
    assert read_taken(whole) == "2024-05-01T12:33:44+02:00"


@pytest.mark.parametrize("order", ["<", ">"])
def test_other_types_big_folders_and_loops_are_read_as_far_as_they_go(order: str) -> None:
    mark = b"II" if order == "<" else b"MM"
    text = b"2024:05:01 12:33:44\0"

    def folder(*entries: bytes) -> bytes:
        return struct.pack(order + "H", len(entries)) + b"".join(entries)

    undefined = struct.pack(order + "HHII", CHANGED, 7, len(text), 40)
    itself = struct.pack(order + "HHII", EXIF_FOLDER, 4, 1, 8)
    far = struct.pack(order + "HHII", EXIF_FOLDER, 4, 1, 2**32 - 1)
    head = mark + struct.pack(order + "HI", 42, 8)
    for second in (itself, far):
        data = (head + folder(undefined, second)).ljust(40, b"\0") + text
        assert read_taken(data) == "2024-05-01T12:33:44"
    entry = struct.pack(order + "HHQQ", CHANGED, 2, len(text), 64)
    big = mark + struct.pack(order + "HHHQ", 43, 8, 0, 16) + struct.pack(order + "Q", 1) + entry
    assert read_taken(big.ljust(64, b"\0") + text) == "2024-05-01T12:33:44"
