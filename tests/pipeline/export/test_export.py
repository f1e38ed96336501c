from __future__ import annotations

import contextlib
import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from db.queries.listing import RESULT_COLUMNS, ResultFilter
from models.data import dataset
from pipeline.classifier.configured_model import load_bundle
from pipeline.cli import app
from pipeline.errors import LockError, PawsortError, SettingsError
from pipeline.export import export as exports
from pipeline.export.export import Exported, Way, export
from pipeline.export.manifest import Manifest
from pipeline.files import exact_copy
from tests.support.crash import Mortal
from tests.support.installation import Installation
from tests.support.pictures import encode

ALL = ResultFilter()
COPIES = Way()


def run(pawsort: Installation, filters: ResultFilter = ALL, way: Way = COPIES) -> list[Exported]:
    return list(export(pawsort.engine, pawsort.settings, pawsort.folder / "out", filters, way))


def found(pawsort: Installation) -> dict[str, bytes]:
    out = pawsort.folder / "out"
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("manifest.csv", exports.LOCK_NAME)
    }


def listed(pawsort: Installation) -> list[dict[str, str]]:
    with (pawsort.folder / "out" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_photos_go_into_the_folder_of_the_label_that_a_person_gave_else_of_their_folder(
    pawsort: Installation,
) -> None:
    pawsort.file(b"holiday/a.jpg", b"1")
    pawsort.file(b"b.jpg", b"2")
    pawsort.file(b"c.jpg", b"3", "uncertain", reason="low_confidence")
    pawsort.file(b"d.jpg", b"4", "uncertain", reason="neither")
    pawsort.file(b"e.jpg", b"5", "failed", prediction=None)
    pawsort.correct(b"cats/b.jpg", label="dog")
    pawsort.correct(b"uncertain/d.jpg", label="neither")
    results = run(pawsort)
    assert found(pawsort) == {"cat/holiday/a.jpg": b"1", "dog/b.jpg": b"2", "neither/d.jpg": b"4"}
    assert sum(result.path is None for result in results) == 2
    assert list(listed(pawsort)[0]) == [*RESULT_COLUMNS, "exported_path", "label"]
    assert {(line["exported_path"], line["label"]) for line in listed(pawsort)} == {
        ("cat/holiday/a.jpg", "cat"), ("dog/b.jpg", "dog"), ("neither/d.jpg", "neither"),
    }  # fmt: skip


def test_only_judged_photos_or_only_the_others(pawsort: Installation) -> None:
    for name in (b"a.jpg", b"b.jpg"):
        pawsort.file(name, name)
    pawsort.correct(b"cats/a.jpg", label="cat")  # a confirmation
    run(pawsort, ResultFilter(reviewed=True))
    assert set(found(pawsort)) == {"cat/a.jpg"}
    run(pawsort, ResultFilter(reviewed=False))
    assert set(found(pawsort)) == {"cat/a.jpg", "cat/b.jpg"}


def test_train_finds_the_classes_and_photos_of_an_export(pawsort: Installation) -> None:
    for number in range(24):
        folder = ("cats", "dogs", "uncertain")[number % 3]
        label = ("cat", "dog", "cat")[number % 3]
        noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        data = encode(Image.fromarray(noise), "PNG")
        pawsort.file(b"%d.png" % number, data, folder, prediction=label)
        if folder == "uncertain":
            pawsort.correct(b"uncertain/%d.png" % number, label="neither")
    run(pawsort)
    photos = dataset.scan([pawsort.folder / "out"], seed=1)
    assert photos.classes == ("cat", "dog", "neither")
    assert len(photos) + len(photos.set_aside) == 24
    assert not [item for item in photos.set_aside if b"manifest" in item.path]


def test_the_original_layout_keeps_the_folders_of_the_inbox_and_takes_photos_without_a_label(
    pawsort: Installation,
) -> None:
    pawsort.file(b"trip/a.jpg", b"1")
    pawsort.file(b"b.jpg", b"2", "uncertain", reason="low_confidence")
    run(pawsort, way=Way("original"))
    assert found(pawsort) == {"trip/a.jpg": b"1", "b.jpg": b"2"}
    assert {line["exported_path"]: line["label"] for line in listed(pawsort)} == {
        "trip/a.jpg": "cat", "b.jpg": "",
    }  # fmt: skip


def test_names_that_collide_get_a_number_and_nothing_is_overwritten(pawsort: Installation) -> None:
    pawsort.file(b"a.jpg", b"1")
    pawsort.file(b"sub/b.jpg", b"2")
    pawsort.file(b"a.jpg", b"3", "dogs", prediction="dog")
    pawsort.correct(b"dogs/a.jpg", label="cat")
    run(pawsort, ResultFilter(limit=1))
    (pawsort.folder / "out" / "cat" / "a.jpg").write_bytes(b"of another program")
    run(pawsort)
    assert found(pawsort)["cat/a.jpg"] == b"of another program"
    assert set(found(pawsort).values()) == {b"of another program", b"1", b"2", b"3"}


def test_a_second_export_adds_what_is_new_and_moves_what_has_another_label(pawsort: Installation) -> None:
    pawsort.file(b"a.jpg", b"1")
    pawsort.file(b"b.jpg", b"2")
    run(pawsort)
    pawsort.file(b"c.jpg", b"3")
    pawsort.correct(b"cats/b.jpg", label="dog")
    results = run(pawsort)
    assert [result.is_new for result in results] == [True, False, False]
    assert found(pawsort) == {"cat/a.jpg": b"1", "dog/b.jpg": b"2", "cat/c.jpg": b"3"}
    assert sorted((line["exported_path"], line["label"]) for line in listed(pawsort)) == [
        ("cat/a.jpg", "cat"), ("cat/c.jpg", "cat"), ("dog/b.jpg", "dog"),
    ]  # fmt: skip


@pytest.mark.parametrize("link", [False, True])
def test_an_export_that_was_interrupted_anywhere_completes(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, link: bool
) -> None:
    for number in range(6):
        pawsort.file(b"%d.jpg" % number, b"%d" % number)

    class Killed(BaseException):
        pass

    def dying(method: str, at: int) -> Iterator[None]:
        done = 0
        original = getattr(Manifest, method)

        def die(self: Manifest, *values: Any) -> Any:
            nonlocal done
            done += 1
            if done == at:
                self._file.write("7,half a li")
                self._file.flush()
                raise Killed
            return original(self, *values)

        with monkeypatch.context() as patch:
            patch.setattr(Manifest, method, die)
            patch.setattr(Manifest, "__exit__", lambda self, *_: self._file.close())
            yield

    for at in (1, 2, 3):
        for _ in dying("add", at):
            with pytest.raises(Killed):
                run(pawsort, way=Way(link=link))
    run(pawsort, way=Way(link=link))
    assert found(pawsort) == {f"cat/{number}.jpg": b"%d" % number for number in range(6)}
    assert len(listed(pawsort)) == 6


def test_a_hard_link_is_another_name_of_the_photo(pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg", b"1")
    run(pawsort, way=Way(link=True))
    path = pawsort.state(id)[3]
    assert path is not None
    assert os.path.samefile(pawsort.folder / os.fsdecode(path), pawsort.folder / "out/cat/a.jpg")


def test_a_disk_that_takes_no_link_ends_it_with_advice(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.file(b"a.jpg", b"1")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("pipeline.files.exact_copy.os.link", refuse)
    with pytest.raises(PawsortError, match="leave out --link"):
        run(pawsort, way=Way(link=True))


def test_a_photo_that_is_missing_or_changed_is_named_and_the_others_are_exported(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (b"a.jpg", b"b.jpg", b"c.jpg"):
        pawsort.file(name, name)
    (pawsort.settings.sorted / "cats/a.jpg").unlink()
    (pawsort.settings.sorted / "cats/b.jpg").write_bytes(b"x.jpg")
    monkeypatch.setattr(
        sys, "argv", ["pawsort", "--config", str(pawsort.config), "export", str(pawsort.folder / "out")]
    )
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert "1 photos exported" in shown.out
    assert "cats/a.jpg: is missing" in shown.err
    assert "cats/b.jpg: its content has changed since it was filed" in shown.err
    assert set(found(pawsort)) == {"cat/c.jpg"}


def test_a_photo_that_was_corrected_meanwhile_is_found_at_its_new_place(pawsort: Installation) -> None:
    pawsort.file(b"a.jpg", b"1")
    pawsort.file(b"b.jpg", b"2")
    results = export(pawsort.engine, pawsort.settings, pawsort.folder / "out", ALL, Way())
    assert next(results).path == b"cat/b.jpg"
    pawsort.correct(b"cats/a.jpg", label="dog")
    assert next(results).path == b"dog/a.jpg"


def test_an_exported_copy_that_was_edited_is_named(pawsort: Installation) -> None:
    pawsort.file(b"a.jpg", b"1")
    run(pawsort)
    (pawsort.folder / "out/cat/a.jpg").write_bytes(b"cropped")
    [result] = run(pawsort)
    assert result.problem == "cat/a.jpg in the export has changed"
    assert found(pawsort) == {"cat/a.jpg": b"cropped"}


def test_names_of_any_bytes_and_of_formulas_are_found_again(pawsort: Installation) -> None:
    names = [b"=1+1.jpg", b"\xff\n.jpg", b"'=x.jpg", b"a;=b\\x0a.jpg"]
    for name in names:
        pawsort.file(name, name)
    way = Way("original")
    assert all(result.is_new for result in run(pawsort, way=way))
    assert not any(result.is_new for result in run(pawsort, way=way))
    assert len(found(pawsort)) == len(names)
    assert not [line for line in listed(pawsort) if line["exported_path"].startswith("=")]


@pytest.mark.parametrize("place", ["sorted/x", "inbox", "state", "."])
def test_an_export_into_or_around_the_workers_folders_is_refused(pawsort: Installation, place: str) -> None:
    with pytest.raises(SettingsError, match="beside it"):
        list(export(pawsort.engine, pawsort.settings, pawsort.folder / place, ALL, Way()))


def test_a_folder_with_other_files_is_refused_and_stays_as_it_is(pawsort: Installation) -> None:
    out = pawsort.folder / "out"
    out.mkdir()
    (out / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(SettingsError, match="other files"):
        run(pawsort)
    assert [path.name for path in out.iterdir()] == ["letter.txt"]
    (out / "manifest.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="not the list of an export"):
        run(pawsort)


def test_two_exports_into_one_folder_exclude_each_other(pawsort: Installation) -> None:
    pawsort.file(b"a.jpg", b"1")
    first = export(pawsort.engine, pawsort.settings, pawsort.folder / "out", ALL, Way())
    next(first)
    with pytest.raises(LockError):
        run(pawsort)
    assert list(first) == []


def test_a_copy_that_differs_from_the_row_leaves_nothing(tmp_path: Path) -> None:
    source, target = os.fsencode(tmp_path / "a"), os.fsencode(tmp_path / "b")
    Path(os.fsdecode(source)).write_bytes(b"1")
    with pytest.raises(exact_copy.ContentChangedError):
        exact_copy.put(source, target, "0" * 64)
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("link", [False, True])
def test_an_export_that_dies_or_fails_at_any_change_of_a_file_completes(
    pawsort: Installation, mortal: Mortal, monkeypatch: pytest.MonkeyPatch, link: bool
) -> None:
    pawsort.file(b"sub/a.jpg", b"1")
    expected = {"cat/sub/a.jpg": b"1"}
    bundle = load_bundle(pawsort.settings)
    monkeypatch.setattr(exports, "load_bundle", lambda _: bundle)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # counted, but no disk is waited for

    def into(folder: Path) -> list[Exported]:
        with contextlib.suppress(PawsortError):
            return list(export(pawsort.engine, pawsort.settings, folder, ALL, Way(link=link)))
        return []

    def contents(folder: Path) -> dict[str, bytes]:
        files = [path for path in folder.rglob("*") if path.is_file() and path.parent != folder]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    tries = 0
    for n in range(1000):
        died, failed = pawsort.folder / f"died{n}", pawsort.folder / f"failed{n}"
        ended = [
            mortal.dies_at(n, lambda died=died: into(died), (Manifest, "add")),  # type: ignore[misc]
            mortal.fails_at(n, lambda failed=failed: into(failed), ever=False),  # type: ignore[misc]
        ]
        for folder in (died, failed):
            assert not [result.problem for result in into(folder) if result.problem], (n, folder)
            assert contents(folder) == expected, (n, folder)
        tries += 1
        if not any(ended):
            break
    assert tries > 10
