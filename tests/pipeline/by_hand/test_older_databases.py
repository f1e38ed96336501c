"""A database that is lost, or older than the folders: what Pawsort has filed is no statement of people."""

from __future__ import annotations

import shutil

import pytest

from pipeline.by_hand import memory
from tests.pipeline.by_hand.conftest import Followed, picture


def test_photos_of_a_lost_database_are_recorded_without_a_label(pawsort: Followed) -> None:
    """Pawsort may have put them there: its folders say nothing of them; a folder of people does."""
    pawsort.file(b"a.png", picture("a"), "cats")
    pawsort.put("rabbits/b.png")
    pawsort.close()
    for path in (pawsort.settings.state / "sorted_folders.json", *pawsort.settings.state.glob("pawsort.db*")):
        path.unlink()
    fresh = Followed(pawsort.folder, pawsort.config.read_text())
    fresh.follow()
    assert sorted(fresh.rows("outcome, corrected_to")) == [("cats", None), ("rabbits", "rabbits")]
    assert fresh.found() == []
    fresh.put("cats/c.png")
    fresh.follow()
    assert fresh.rows("corrected_to", "name = 'c.png'") == [("cat",)]
    fresh.close()


def test_photos_filed_since_a_backup_of_the_database_are_recorded_without_a_label(pawsort: Followed) -> None:
    pawsort.file(b"a.png", picture("a"), "cats")
    pawsort.follow()
    database = pawsort.settings.state / "pawsort.db"
    pawsort.engine.dispose()
    backup = database.read_bytes()
    pawsort.file(b"b.png", picture("b"), "cats")
    pawsort.follow()
    pawsort.close()
    database.write_bytes(backup)
    restored = Followed(pawsort.folder, pawsort.config.read_text())
    restored.follow()
    assert restored.rows("name, corrected_to") == [("a.png", None), ("b.png", None)]
    restored.close()


def test_photos_filed_since_a_backup_of_the_state_folder_are_recorded_without_a_label(
    pawsort: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory is as old as the database then."""
    pawsort.file(b"a.png", picture("a"), "cats")
    pawsort.follow()
    pawsort.close()
    backup = pawsort.folder / "backup"
    shutil.copytree(pawsort.settings.state, backup)
    pawsort = Followed(pawsort.folder, pawsort.config.read_text())
    pawsort.file(b"b.png", picture("b"), "cats")
    pawsort.close()
    shutil.rmtree(pawsort.settings.state)
    monkeypatch.setattr(memory, "RESTORED_SECONDS", 0.0)
    shutil.copytree(backup, pawsort.settings.state)
    restored = Followed(pawsort.folder, pawsort.config.read_text())
    restored.follow()
    assert restored.rows("name, corrected_to") == [("a.png", None), ("b.png", None)]
    restored.close()


def test_a_memory_that_cannot_be_read_is_made_anew(
    pawsort: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    (pawsort.settings.state / "sorted_folders.json").write_bytes(b"{")
    pawsort.file(b"a.jpg", b"1", "cats")
    pawsort.follow(afresh=True)
    assert "is made anew" in caplog.text
