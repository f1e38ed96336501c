from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.files.naming import destination

CATS = b"/sorted/cats"
names = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


def choose(source: bytes, *taken: bytes, folders: tuple[bytes, ...] = ()) -> bytes:
    occupied = {CATS + b"/" + name for name in (*taken, *folders)}
    inside = {CATS + b"/" + name for name in folders}
    return destination(CATS, source, occupied.__contains__, inside.__contains__)


@pytest.mark.parametrize(
    ("source", "taken", "expected"),
    [
        (b"a.jpg", [], b"a.jpg"),
        (b"a.jpg", [b"a.jpg"], b"a (2).jpg"),
        (b"a.jpg", [b"a.jpg", b"a (2).jpg"], b"a (3).jpg"),
        (b"a.jpg", [b"a.JPG"], b"a.jpg"),
        (b"x/y/a.jpg", [b"a.jpg"], b"x/y/a.jpg"),
        (b".jpg", [b".jpg"], b".jpg (2)"),
        (b"noext", [b"noext"], b"noext (2)"),
        (b"a.tar.gz", [b"a.tar.gz"], b"a.tar (2).gz"),
        (b"\xff.jpg", [b"\xff.jpg"], b"\xff (2).jpg"),
        (b"e\xcc\x81.jpg", [b"\xc3\xa9.jpg"], b"e\xcc\x81.jpg"),
        (b"a/x.jpg", [b"a"], b"a (2)/x.jpg"),
        (b"../../etc/passwd", [], b"etc/passwd"),
        (b"/etc/passwd", [], b"etc/passwd"),
        (b"a/./..//b.jpg", [], b"a/b.jpg"),
    ],
)
def test_destination(source: bytes, taken: list[bytes], expected: bytes) -> None:
    assert choose(source, *taken) == CATS + b"/" + expected


def test_a_file_gets_another_name_than_a_folder() -> None:
    assert choose(b"a", folders=(b"a",)) == CATS + b"/a (2)"


def test_a_numbered_folder_is_used_again() -> None:
    assert choose(b"a/y.jpg", b"a", folders=(b"a (2)",)) == CATS + b"/a (2)/y.jpg"


@pytest.mark.parametrize("source", [b"", b"/", b"..", b"a/", b"a/.."])
def test_what_names_no_file_is_refused(source: bytes) -> None:
    with pytest.raises(ValueError, match="does not name a file"):
        choose(source)


def test_ten_thousand_of_one_name_are_found_quickly() -> None:
    taken = {CATS + b"/a.jpg"} | {CATS + b"/a (%d).jpg" % n for n in range(2, 10_001)}
    asked: list[bytes] = []

    def is_taken(path: bytes) -> bool:
        asked.append(path)
        return path in taken

    assert destination(CATS, b"a.jpg", is_taken) == CATS + b"/a (10001).jpg"
    assert len(asked) < 32


def test_a_batch_of_one_name_gets_consecutive_numbers() -> None:
    chosen: set[bytes] = set()
    for _ in range(300):
        chosen.add(destination(CATS, b"a.jpg", chosen.__contains__))
    assert chosen == {CATS + b"/a.jpg"} | {CATS + b"/a (%d).jpg" % n for n in range(2, 301)}


def test_a_name_that_is_always_taken_ends() -> None:
    with pytest.raises(FileExistsError):
        destination(CATS, b"a.jpg", lambda path: True)


@given(name=names, number=st.integers(0, 3))
@example(name=b"C" * 251 + b".jpg", number=1)
@pytest.mark.fault(37)
def test_names_fit_keep_their_extension_and_differ(name: bytes, number: int) -> None:
    chosen: set[bytes] = set()
    for _ in range(number + 1):
        path = destination(CATS, name, chosen.__contains__)
        assert path not in chosen
        chosen.add(path)
        extension = os.path.splitext(name)[1]
        assert len(os.path.basename(path)) <= 255
        assert os.path.dirname(path) == CATS
        assert len(extension) > 32 or path.endswith(extension)
    assert CATS + b"/" + name in chosen


@given(
    name=st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=60, max_size=250
    )
)
def test_no_character_is_cut_in_two(name: str) -> None:
    source = name.encode()[:251].decode(errors="ignore").encode() + b".jpg"
    assert choose(source, source).decode()


@given(st.lists(st.sampled_from([b"..", b".", b"", b"a", b"\xff"]), min_size=1, max_size=8))
def test_no_path_leaves_its_folder(parts: list[bytes]) -> None:
    path = choose(b"/".join([*parts, b"x.jpg"]))
    assert os.path.normpath(path) == path
    assert path.startswith(CATS + b"/")


def test_a_path_that_would_be_too_long_loses_its_subfolders(tmp_path: Path) -> None:
    source = b"/".join([b"d" * 200] * 25) + b"/x.jpg"
    assert choose(source) == CATS + b"/x.jpg"


def test_real_folders_and_links_are_told_apart(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    os.mkdir(folder + b"/real")
    os.symlink(b"real", folder + b"/link")
    assert destination(folder, b"real/x", os.path.lexists) == folder + b"/real/x"
    assert destination(folder, b"link/x", os.path.lexists) == folder + b"/link (2)/x"
