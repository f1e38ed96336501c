"""A ZIP file of photos: what is in it, under which names, and what is not."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from db.queries.listing import result
from pipeline.export.zip_stream import zipped
from pipeline.web.downloads import photo_archive
from pipeline.web.downloads.photo_archive import NOTE, members
from tests.support.installation import SMALL, Installation


def archive(pawsort: Installation, ids: Sequence[int]) -> dict[str, bytes]:
    rows = [row for id in ids if (row := result(pawsort.engine, id))]
    with zipfile.ZipFile(io.BytesIO(b"".join(zipped(members(pawsort.settings, rows))))) as made:
        assert made.testzip() is None
        assert len(made.namelist()) == len(set(made.namelist()))
        return {name: made.read(name) for name in made.namelist()}


def ids_of(pawsort: Installation) -> list[int]:
    return [id for (id,) in pawsort.rows("id")]


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose worker takes a file as soon as it sees it."""
    pawsort = Installation(tmp_path, SMALL)
    yield pawsort
    pawsort.close()


@pytest.fixture
def filed(quick: Installation) -> Installation:
    """Photos with companions, of the same name in two folders."""
    for folder in ("", "rome/"):
        quick.drop(f"{folder}Tom.jpg", f"{folder}<cat>".encode())
        quick.drop(f"{folder}Tom.xmp", f"{folder}xmp".encode())
    quick.run_worker()
    return quick


def test_photos_keep_their_folders_and_companions_lie_beside_them(filed: Installation) -> None:
    assert archive(filed, ids_of(filed)) == {
        "cats/Tom.jpg": b"<cat>",
        "cats/Tom.xmp": b"xmp",
        "cats/rome/Tom.jpg": b"rome/<cat>",
        "cats/rome/Tom.xmp": b"rome/xmp",
    }


def test_a_photo_that_is_gone_is_left_out_and_named_with_the_reason(filed: Installation) -> None:
    [first, _] = ids_of(filed)
    (filed.settings.sorted / "cats/Tom.jpg").unlink()
    found = archive(filed, ids_of(filed))
    assert "cats/Tom.jpg" not in found and found["cats/rome/Tom.jpg"] == b"rome/<cat>"
    assert f"{filed.settings.sorted}/cats/Tom.jpg: it is gone" in found[NOTE].decode()
    assert archive(filed, [first]).keys() == {"cats/Tom.xmp", NOTE}


def test_names_that_differ_by_case_or_that_a_system_refuses_are_kept_apart_with_their_companions(
    quick: Installation,
) -> None:
    for name in ("a?.jpg", "a:.jpg", "A_.jpg"):
        quick.drop(name, f"<cat>{name}".encode())
        quick.drop(f"{name[:-4]}.xmp", name.encode())
    quick.run_worker()
    found = archive(quick, ids_of(quick))
    assert len({name.casefold() for name in found}) == 6
    for name, data in found.items():
        if name.endswith(".jpg"):
            assert found[f"{name[:-4]}.xmp"] == data.removeprefix(b"<cat>"), "they stay paired"


@pytest.mark.fault(106)
@pytest.mark.parametrize(
    "name", [b"..\\..\\evil.jpg", b"C:\\evil.jpg", b"\xff\x01.jpg", b" . .jpg", b"\xc3\xa4.jpg"]
)
def test_no_name_leads_out_of_the_folder_where_the_archive_is_unpacked(
    pawsort: Installation, name: bytes, tmp_path: Path
) -> None:
    id = pawsort.file(name)
    [found] = archive(pawsort, [id])
    assert not set('\\:*?"<>|\x01') & set(found)
    assert os.path.normpath(found).startswith("cats/")


@pytest.mark.fault(106)
def test_a_link_leads_to_its_own_original_only(tmp_path: Path) -> None:
    text = SMALL.replace("[inbox, scans]", "[{path: inbox, action: symlink}]")
    pawsort = Installation(tmp_path, text)
    pawsort.drop("a/x.jpg", b"<cat>")
    pawsort.run_worker()
    assert archive(pawsort, [1])["cats/a/x.jpg"] == b"<cat>"
    link = pawsort.settings.sorted / "cats/a/x.jpg"
    link.unlink()
    link.symlink_to("/etc/passwd")
    found = archive(pawsort, [1])
    assert "cats/a/x.jpg" not in found and b"x.jpg" in found[NOTE]
    pawsort.close()


def test_what_is_shortened_while_it_is_read_is_named(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = pawsort.file(b"a.jpg", b"x" * 1000)
    pieces = iter([b"x" * 300, b""])
    monkeypatch.setattr(photo_archive.os, "read", lambda *_: next(pieces))
    found = archive(pawsort, [id])
    assert found["cats/a.jpg"] == b"x" * 300
    assert b"it was shortened while it was read" in found[NOTE]


def test_a_waiting_and_an_undone_photo(pawsort: Installation) -> None:
    pawsort.claim(b"wait.jpg", decided=False)
    id = pawsort.file(b"back.jpg", b"1")
    pawsort.undo(files=(b"cats/back.jpg",))
    found = archive(pawsort, [1, id])
    assert found["inbox/back.jpg"] == b"1"
