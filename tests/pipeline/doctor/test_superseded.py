"""Rows that count one file twice are found and ended; another spelling of a name is no second file."""

from __future__ import annotations

import os
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from db.connection.engine import writing
from db.queries import integrity, listing
from db.schema.tables import files
from pipeline.doctor import check
from pipeline.files import moves
from tests.pipeline.doctor.test_repair import contents, left, put, repaired, told
from tests.support.installation import Installation


@pytest.fixture
def whole(pawsort: Installation) -> Installation:
    pawsort.file(b"a/x.jpg", b"1")
    pawsort.file(b"y.jpg", b"2", outcome="dogs")
    pawsort.file(b"z.jpg", b"3", outcome="failed")
    return pawsort


def come_again(pawsort: Installation, path: str, content: bytes, outcome: str, hashed: bool = True) -> int:
    """Do what was done to a photo that came back before rows of such photos ended: two rows stay."""
    name = os.path.basename(path).encode()
    kept = pawsort.settings.sorted / path
    identity = kept.stat()
    id, spool, destination = pawsort._decide(name, content, outcome, hashed)
    os.unlink(os.fsdecode(spool))
    moves.make_folders(os.path.dirname(destination), os.path.join(pawsort.raw_sorted, outcome.encode()))
    os.rename(kept, os.fsdecode(destination))
    seen = {"dev": identity.st_dev, "ino": identity.st_ino, "mtime_ns": identity.st_mtime_ns}
    _as_filed(pawsort, id, destination, outcome, **seen)
    return id


def _as_filed(pawsort: Installation, id: int, path: bytes, outcome: str, **known: int) -> None:
    values = {"state": "filed", "path": path, "outcome": outcome, "filed_at": pawsort.now(), **known}
    with writing(pawsort.engine) as connection:
        connection.execute(update(files).where(files.c.id == id).values(**values))


def two_at_one_path(pawsort: Installation, content: bytes = b"1") -> int:
    id, spool, _ = pawsort._decide(b"a/x.jpg", content)
    target = pawsort.raw_sorted + b"/cats/a/x.jpg"
    os.rename(spool, target)
    _as_filed(pawsort, id, target, "cats")
    return id


def test_a_row_whose_photo_came_back_and_is_filed_elsewhere_ends(whole: Installation) -> None:
    new = come_again(whole, "failed/z.jpg", b"3", "cats")
    before = contents(whole)
    assert left(whole) == ["superseded"]
    assert told(whole) == {"superseded sorted/failed/z.jpg": True}
    assert left(whole) == []
    assert whole.state(3)[:2] == ("vanished", None)
    assert whole.state(new) == ("filed", "cats", None, b"sorted/cats/z.jpg")
    assert listing.counts(whole.engine) == {"cats": 2, "dogs": 1, "waiting": 0}
    assert contents(whole) == before
    assert repaired(whole) == []


@pytest.mark.parametrize("hashed", [True, False])
def test_a_row_without_a_checksum_whose_file_is_filed_elsewhere_ends(
    whole: Installation, hashed: bool
) -> None:
    whole.file(b"beside.jpg", b"4", outcome="failed")
    old = whole.file(b"big.jpg", b"5", outcome="failed", hashed=not hashed)
    new = come_again(whole, "failed/big.jpg", b"5", "cats", hashed=hashed)
    assert told(whole) == {"superseded sorted/failed/big.jpg": True}
    assert left(whole) == []
    assert [whole.state(id)[0] for id in (old, new)] == ["vanished", "filed"]


@pytest.mark.parametrize("hashed", [True, False])
def test_a_row_without_a_checksum_ends_whose_file_has_the_time_of_another_disk(
    whole: Installation, hashed: bool
) -> None:
    whole.file(b"beside.jpg", b"4", outcome="failed")
    old = whole.file(b"big.jpg", b"5", outcome="failed", hashed=not hashed)
    new = come_again(whole, "failed/big.jpg", b"5", "cats", hashed=hashed)
    exact, rounded = 1_700_000_001_123_456_789, 1_700_000_001_120_000_000
    with writing(whole.engine) as connection:
        connection.execute(update(files).where(files.c.id.in_([old, new])).values(mtime_ns=exact))
    os.utime(whole.settings.sorted / "cats/big.jpg", ns=(rounded, rounded))
    assert told(whole) == {"superseded sorted/failed/big.jpg": True}


