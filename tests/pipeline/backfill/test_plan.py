"""Planning a run, and whether it still fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.backfill import parts, plan, run_file
from pipeline.backfill.storage.run_path import RunPath, names, write_whole
from pipeline.errors import ModelError, PawsortError, SettingsError
from pipeline.settings.sections import DecisionSettings, LimitSettings, OutcomeSettings
from tests.pipeline.backfill.conftest import Archive
from tests.support.stub_classifier import BUNDLE


@pytest.fixture
def archive(tmp_path: Path, anywhere: RunPath) -> Archive:
    return Archive(tmp_path, anywhere)


def test_each_photo_is_in_one_part_with_an_id_of_its_own(archive: Archive) -> None:
    archive.put(*[b"<cat>"] * 5)
    planned = archive.plan(2)
    assert (planned.parts, planned.photos, planned.bytes) == (3, 5, 25)
    listed = [parts.read_list(archive.run, number) for number in range(3)]
    assert [(part.first, len(part.photos)) for part in listed] == [(0, 2), (2, 2), (4, 1)]
    assert [photo.path for part in listed for photo in part.photos] == [b"%03d.jpg" % n for n in range(5)]
    assert run_file.read(archive.run) == planned


def test_a_plan_in_a_folder_with_something_else_is_refused(archive: Archive, tmp_path: Path) -> None:
    archive.put(b"<cat>")
    run_file.make_folders(archive.run)
    write_whole(archive.run / "mine.txt", b"")
    with pytest.raises(SettingsError, match="is not empty"):
        archive.plan()
    archive.run = tmp_path / "file"
    archive.run.touch()
    with pytest.raises(SettingsError, match="is no folder"):
        archive.plan()


def test_a_plan_is_never_replaced(archive: Archive) -> None:
    archive.put(b"<cat>")
    archive.plan()
    with pytest.raises(SettingsError, match="has a run already"):
        archive.plan()


def test_a_plan_inside_its_source_is_refused(archive: Archive) -> None:
    archive.put(b"<cat>")
    archive.run = inside = archive.photos / "run"
    with pytest.raises(SettingsError, match="lies in the source"):
        archive.plan()
    assert not inside.exists()


def test_a_plan_that_was_cut_off_is_made_again(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.put(*[b"<cat>"] * 5)
    monkeypatch.setattr(run_file, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        archive.plan(1)
    monkeypatch.undo()
    with pytest.raises(SettingsError, match="no such file"):
        run_file.read(archive.run)
    write_whole(archive.run / ".run.json.ab.tmp", b"")
    write_whole(archive.run / "lists" / ".part-00009.parquet.ab.tmp", b"")
    write_whole(archive.run / "lists" / "mine.txt", b"")
    archive.plan(3)
    made = {"part-00000.parquet", "part-00001.parquet"}
    assert set(names(archive.run / "lists")) == {*made, "mine.txt"}
    assert ".run.json.ab.tmp" not in names(archive.run)


def test_a_source_without_photos_is_refused(archive: Archive) -> None:
    with pytest.raises(SettingsError, match="is empty"):
        archive.plan()
    (archive.photos / "notes.tmp").touch()
    with pytest.raises(SettingsError, match="there are no photos"):
        archive.plan()
    (archive.photos / "notes.tmp").unlink()
    archive.photos.rmdir()
    with pytest.raises(SettingsError, match="No such file"):
        archive.plan()


def test_a_run_fits_as_long_as_nothing_that_decides_changes(archive: Archive) -> None:
    archive.put(b"<cat>")
    planned = archive.plan()
    archive.put(b"<cat>", b"<dog>")  # a photo that comes later belongs to another run
    assert plan.fitting(archive.settings, BUNDLE, archive.run) == planned


@pytest.mark.parametrize(
    ("settings", "bundle", "named"),
    [
        ({"decision": DecisionSettings(min_confidence=0.5)}, {}, "threshold"),
        ({"limits": LimitSettings(file_mb=1)}, {}, "limits"),
        ({"engine": "tensorflow"}, {}, "engine"),
        ({"outcomes": OutcomeSettings(neither="others")}, {}, "actions"),
        ({}, {"sha256": "1" * 64}, "model_sha256"),
        ({}, {"folders": {"cat": "dogs", "dog": "cats"}}, "folders"),
    ],
)
def test_a_run_that_does_not_fit_says_what_differs(
    archive: Archive, settings: dict[str, object], bundle: dict[str, object], named: str
) -> None:
    archive.put(b"<cat>")
    archive.plan()
    now = archive.settings.model_copy(update=settings)
    with pytest.raises(SettingsError, match=rf"\n{named}: planned with .*, now ") as refused:
        plan.fitting(now, replace(BUNDLE, **bundle), archive.run)  # type: ignore[arg-type]
    assert refused.value.exit_code == 2


def test_a_run_whose_lists_have_changed_does_not_fit(archive: Archive) -> None:
    archive.put(b"<cat>", b"<dog>", b"<cat>")
    archive.plan()
    path = parts.list_file(archive.run, 1)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(SettingsError, match="digest: planned with"):
        plan.fitting(archive.settings, BUNDLE, archive.run)
    path.unlink()
    with pytest.raises(SettingsError, match=r"part-00001\.parquet: cannot be read"):
        plan.fitting(archive.settings, BUNDLE, archive.run)


def test_other_machines_get_the_threshold_as_a_number(archive: Archive) -> None:
    archive.put(b"<cat>")
    planned = archive.plan()
    work = archive.work()
    assert work.settings.decision.min_confidence == planned.threshold == 0.9
    assert (work.source, work.run) == (str(archive.photos), archive.run)


def test_a_run_whose_source_is_away_is_refused_before_any_part(archive: Archive) -> None:
    [photo] = archive.put(b"<cat>")
    archive.plan()
    photo.unlink()
    with pytest.raises(SettingsError, match="is its disk not mounted"):
        archive.work()


def test_a_model_without_folders_is_refused(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises((ModelError, PawsortError)):
        plan.bundle_of(archive.settings, str(tmp_path / "nowhere"))
    assert plan.bundle_of(archive.settings, None).name == "cats_dogs"
    assert plan.bundle_of(archive.settings, "cats_dogs").name == "cats_dogs"
