from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from sqlalchemy import event, text

from db.connection.engine import writing
from db.queries import integrity
from db.schema.tables import files
from pipeline.doctor import check, check_files
from pipeline.doctor.problem import Problem
from pipeline.doctor.repair import repair
from pipeline.files import moves
from pipeline.worker.locks import worker_lock
from tests.support.installation import Installation


@pytest.fixture
def whole(pawsort: Installation) -> Installation:
    """A house where all agrees: two photos, one corrected, one undone."""
    pawsort.settings.reports.mkdir(exist_ok=True)
    pawsort.file(b"x.jpg", b"1")
    pawsort.file(b"a/\xff.jpg", b"2")
    pawsort.file(b"back.jpg", b"3")
    pawsort.undo(last=1)
    pawsort.correct(b"cats/x.jpg")
    return pawsort


def examine(pawsort: Installation, hashes: bool = False) -> list[tuple[str, bytes]]:
    base = os.fsencode(pawsort.settings.base)
    problems = list(check.examine(pawsort.engine, pawsort.settings, hashes))
    assert all(len(str(problem).splitlines()) == 1 and problem.as_dict() for problem in problems)
    return [(problem.kind, os.path.relpath(problem.path, base)) for problem in problems]


def put(folder: Path, name: str, content: bytes = b"?") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def test_nothing_is_found_where_all_agrees(whole: Installation) -> None:
    assert examine(whole, hashes=True) == []


def test_a_deleted_photo_is_missing(whole: Installation) -> None:
    (whole.settings.sorted / "dogs/x.jpg").unlink()
    assert examine(whole) == [("missing", b"sorted/dogs/x.jpg")]


def test_a_photo_that_was_moved_by_hand_is_missing_and_unrecorded(whole: Installation) -> None:
    shutil.move(whole.settings.sorted / "dogs/x.jpg", whole.settings.sorted / "cats/x.jpg")
    assert examine(whole) == [("missing", b"sorted/dogs/x.jpg"), ("unrecorded", b"sorted/cats/x.jpg")]


def test_an_edited_photo_is_changed(whole: Installation) -> None:
    put(whole.settings.sorted / "dogs", "x.jpg", b"longer")
    assert examine(whole) == [("changed", b"sorted/dogs/x.jpg")]


def test_only_hashes_show_an_edit_of_the_same_size(whole: Installation) -> None:
    put(whole.settings.sorted / "dogs", "x.jpg", b"?")
    assert examine(whole) == []
    assert examine(whole, hashes=True) == [("changed", b"sorted/dogs/x.jpg")]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("x", path)])
def test_an_entry_that_is_not_a_regular_file_counts_as_changed(whole: Installation, make: object) -> None:
    path = whole.settings.sorted / "dogs/x.jpg"
    path.unlink()
    assert callable(make)
    make(path)
    assert examine(whole, hashes=True) == [("changed", b"sorted/dogs/x.jpg")]


@pytest.mark.fault(88)
def test_a_file_without_a_row_is_unrecorded_unless_a_program_left_it(whole: Installation) -> None:
    put(whole.settings.sorted / "cats/deep", "new.jpg")
    put(whole.settings.sorted / "cats", ".DS_Store")
    put(whole.settings.sorted / "cats", "Thumbs.db")
    put(whole.settings.sorted, "README.txt")
    assert examine(whole) == [("unrecorded", b"sorted/cats/deep/new.jpg")]