def test_a_row_without_a_checksum_stays_beside_another_file_of_its_name(whole: Installation) -> None:
    whole.file(b"beside.jpg", b"4", outcome="failed")
    whole.file(b"big.jpg", b"5", outcome="failed", hashed=False)
    os.unlink(whole.settings.sorted / "failed/big.jpg")
    whole.file(b"big.jpg", b"6")
    assert told(whole) == {"missing sorted/failed/big.jpg": False}


@pytest.mark.parametrize("content", [b"1", b"longer"])
def test_of_two_rows_at_one_path_the_newest_stays(whole: Installation, content: bytes) -> None:
    new = two_at_one_path(whole, content)
    assert told(whole) == {"superseded sorted/cats/a/x.jpg": True}
    assert left(whole) == []
    assert [whole.state(id)[0] for id in (1, new)] == ["vanished", "filed"]


def test_of_two_rows_at_one_path_the_one_whose_photo_is_there_stays(whole: Installation) -> None:
    new = two_at_one_path(whole, b"longer")
    put(whole.settings.sorted / "cats/a/x.jpg", b"1")
    assert told(whole) == {"superseded sorted/cats/a/x.jpg": True}
    assert [whole.state(id)[0] for id in (1, new)] == ["filed", "vanished"]


def test_a_copy_of_a_photo_that_was_moved_by_hand_does_not_end_its_row(whole: Installation) -> None:
    whole.file(b"copy.jpg", b"1")
    (whole.settings.sorted / "dogs/deep").mkdir()
    shutil.move(whole.settings.sorted / "cats/a/x.jpg", whole.settings.sorted / "dogs/deep/x.jpg")
    assert told(whole) == {
        "superseded sorted/cats/a/x.jpg": True, "unrecorded sorted/dogs/deep/x.jpg": True,
    }  # fmt: skip
    assert whole.state(1) == ("filed", "dogs", None, b"sorted/dogs/deep/x.jpg")


def test_rows_of_a_folder_whose_disk_may_be_missing_do_not_end(whole: Installation) -> None:
    whole.file(b"copy.jpg", b"1", outcome="duplicates")
    disk = whole.settings.sorted / "duplicates"
    shutil.move(disk, whole.settings.base / "unmounted")
    assert told(whole) == {"superseded sorted/duplicates/copy.jpg": False}
    disk.mkdir()
    [kept] = repaired(whole)
    assert not kept.done and "if you emptied it, put any file into it and repair again" in kept.told
    put(disk / "other.jpg", b"9")
    assert told(whole)["superseded sorted/duplicates/copy.jpg"]


def test_rows_of_a_place_that_sorted_has_left_do_not_end(whole: Installation) -> None:
    """They are right again once the settings or the rows name the place where the photos are."""
    whole.file(b"copy.jpg", b"1", outcome="dogs")
    old = whole.settings.base / "old/cats/a/x.jpg"
    _as_filed(whole, 1, os.fsencode(old), "cats")
    (whole.settings.sorted / "cats/a/x.jpg").unlink()
    put(whole.settings.sorted / "cats/other.jpg", b"9")
    assert told(whole)["superseded old/cats/a/x.jpg"] is False


def test_a_photo_that_is_gone_with_its_copy_is_missing(whole: Installation) -> None:
    whole.file(b"copy.jpg", b"1")
    for path in ("cats/a/x.jpg", "cats/copy.jpg"):
        (whole.settings.sorted / path).unlink()
    assert left(whole) == ["missing", "missing"]


# --- other spellings of a name -----------------------------------------------------------------------------


