"""What corrections, people, `doctor`, `export` and `classify` make of companions."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.queries.listing import ResultFilter
from pipeline.classifier.classify_files import photos
from pipeline.companions.beside import found_beside, is_companion
from pipeline.corrections import correct_undo_retry
from pipeline.doctor import check
from pipeline.doctor.repair import repair
from pipeline.export.export import Way, export
from tests.pipeline.by_hand.conftest import Followed
from tests.support.installation import QUICK, Installation
from tests.support.oracle import conserved, files_below

GROUP = {"a.jpg": b"1<cat>", "a.NEF": b"raw", "a.xmp": b"x"}


@pytest.fixture
def filed(tmp_path: Path) -> Iterator[Followed]:
    """An installation with a group in `cats`."""
    pawsort = Followed(tmp_path, QUICK)
    for name, data in GROUP.items():
        pawsort.drop(f"trip/{name}", data)
    pawsort.run_worker()
    yield pawsort
    pawsort.close()


def put(pawsort: Installation, name: str, data: bytes = b"?") -> Path:
    path = pawsort.settings.sorted / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_failed_photo_is_retried_with_its_companions(tmp_path: Path) -> None:
    pawsort = Installation(tmp_path, QUICK)
    pawsort.drop("a.jpg", b"<truncated>")
    pawsort.drop("a.xmp", b"x")
    pawsort.run_worker()
    path = pawsort.raw_sorted + b"/failed/a.jpg"
    [change] = correct_undo_retry.retry(pawsort.engine, pawsort.settings, "ann", [path], pawsort.now)
    assert change.problem is None
    assert {os.path.basename(path) for path in files_below(pawsort.inbox)} == {b"a.jpg", b"a.xmp"}
    (pawsort.inbox / "a.jpg").write_bytes(b"1<cat>")
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/a.jpg", "cats/a.xmp"}
    pawsort.close()


@pytest.mark.parametrize("earlier", ["a.NEF", "a.png"])
@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_photo_leaves_the_sidecar_of_one_with_its_stem_that_was_filed_before(
    tmp_path: Path, earlier: str, action: str
) -> None:
    pawsort = Installation(tmp_path, QUICK + f"filing: {{action: {action}}}\n")
    pawsort.drop(earlier, b"1<cat>")
    pawsort.drop("a.xmp", b"x")
    pawsort.run_worker()
    pawsort.drop("a.jpg", b"2<cat>")
    pawsort.run_worker()
    before = pawsort.sorted()
    assert before == {f"cats/{earlier}", "cats/a.xmp", "cats/a.jpg"}
    assert [change.problem for change in pawsort.correct(b"cats/a.jpg")] == [None]
    assert pawsort.sorted() == {f"cats/{earlier}", "cats/a.xmp", "dogs/a.jpg"}
    assert pawsort.rows("companions") == [('["a.xmp"]',), (None,)]
    files = (b"dogs/a.jpg", b"cats/a.jpg", b"cats/" + earlier.encode())
    assert [change.problem for file in files for change in pawsort.undo(files=(file,))] == [None] * 3
    assert {path.name for path in pawsort.inbox.iterdir()} == {earlier, "a.xmp", "a.jpg"}
    assert pawsort.sorted() == set()
    pawsort.close()


@pytest.mark.parametrize("renamed_first", [True, False])
def test_a_photo_that_a_person_gave_the_name_of_another_group_leaves_that_alone(
    filed: Followed, renamed_first: bool
) -> None:
    filed.drop("trip/b.NEF", b"2<cat>")
    filed.drop("trip/b.xmp", b"y")
    filed.run_worker()
    filed.follow()
    filed.move("cats/trip/a.jpg", "cats/trip/b.jpg")
    filed.follow()
    paths = sorted([b"cats/trip/b.jpg", b"cats/trip/b.NEF"], reverse=renamed_first)
    assert [change.problem for change in filed.correct(*paths)] == [None] * 2
    moved = {f"dogs/trip/{name}" for name in ("a.jpg", "b.NEF", "b.xmp")}
    assert filed.sorted() == {"cats/trip/a.NEF", "cats/trip/a.xmp", *moved}


def test_a_sidecar_that_another_program_put_beside_a_photo_goes_with_it(filed: Followed) -> None:
    put(filed, "cats/trip/a.jpg.xmp", b"digiKam")
    put(filed, "cats/trip/a.png", b"a picture of its own")
    put(filed, "cats/trip/a.png.xmp")
    filed.correct(b"cats/trip/a.jpg")
    assert filed.sorted() == {
        *(f"dogs/trip/{name}" for name in (*GROUP, "a.jpg.xmp")), "cats/trip/a.png", "cats/trip/a.png.xmp",
    }  # fmt: skip
    assert filed.rows("companions") == [('["a.NEF", "a.jpg.xmp", "a.xmp"]',)]


def test_a_raw_with_a_row_of_its_own_is_not_taken_along(filed: Followed) -> None:
    filed.file(b"b.jpg", b"b")
    filed.file(b"b.NEF", b"another delivery")
    filed.correct(b"cats/b.jpg")
    assert {"dogs/b.jpg", "cats/b.NEF"} <= filed.sorted()


def test_a_sidecar_beside_a_numbered_photo_gets_the_name_that_it_would_have_had(filed: Followed) -> None:
    filed.file(b"trip/a.jpg", b"second")
    put(filed, "cats/trip/a (2).xmp", b"y")
    filed.correct(b"cats/trip/a (2).jpg")
    assert {"dogs/trip/a.jpg", "dogs/trip/a.xmp"} <= filed.sorted()
    assert (filed.settings.sorted / "dogs/trip/a.xmp").read_bytes() == b"y"


def test_a_companion_in_sorted_is_not_recorded_as_added_by_hand(filed: Followed) -> None:
    put(filed, "cats/trip/a.MOV")
    put(filed, "cats/trip/alone.xmp")
    put(filed, "cats/trip/alone.NEF")
    filed.follow()
    assert filed.rows("name") == [("a.jpg",), ("alone.NEF",)]


def test_a_group_that_a_person_drags_to_another_folder_has_one_row(filed: Followed) -> None:
    (filed.settings.sorted / "dogs/trip").mkdir(parents=True)
    for name in GROUP:
        os.rename(filed.settings.sorted / "cats/trip" / name, filed.settings.sorted / "dogs/trip" / name)
    filed.follow()
    assert filed.rows("name, outcome, corrected_to") == [("a.jpg", "dogs", "dog")]
    filed.undo(last=1)
    assert filed.sorted() == {f"cats/trip/{name}" for name in GROUP}


def test_companions_that_the_worker_files_cause_no_scan_of_the_folders(filed: Followed) -> None:
    follower = filed.follow()
    assert follower._agree([f"cats/trip/{name}".encode() for name in GROUP])
    put(filed, "cats/new.jpg")
    assert not follower._agree([b"cats/new.jpg"])


def test_doctor_counts_no_companion_as_a_stray(filed: Followed) -> None:
    filed.settings.reports.mkdir(exist_ok=True)
    assert list(check.examine(filed.engine, filed.settings)) == []
    put(filed, "cats/alone.NEF")
    [problem] = check.examine(filed.engine, filed.settings)
    assert (problem.kind, os.path.basename(problem.path)) == ("unrecorded", b"alone.NEF")


def test_doctor_names_a_companion_that_is_missing_and_a_repair_forgets_it(filed: Followed) -> None:
    filed.settings.reports.mkdir(exist_ok=True)
    (filed.settings.sorted / "cats/trip/a.xmp").unlink()
    [problem] = check.examine(filed.engine, filed.settings)
    assert (problem.kind, os.path.basename(problem.path), problem.id) == ("companion", b"a.xmp", 1)
    assert [each.done for each in repair(filed.engine, filed.settings, ["cats"])] == [True]
    assert filed.rows("companions") == [('["a.NEF"]',)]
    assert list(check.examine(filed.engine, filed.settings)) == []


def test_a_companion_in_the_spool_whose_photo_is_not_known_becomes_a_delivery_of_its_own_once(
    tmp_path: Path,
) -> None:
    pawsort = Installation(tmp_path, QUICK)
    name = pawsort.claim(b"a.jpg")
    for photo in (os.fsdecode(name), "9-00000000"):
        (pawsort.settings.spool / f"{photo}+0123456789abcdef").write_bytes(photo.encode())
    orphans = [p.path for p in check.examine(pawsort.engine, pawsort.settings) if p.kind == "orphan"]
    assert list(map(os.path.basename, orphans)) == [b"9-00000000+0123456789abcdef"]
    repairs = list(repair(pawsort.engine, pawsort.settings, ["cats"]))
    assert [each.done for each in repairs if each.problem.kind == "orphan"] == [True]
    for _ in range(3):
        pawsort.run_worker()
    assert len(pawsort.rows("id", "state = 'filed'")) == 3
    assert os.listdir(pawsort.settings.spool) == []
    pawsort.close()


@pytest.mark.parametrize(("layout", "names"), [("original", set(GROUP)), ("class", {"a.jpg"})])
def test_companions_are_exported_into_the_layout_of_the_inboxes_alone(
    filed: Followed, layout: str, names: set[str]
) -> None:
    out = filed.folder / "out"
    for _ in range(2):
        way = Way(layout)  # type: ignore[arg-type]
        assert not any(e.problem for e in export(filed.engine, filed.settings, out, ResultFilter(), way))
    found = {path.name for path in out.rglob("*") if path.is_file() and path.parent != out}
    assert found == names


def test_names_stay_paired_in_an_export_too(filed: Followed) -> None:
    filed.drop("trip/a.jpg", b"2<cat>", inbox=1)
    filed.drop("trip/a.xmp", b"y", inbox=1)
    filed.run_worker()
    out = filed.folder / "out"
    list(export(filed.engine, filed.settings, out, ResultFilter(), Way("original")))
    [photo] = [path for path in out.rglob("*.jpg") if path.read_bytes() == b"1<cat>"]
    assert photo.with_suffix(".xmp").read_bytes() == b"x"
    [photo] = [path for path in out.rglob("*.jpg") if path.read_bytes() == b"2<cat>"]
    assert photo.with_suffix(".xmp").read_bytes() == b"y"


def test_a_preview_lists_what_the_worker_would_classify(filed: Followed) -> None:
    for name in (*GROUP, "alone.json", "b.mov"):
        filed.drop(name, b"?")
    names = {os.path.basename(path) for path in photos([str(filed.inbox)], filed.settings)}
    assert names == {"a.jpg", "b.mov"}


def test_what_lies_beside_a_photo_is_found_without_listing_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jpg", "a.NEF", "a.NEF.xmp", "A.xmp", "a.jpg.XMP", "a.png", "b.xmp"):
        (tmp_path / name).touch()
    monkeypatch.setattr(os, "listdir", lambda *_: pytest.fail("listed"))
    monkeypatch.setattr(os, "scandir", lambda *_: pytest.fail("listed"))
    path = os.fsencode(tmp_path / "a.jpg")
    assert found_beside(path) == (b"a.NEF", b"a.NEF.xmp", b"a.jpg.XMP")
    assert is_companion(os.fsencode(tmp_path / "a.NEF"))
    assert not is_companion(path)


def test_a_raw_whose_picture_cannot_be_looked_at_now_is_no_photo_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, look = os.fsencode(tmp_path / "a.jpg"), os.lstat

    def fail(path: bytes) -> os.stat_result:
        if path == picture:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return look(path)

    assert not is_companion(os.fsencode(tmp_path / "a.NEF"))
    monkeypatch.setattr(os, "lstat", fail)
    assert is_companion(os.fsencode(tmp_path / "a.NEF"))


def photographers_tree() -> dict[str, bytes]:
    """Name what folders of cameras, phones and programs have; each content once."""
    endings = {
        "DSC_%d": (".JPG", ".NEF", ".xmp", ".WAV"),
        "IMG_%04d": (".HEIC", ".MOV", ".AAE"),
        "P%d": (".jpg", ".jpg.xmp", ".jpg.json", ".png"),
        "take(%d)": (".jpg", ".jpg.supplemental-metadata.json"),
        "RAW_%d": (".CR2", ".CR2.xmp"),
    }
    names = [
        f"{folder}{stem % number}{ending}"
        for folder in ("", "2021/trip/", "2021/Ümläut/", "2022/")
        for stem, each in endings.items()
        for number in range(1, 4)
        for ending in each
    ]
    names += [
        f"takeout/{name}" for name in ("a.jpg", "a(1).jpg", "a.jpg.json", "a.jpg(1).json", "a-edited.jpg")
    ]
    return {name: b"%d%s" % (i, (b"<cat>", b"<dog>", b"<truncated>")[i % 3]) for i, name in enumerate(names)}


def test_a_photographers_tree_is_filed_in_groups_and_comes_back_by_undo_name_for_name(tmp_path: Path) -> None:
    pawsort = Installation(tmp_path, QUICK)
    for name, data in photographers_tree().items():
        pawsort.drop(name, data)
        pawsort.drop("again/" + name, b"again" + data, inbox=1)
    for name, data in (
        ("2021/trip/DSC_1.JPG", b"x<cat>"),
        ("2021/trip/DSC_1.NEF", b"x"),
        ("metadata.json", b"{}"),
    ):
        pawsort.drop(name, data, inbox=1)
    before = [{path: Path(os.fsdecode(path)).read_bytes() for path in files_below(*pawsort.settings.inboxes)}]
    pawsort.run_worker()
    conserved(pawsort.settings, pawsort.injected)
    [(rows, companions)] = pawsort.rows("count(*), sum(json_array_length(companions))")
    assert rows + companions == len(pawsort.injected) - 1, "the album's metadata.json stays"
    assert not any(change.problem for change in pawsort.undo(last=rows))
    after = {path: Path(os.fsdecode(path)).read_bytes() for path in files_below(*pawsort.settings.inboxes)}
    assert [after] == before
    assert pawsort.sorted() == set()
    pawsort.close()
