"""After a move one command lets all rows follow, and nothing is recorded twice."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.cli.options import database
from pipeline.cli.serve_command import serve
from pipeline.doctor import check
from pipeline.errors import LockError, SettingsError
from pipeline.files.moved_folder import MovedFolder
from pipeline.relocate import follow as following
from pipeline.relocate.follow import follow
from pipeline.relocate.marker import mark, refuse_moved
from pipeline.relocate.plan import Plan, moved_folder, plan
from pipeline.relocate.unfollowed import apart, refuse_unfollowed
from pipeline.service import service
from pipeline.settings import config
from pipeline.worker import heartbeat
from pipeline.worker.locks import worker_lock
from tests.pipeline.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.support.installation import Installation
from tests.support.oracle import files_below
from tests.support.stub_classifier import BUNDLE, StubClassifier

SETTINGS = """
inboxes: [inbox, {path: originals, action: ACTION}]
decision: {min_confidence: 0.9}
batch: {size: 4, wait_seconds: 0}
watch: {mode: polling, settle_seconds: 0, rescan_seconds: 0.05}
"""
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def filled(folder: Path, action: str) -> Installation:
    """File photos of each kind: moved, put back, deleted, on their way; and of originals, with a sidecar."""
    pawsort = Installation(folder, SETTINGS.replace("ACTION", action))
    pawsort.drop("trip/a\udcff.jpg".encode("utf-8", "surrogateescape"), b"1<cat>")
    pawsort.drop("back.jpg", b"2<dog>")
    pawsort.drop("kept.jpg", b"3<cat>", inbox=1)
    pawsort.drop("kept.xmp", b"<sidecar>", inbox=1)
    pawsort.run_worker()
    pawsort.undo(files=(b"dogs/back.jpg",))
    pawsort.claim(b"decided.jpg", decided=True)
    pawsort.close()
    return pawsort


def texts(base: Path) -> list[str]:
    """Return all absolute paths of the database."""
    with closing(sqlite3.connect(base / "state/pawsort.db")) as database:
        columns = "SELECT path FROM files UNION ALL SELECT destination FROM files UNION ALL SELECT inbox "
        columns += "FROM files UNION ALL SELECT source FROM moves UNION ALL SELECT destination FROM moves"
        return [row[0] for row in database.execute(columns) if row[0] is not None]


def done(pawsort: Installation, old: Path) -> Plan:
    return follow(pawsort.engine, pawsort.settings, moved_folder(old, pawsort.folder), NOW)


def copied(tmp_path: Path, action: str) -> tuple[Installation, Installation]:
    """An installation, and a copy of it with all times and links."""
    first = filled(tmp_path / "old", action)
    shutil.copytree(tmp_path / "old", tmp_path / "new", symlinks=True)
    text = SETTINGS.replace("ACTION", action)
    return first, Installation(tmp_path / "new", text)


@pytest.mark.parametrize("action", ["move", "copy", "hardlink", "symlink"])
@pytest.mark.parametrize("old_stays", [False, True], ids=["moved", "copied"])
def test_all_rows_follow_and_nothing_is_taken_again(tmp_path: Path, action: str, old_stays: bool) -> None:
    first, pawsort = copied(tmp_path, action)
    if not old_stays:
        shutil.rmtree(tmp_path / "old")
    before = sorted(files_below(tmp_path / "old")) if old_stays else []
    made = done(pawsort, tmp_path / "old")
    assert texts(pawsort.folder) != [] and all(
        text.startswith(str(tmp_path / "new")) for text in texts(pawsort.folder)
    )
    assert (made.missing, made.links > 0) == (0, action == "symlink")
    pawsort.run_worker()
    names = [name for (name,) in pawsort.rows("name", "state <> 'undone'")]
    assert sorted(names) == ["a\\xff.jpg", "decided.jpg", "kept.jpg"], "each once"
    assert pawsort.rows("name", "state = 'undone'") == [("back.jpg",)]
    assert [str(each) for each in check.examine(pawsort.engine, pawsort.settings, hashes=True)] == []
    links = [os.readlink(path) for path in pawsort.settings.sorted.rglob("*") if path.is_symlink()]
    assert all(link.startswith(str(tmp_path / "new")) for link in links)
    if old_stays:
        state = os.fsencode(tmp_path / "old/state")
        marked = {*before, state + b"/moved.json", state + b"/worker.lock"}
        assert set(files_below(tmp_path / "old")) == marked
        with pytest.raises(SettingsError, match=f"was moved to {tmp_path}/new/state at 2026-11-22"):
            service.run(first.settings, once=True, classifier=StubClassifier())
        with pytest.raises(SettingsError, match="was moved to"), database(first.settings, "write"):
            pass
        with database(first.settings, "read") as engine:
            assert "was moved to" in str(next(check.examine(engine, first.settings)))
    refuse_moved(pawsort.settings.state)
    pawsort.close()


def test_the_plan_changes_nothing(tmp_path: Path) -> None:
    _, pawsort = copied(tmp_path, "symlink")
    before = (texts(pawsort.folder), files_below(tmp_path / "old"))
    made = plan(pawsort.engine, pawsort.settings, moved_folder(tmp_path / "old", tmp_path / "new"))
    assert made.problems == [] and made.rows["files.path"] == 4 and made.links > 0
    assert "nothing was changed; --apply does it" in made.as_text(done=False)
    assert (texts(pawsort.folder), files_below(tmp_path / "old")) == before
    pawsort.close()


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    _, pawsort = copied(tmp_path, "symlink")
    done(pawsort, tmp_path / "old")
    again = done(pawsort, tmp_path / "old")
    assert again.is_empty and "nothing to do" in again.as_text(done=True)
    pawsort.close()


def test_links_are_pointed_anew_after_a_command_that_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pawsort = copied(tmp_path, "symlink")
    with monkeypatch.context() as patch:
        patch.setattr(following, "_point_anew", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            done(pawsort, tmp_path / "old")
    assert done(pawsort, tmp_path / "old").links > 0
    assert {each.kind for each in check.examine(pawsort.engine, pawsort.settings)} == {"unfinished"}
    pawsort.close()


def test_the_mark_is_taken_off_where_the_rows_cannot_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pawsort = copied(tmp_path, "move")
    monkeypatch.setattr(following.prefixes, "follow", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        done(pawsort, tmp_path / "old")
    refuse_moved(tmp_path / "old/state")
    pawsort.close()


def test_no_pages_are_served_from_a_state_folder_that_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.web.server.serve", lambda *_, **__: 0)
    (tmp_path / "config.yaml").touch()
    (tmp_path / "state").mkdir()
    mark(tmp_path / "state", tmp_path / "new", datetime.now(UTC))
    with pytest.raises(SettingsError, match="use Pawsort there"):
        serve(tmp_path / "config.yaml")


def test_a_file_that_is_only_at_the_old_place_stops_it(tmp_path: Path) -> None:
    _, pawsort = copied(tmp_path, "move")
    shutil.rmtree(tmp_path / "new/sorted/cats")
    before = texts(pawsort.folder)
    with pytest.raises(SettingsError, match="files are still at the old place only"):
        done(pawsort, tmp_path / "old")
    assert texts(pawsort.folder) == before
    pawsort.close()


def test_originals_without_their_times_stop_it(tmp_path: Path) -> None:
    _, pawsort = copied(tmp_path, "copy")
    os.utime(tmp_path / "new/originals/kept.jpg", (1, 1))
    with pytest.raises(SettingsError, match="copy them with their times"):
        done(pawsort, tmp_path / "old")
    pawsort.close()


@pytest.mark.parametrize("where", ["here", "there", "on another machine"])
def test_a_worker_at_work_stops_it(tmp_path: Path, where: str) -> None:
    first, pawsort = copied(tmp_path, "move")
    if where == "on another machine":
        now = datetime.now(UTC)
        beat = heartbeat.Heartbeat(1, now, now, "watching", "ok")
        beat.write(first.settings.state / heartbeat.FILE_NAME)
        with pytest.raises(SettingsError, match="another machine"):
            done(pawsort, tmp_path / "old")
    else:
        with (
            worker_lock((pawsort if where == "here" else first).settings),
            pytest.raises((LockError, SettingsError), match="at work on"),
        ):
            done(pawsort, tmp_path / "old")
    pawsort.close()


def test_settings_that_still_name_the_old_folder_stop_it(tmp_path: Path) -> None:
    first = filled(tmp_path / "old", "move")
    (tmp_path / "new").mkdir()
    made = plan(first.engine, first.settings, moved_folder(tmp_path / "old", tmp_path / "new"))
    assert any("sorted" in problem and "change the settings first" in problem for problem in made.problems)
    first.close()


@pytest.mark.parametrize(("old", "new"), [("a", "a"), ("/", "a"), ("a", "/"), ("a", "missing")])
def test_folders_that_cannot_be_are_refused(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(SettingsError):
        moved_folder(tmp_path / old, tmp_path / new)


def test_a_folder_inside_the_old_one_is_followed_once() -> None:
    move = MovedFolder(b"/srv/pets", b"/srv/pets/new")
    assert move.follow(b"/srv/pets/a.jpg") == b"/srv/pets/new/a.jpg"
    assert move.follow(b"/srv/pets/new/a.jpg") == b"/srv/pets/new/a.jpg"
    assert move.follow(b"/srv/pets2/a.jpg") == b"/srv/pets2/a.jpg"


# --- without the command


@pytest.mark.parametrize("action", ["move", "copy", "symlink"])
def test_a_worker_whose_rows_have_not_followed_refuses_to_start(
    tmp_path: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "load_bundle", lambda _: BUNDLE)
    _, pawsort = copied(tmp_path, action)
    before = files_below(tmp_path / "new/sorted")
    with pytest.raises(SettingsError, match=f"pawsort relocate {tmp_path}/old {tmp_path}/new`"):
        service.run(pawsort.settings, once=True, classifier=StubClassifier())
    assert files_below(tmp_path / "new/sorted") == before
    pawsort.close()


def test_an_inbox_that_is_not_watched_any_more_is_no_move(tmp_path: Path) -> None:
    pawsort = filled(tmp_path / "pets", "copy")
    (tmp_path / "pets/config.yaml").write_text("inboxes: [{path: other, action: copy}]\n")
    settings = config.load(tmp_path / "pets/config.yaml")
    settings.inboxes[0].mkdir()
    refuse_unfollowed(pawsort.engine, settings)
    pawsort.close()


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        (b"/a/pets/inbox", b"/b/pets/inbox", (b"/a/pets", b"/b/pets")),
        (b"/photos", b"/mnt/photos", (b"/photos", b"/mnt/photos")),
        (b"/b/pets/inbox", b"/b/pets/scans", (b"/b/pets/inbox", b"/b/pets/scans")),
        (b"/a/inbox", b"/b/pets/in/inbox", (b"/a", b"/b/pets/in")),
    ],
)
def test_the_advice_names_the_folders_that_were_moved(
    old: bytes, new: bytes, moved: tuple[bytes, bytes]
) -> None:
    assert apart(old, new, b"/b/pets") == moved


def test_the_command_prints_the_plan_and_applies_it(run: Run, tmp_path: Path) -> None:  # noqa: F811
    filled(tmp_path / "old", "move")
    (tmp_path / "old").rename(tmp_path / "new")
    settings = str(tmp_path / "new/config.yaml")
    words = ("relocate", str(tmp_path / "old"), str(tmp_path / "new"), "--config", settings)
    planned = run(*words)
    assert planned.code == 0 and "files.path" in planned.out and "--apply does it" in planned.out
    assert run(*words, "--apply").code == 0
    assert all(text.startswith(str(tmp_path / "new")) for text in texts(tmp_path / "new"))