@pytest.fixture
def exfat(tmp_path: Path) -> Iterator[Path]:
    """An exFAT disk in a file, mounted as `sorted`, which takes upper and lower case for the same."""
    if os.getuid() or not all(map(shutil.which, ("mkfs.exfat", "mount.exfat-fuse", "losetup"))):
        pytest.skip("needs root, and the packages exfatprogs and exfat-fuse")
    image, folder = tmp_path / "disk", tmp_path / "sorted"
    folder.mkdir()
    with open(image, "wb") as file:
        file.truncate(4_000_000)
    subprocess.run(["mkfs.exfat", image], check=True, capture_output=True)
    loop = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True)
    mounted = (
        loop.returncode == 0
        and not subprocess.run(
            ["mount.exfat-fuse", loop.stdout.strip(), folder], capture_output=True
        ).returncode
    )
    try:
        if not mounted:
            pytest.skip("exFAT cannot be mounted here")
        yield folder
    finally:
        subprocess.run(["umount", folder], capture_output=True)
        subprocess.run(["losetup", "-d", loop.stdout.strip()], capture_output=True)


def test_a_photo_whose_case_was_changed_on_exfat_has_its_row(exfat: Path, tmp_path: Path) -> None:
    pawsort = Installation(tmp_path)
    pawsort.file("été/straße.jpg".encode(), b"1")
    pawsort.file(b"123", b"2")
    os.rename(exfat / "cats", exfat / "Cats")
    os.rename(exfat / "Cats/été/straße.jpg", exfat / "Cats/été/other")
    os.rename(exfat / "Cats/été/other", exfat / "Cats/été/STRAßE.JPG")
    put(exfat / "Cats/new.jpg", b"3")
    assert "STRAßE.JPG" in os.listdir(exfat / "Cats/été")
    assert [(p.kind, os.path.basename(p.path)) for p in check.examine(pawsort.engine, pawsort.settings)] == [
        ("unrecorded", b"new.jpg")
    ]
    pawsort.close()


def _nfd(path: bytes) -> bytes:
    return os.fsencode(unicodedata.normalize("NFD", os.fsdecode(path)))


@pytest.mark.parametrize("respell", [bytes.upper, _nfd], ids=["case", "accents"])
def test_a_file_system_that_takes_two_spellings_for_one(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, respell: Callable[[bytes], bytes]
) -> None:
    """A listing has one spelling, and every call takes the other too."""
    name = "café.jpg".encode()
    pawsort.file(name, b"1")
    honest, listed = os.lstat, moves.files_below

    def lstat(path: Any, **options: Any) -> os.stat_result:
        folder, base = os.path.split(os.fsencode(path))
        return honest(os.path.join(folder, name) if base == respell(name) else path, **options)

    def files_below(folder: bytes, trouble: Any) -> Iterator[bytes]:
        for path in listed(folder, trouble):
            head, base = os.path.split(path)
            yield os.path.join(head, respell(base) if base == name else base)

    monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(moves, "files_below", files_below)
    assert left(pawsort) == []
    [change] = pawsort.correct(b"cats/" + respell(name))
    assert (change.problem, change.outcome) == (None, "dogs")
    assert repaired(pawsort) == []


def test_two_files_whose_names_differ_in_case_are_two(pawsort: Installation) -> None:
    pawsort.file(b"a.jpg", b"1")
    recorded = pawsort.settings.sorted / "cats/a.jpg"
    shutil.copy2(recorded, recorded.with_name("A.jpg"))
    os.link(recorded, recorded.with_name("A.JPG"))
    assert told(pawsort) == {"unrecorded sorted/cats/A.jpg": True, "unrecorded sorted/cats/A.JPG": True}


def test_rows_are_read_in_pages(pawsort: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "PATHS_PAGE", 2)
    for number in range(5):
        pawsort.file(b"%d.jpg" % number, b"%d" % number)
    assert len(list(integrity.filed_paths(pawsort.engine))) == 5
