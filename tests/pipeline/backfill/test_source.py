"""Listing the photos of a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backfill.source import Listed, open_source
from pipeline.backfill.tree import _place
from pipeline.errors import PawsortError


def _make(top: Path, *names: str | bytes) -> None:
    for name in names:
        path = os.path.join(os.fsencode(top), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"photo")


def _paths(top: Path, *ignore: str, companions: bool = True) -> list[bytes]:
    return [listed.path for listed in open_source(str(top), ignore, companions=companions).list()]


def test_photos_are_listed_in_the_order_of_the_bytes_of_their_paths(tmp_path: Path) -> None:
    names = [b"a/z.jpg", b"a.jpg", b"a-b/c.jpg", b"a/b/c.jpg", b"\xff.jpg", "ä.jpg".encode(), b"B.jpg"]
    _make(tmp_path, *names)
    assert _paths(tmp_path) == sorted(names)


@given(
    st.sets(st.lists(st.sampled_from([b"a", b"a.", b"a0", b"-", b"b"]), min_size=1, max_size=3).map(tuple))
)
def test_names_in_the_order_of_a_folder_are_paths_in_order(paths: set[tuple[bytes, ...]]) -> None:
    files = {path for path in paths if not any(other[: len(path)] == path != other for other in paths)}

    def walked(top: tuple[bytes, ...]) -> list[bytes]:
        inside = {path[len(top)] for path in files if path[: len(top)] == top}
        pairs = [(name, Listed(name, 0, 0) if (*top, name) in files else None) for name in inside]
        found = []
        for name, listed in sorted(pairs, key=_place):
            found += [b"/".join((*top, name))] if listed else walked((*top, name))
        return found

    assert walked(()) == sorted(map(b"/".join, files))


def test_each_has_its_size_and_mtime(tmp_path: Path) -> None:
    _make(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", ns=(1, 123_456_789))
    assert list(open_source(str(tmp_path)).list()) == [Listed(b"a.jpg", 5, 123_456_789)]


def test_companions_are_listed_with_their_photo(tmp_path: Path) -> None:
    _make(tmp_path, "a.jpg", "a.xmp", "a.CR2", "b.CR2", "lonely.xmp")
    photos = {listed.path: listed.companions for listed in open_source(str(tmp_path)).list()}
    assert photos == {b"a.jpg": (b"a.CR2", b"a.xmp"), b"b.CR2": ()}
    assert len(_paths(tmp_path, companions=False)) == 5


def test_what_the_settings_ignore_is_left_out(tmp_path: Path) -> None:
    _make(tmp_path, "a.jpg", "a.xmp", "drafts/b.jpg", "c.jpg.part", "@eaDir/d.jpg")
    assert next(iter(open_source(str(tmp_path), ("drafts", "*.xmp")).list())).companions == ()
    assert _paths(tmp_path, "drafts") == [b"a.jpg"]


def test_links_and_devices_are_no_photos(tmp_path: Path) -> None:
    _make(tmp_path / "elsewhere", "a.jpg")
    top = tmp_path / "top"
    _make(top, "b.jpg")
    (top / "link.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    (top / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(top / "pipe.jpg")
    assert _paths(top) == [b"b.jpg"]


def test_the_source_itself_may_be_a_link(tmp_path: Path) -> None:
    _make(tmp_path / "disk", "a.jpg")
    (tmp_path / "photos").symlink_to("disk")
    source = open_source(str(tmp_path / "photos"))
    assert source.name == str(tmp_path / "disk")
    [listed] = source.list()
    assert source.local(listed, tmp_path) == os.fsencode(tmp_path / "disk" / "a.jpg")


def test_a_folder_that_cannot_be_listed_ends_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(tmp_path, "a/b.jpg", "c.jpg")
    real = os.scandir

    def scandir(descriptor: int) -> object:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return real(descriptor)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PawsortError, match=r"/a/: cannot be listed: Permission denied; .* watch\.ignore"):
        _paths(tmp_path)
    assert _paths(tmp_path, "a") == [b"c.jpg"]


def test_a_source_that_is_away_fails_its_check(tmp_path: Path) -> None:
    _make(tmp_path, "top/a.jpg")
    source = open_source(str(tmp_path / "top"))
    source.check()
    (tmp_path / "top" / "a.jpg").unlink()
    with pytest.raises(OSError, match="is its disk not mounted"):
        source.check()
    (tmp_path / "top").rmdir()
    with pytest.raises(FileNotFoundError):
        source.check()