def test_a_file_that_disappears_during_the_check_is_not_reported(
    whole: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(whole.settings.sorted / "cats", "new.jpg")

    def late(engine: object, paths: list[bytes]) -> dict[bytes, object]:
        (whole.settings.sorted / "cats/new.jpg").unlink(missing_ok=True)
        return {path: None for path in paths if not path.endswith(b"new.jpg")}

    monkeypatch.setattr(check_files, "filed_at_paths", late)
    assert examine(whole) == []


def test_a_file_in_the_spool_without_a_row_is_an_orphan(whole: Installation) -> None:
    put(whole.settings.spool, "77-0123abcd")
    put(whole.settings.spool, "1-00000000")
    assert sorted(examine(whole)) == [
        ("orphan", b"state/spool/1-00000000"),
        ("orphan", b"state/spool/77-0123abcd"),
    ]


def test_a_cut_off_copy_is_a_leftover(whole: Installation) -> None:
    put(whole.settings.sorted / "cats", moves.TEMPORARY.decode() + "01")
    put(whole.settings.spool, moves.TEMPORARY.decode() + "02")
    assert sorted(kind for kind, _ in examine(whole)) == ["leftover", "leftover"]
    with worker_lock(whole.settings):
        assert examine(whole) == []


def test_an_unfinished_row_is_reported_when_no_worker_runs(whole: Installation) -> None:
    spool_name = whole.claim(b"new.jpg")
    assert examine(whole) == [("unfinished", b"state/spool/" + spool_name)]
    with worker_lock(whole.settings):
        assert examine(whole) == []


def test_a_decided_file_that_is_nowhere_is_missing_even_while_the_worker_runs(whole: Installation) -> None:
    spool_name = whole.claim(b"new.jpg", decided=True)
    with worker_lock(whole.settings):
        assert examine(whole) == []
        (whole.settings.spool / os.fsdecode(spool_name)).unlink()
        assert examine(whole) == [("missing", b"state/spool/" + spool_name)]


def test_a_file_between_rename_and_commit_is_not_reported(whole: Installation) -> None:
    spool_name = whole.claim(b"new.jpg", decided=True)
    shutil.move(whole.settings.spool / os.fsdecode(spool_name), whole.settings.sorted / "cats/new.jpg")
    with worker_lock(whole.settings):
        assert examine(whole) == []


def test_a_correction_under_way_is_only_pending(whole: Installation) -> None:
    destination = whole.raw_sorted + b"/cats/x.jpg"
    whole.ledger.begin_move(1, "correct", destination, "cats", "cat", "ann", whole.now())
    assert examine(whole) == [("pending", b"sorted/dogs/x.jpg")]
    moves.move(whole.raw_sorted + b"/dogs/x.jpg", destination)
    assert examine(whole) == [("pending", b"sorted/dogs/x.jpg")]


def test_missing_folders_and_links_are_told(whole: Installation) -> None:
    shutil.rmtree(whole.settings.inboxes[0])
    shutil.rmtree(whole.settings.reports)
    os.symlink("/tmp", whole.settings.sorted / "uncertain")
    assert examine(whole) == [("folder", b"inbox"), ("folder", b"reports"), ("folder", b"sorted/uncertain")]


def test_a_missing_sorted_folder_is_reported_and_so_are_its_files(whole: Installation) -> None:
    shutil.rmtree(whole.settings.sorted)
    assert [kind for kind, _ in examine(whole)] == ["folder", "missing", "missing"]


def test_a_folder_without_write_permission_is_reported(
    whole: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = os.fsencode(whole.settings.inboxes[0])
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed)
    assert examine(whole) == [("folder", b"inbox")]


def test_a_damaged_database_is_reported(whole: Installation) -> None:
    whole.close()
    path = whole.settings.state / "pawsort.db"
    content = bytearray(path.read_bytes())
    content[-4096:] = b"\xaa" * 4096
    path.write_bytes(content)
    assert examine(whole)[0] == ("database", b"state/pawsort.db")


def test_all_pages_are_read_to_the_end(whole: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_files, "PAGE", 2)
    monkeypatch.setattr(integrity, "PAGE", 2)
    for number in range(5):
        whole.file(b"%d.jpg" % number)
        put(whole.settings.sorted / "cats", f"new {number}.jpg")
        (whole.settings.sorted / f"cats/{number}.jpg").unlink()
    kinds = [kind for kind, _ in examine(whole)]
    assert kinds == ["missing"] * 5 + ["unrecorded"] * 5


def test_changes_by_worker_and_user_during_the_check_are_not_reported(whole: Installation) -> None:
    busy, stop = whole.again(), threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            busy.file(b"busy/%d.jpg" % number, b"%d" % number)
            busy.correct(b"cats/busy/%d.jpg" % number)
            number += 1

    thread = threading.Thread(target=work, name="pawsort-busy")
    thread.start()
    found: list[Problem] = []
    try:
        with worker_lock(whole.settings):
            for _ in range(15):
                found += check.examine(whole.engine, whole.settings, hashes=True)
    finally:
        stop.set()
        thread.join()
        busy.close()
    assert [problem for problem in found if problem.kind != "pending"] == []


def test_problems_are_told_as_they_are_found(whole: Installation) -> None:
    names = [os.fsencode(whole.settings.sorted) + b"/cats/%d" % n for n in range(3000)]
    subprocess.run(["touch", *names], check=True)
    seen = 0
    for problem in check.examine(whole.engine, whole.settings):
        seen += problem.kind == "unrecorded"
        if seen == 1:
            break  # told before all is listed
    assert seen == 1


def test_the_rows_of_a_moved_folder_are_read_in_pages(pawsort: Installation) -> None:
    """Two queries a row were hours for a million rows."""
    pawsort.settings.reports.mkdir(exist_ok=True)
    base = pawsort.settings.sorted
    pawsort.file(b"0.jpg", b"0")
    with writing(pawsort.engine) as connection:
        columns = [column.name for column in files.columns]
        values = {
            "id": "n.x", "spool_name": "'s' || n.x", "sha256": "NULL",
            "path": "replace(path, '0.jpg', n.x || '.jpg')",
        }  # fmt: skip
        chosen = ", ".join(values.get(name, f"files.{name}") for name in columns)
        numbers = "WITH RECURSIVE n(x) AS (SELECT 2 UNION ALL SELECT x + 1 FROM n WHERE x < 1000) "
        into = f"INSERT INTO files ({', '.join(columns)}) "
        connection.execute(text(f"{into}{numbers}SELECT {chosen} FROM files, n"))
    for number in range(2, 1001):
        (base / f"cats/{number}.jpg").write_bytes(b"0")
    (base / "cats").rename(base / "katzen")
    statements: list[str] = []
    event.listen(pawsort.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    found = list(check.examine(pawsort.engine, pawsort.settings))
    assert [problem.kind for problem in found] == ["moved"] and "1000 files" in found[0].message
    assert len(statements) < 100
    statements.clear()
    assert all(each.done for each in repair(pawsort.engine, pawsort.settings, ("cats", "dogs", "katzen")))
    assert len(statements) < 200
    assert examine(pawsort) == []
