"""A date in the name of a photo, as cameras, phones and messengers write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.images.date_in_name import read_name

SECOND = "2024-01-31T10:15:00"
DAY = "2024-01-31T00:00:00"
NAMES = {
    "IMG_20240131_101500.jpg": SECOND,
    "IMG_20240131_101500_HDR.jpg": SECOND,
    "IMG_20240131_101500(1).jpg": SECOND,
    "MVIMG_20240131_101500.jpg": SECOND,
    "PXL_20240131_101500123.PORTRAIT.jpg": SECOND,
    "20240131_101500.jpg": SECOND,
    "20240131101500.jpg": SECOND,
    "2024-01-31 10.15.00.jpg": SECOND,
    "2024-01-31 10.15.00": SECOND,
    "2024-01-31T10:15:00.jpg": SECOND,
    "holiday/2023/2024-01-31 10.15.00.jpg": SECOND,
    "2023-05-05/beach.jpg": None,
    "WhatsApp Image 2024-01-31 at 10.15.00.jpeg": SECOND,
    "IMG-20240131-WA0001.jpg": DAY,
    "signal-2024-01-31-101500.jpeg": SECOND,
    "signal-2024-01-31-10-15-00-123.jpg": SECOND,
    "photo_2024-01-31_10-15-00 (2).jpg": SECOND,
    "WP_20240131_10_15_00_Pro.jpg": SECOND,
    "Screenshot_20240131-101500.png": SECOND,
    "Screenshot_2024-01-31-10-15-00-123_com.android.chrome.png": SECOND,
    "Screenshot 2024-01-31 at 10.15.00.png": SECOND,
    "Screenshot 2024-01-31 at 10.15.00 PM.png": "2024-01-31T22:15:00",
    "Screenshot 2024-01-31 at 12.15.00 AM.png": "2024-01-31T00:15:00",
    "Screen Shot 2024-01-31 at 1.15.00\u202fPM (2).png": "2024-01-31T13:15:00",
    "Screenshot from 2024-01-31 10-15-00.png": SECOND,
    "Bildschirmfoto 2024-01-31 um 10.15.00.png": SECOND,
    "2024_01_31 beach.jpg": DAY,
    "Scan 20240131 (3).png": DAY,
    "20240131-20240201.jpg": DAY,
    "1965-07-04 beach.jpg": "1965-07-04T00:00:00",
    "99999999_20240131.jpg": DAY,
    "IMG_20240131_996100.jpg": DAY,
    "2024-01-31 3.jpg": DAY,
    # No dates.
    "IMG_20240230_101500.jpg": None,
    "IMG_20241331.jpg": None,
    "IMG_20240100.jpg": None,
    "IMG_1234.jpg": None,
    "120240131.jpg": None,
    "202401311.jpg": None,
    "19450723.jpg": None,
    "1825-07-23.jpg": None,
    "01.02.2024.jpg": None,
    "FB_IMG_1706695200000.jpg": None,
    "2024-01.jpg": None,
    "\u0662\u0660\u0662\u0664-01-31.jpg": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_when_its_photo_was_taken(name: str) -> None:
    found = read_name(name.encode())
    assert (found and found.at) == NAMES[name]
    assert found is None or found.source == "name"


def test_the_first_possible_date_of_a_name_counts() -> None:
    found = read_name(b"20241399_101010 2024-01-31.jpg")
    assert found is not None and found.at == DAY


@given(st.binary(max_size=255))
def test_no_name_makes_an_error(name: bytes) -> None:
    read_name(name)


@given(st.text("0123456789-_. T:ApmPM", max_size=80))
def test_whatever_looks_like_a_date_is_a_possible_one(name: str) -> None:
    found = read_name(name.encode())
    assert found is None or "1826" <= found.at[:4] <= "2100"
