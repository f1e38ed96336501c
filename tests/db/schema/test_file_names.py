from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.schema.file_names import escape, unescape

SPELLED = [
    (b"cat.jpg", "cat.jpg"),
    ("kätzchen 🐈.jpg".encode(), "kätzchen 🐈.jpg"),
    (b"\xff\xfe.jpg", r"\xff\xfe.jpg"),
    (rb"back\slash", r"back\\slash"),
    (rb"\xff", r"\\xff"),
    (b"a\nb", "a\nb"),
    (b"a\0b", r"a\x00b"),
    # A surrogate, which UTF-8 does not allow.
    (b"\xed\xa0\x80", r"\xed\xa0\x80"),
]


@pytest.mark.parametrize(("name", "text"), SPELLED)
def test_spelling(name: bytes, text: str) -> None:
    assert escape(name) == text
    assert unescape(text) == name


@given(st.binary())
@pytest.mark.fault(33)
def test_any_bytes_come_back(name: bytes) -> None:
    assert unescape(escape(name)) == name


@given(st.binary())
def test_the_text_can_be_stored_anywhere(name: bytes) -> None:
    assert "\0" not in escape(name)
    escape(name).encode("utf-8")


@given(st.lists(st.binary(max_size=20), unique=True))
def test_different_names_have_different_texts(names: list[bytes]) -> None:
    assert len({escape(name) for name in names}) == len(names)


@given(st.binary(), st.binary())
def test_joining_texts_is_joining_names(folder: bytes, name: bytes) -> None:
    assert unescape(f"{escape(folder)}/{escape(name)}") == folder + b"/" + name


@pytest.mark.parametrize("text", ["\\", r"a\b", r"\x", r"\xf", r"\xFF", r"\\\ "])
def test_a_text_that_spells_no_file_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="lone backslash"):
        unescape(text)
