"""What `keep` deletes: nothing by default, and never what something depends on."""

from __future__ import annotations

import logging
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from db.connection.engine import check_damage, writing
from db.ledger import retention, spot_checks
from db.ledger.by_hand import HandMove, record
from db.ledger.report_days import record_report
from db.schema.tables import files
from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.errors import LockError
from pipeline.files.moves import identity
from pipeline.retention import keeper as keepers
from pipeline.retention.keeper import Gone, Keeper, NightlyKeeper
from pipeline.retention.old_reports import old_reports
from pipeline.service.housekeeping import Housekeeping
from pipeline.service.shared_ledger import SharedLedger
from pipeline.settings import config
from tests.pipeline.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.support.installation import START, Installation

LATER = START + timedelta(days=40)
KEEP = "keep: {reports_days: 30, rows_days: 30, failed_days: 30}\n"
WORKER = """
decision: {min_confidence: 0.9}
batch: {wait_seconds: 0}
watch: {mode: polling, settle_seconds: 0, rescan_seconds: 0.05}
"""


@pytest.fixture
def keeping(pawsort: Installation) -> Installation:
    """An installation that keeps all for 30 days, whose reports were written."""
    pawsort.config.write_text(KEEP + WORKER, encoding="utf-8")
    pawsort.settings = config.load(pawsort.config)
    record_report(pawsort.engine, date(2026, 12, 20), LATER - timedelta(days=1), 0)
    return pawsort


def keeper(pawsort: Installation, now: datetime = LATER) -> Keeper:
    return Keeper(pawsort.engine, pawsort.settings, lambda: now)


def apply(pawsort: Installation, now: datetime = LATER) -> tuple[list[str], list[str], list[int]]:
    """Delete what may go, which must be what was planned; return the names and ids."""
    planned = named(keeper(pawsort, now).plan())
    gone = named(keeper(pawsort, now).apply())
    assert planned == gone
    assert named(keeper(pawsort, now).plan()) == ([], [], [])
    check_damage(pawsort.engine)
    return gone


def named(gone: Gone) -> tuple[list[str], list[str], list[int]]:
    return [path.name for path in gone.reports], [os.fsdecode(e.name) for e in gone.failed], list(gone.rows)


def vanished(pawsort: Installation, name: bytes = b"gone.jpg", **changes: object) -> int:
    """Return the row of a photo that is gone, with other values than such a row usually has."""
    id = pawsort.file(name, name)
    os.unlink(pawsort.raw_sorted + b"/cats/" + name)
    pawsort.ledger.end(pawsort.ledger.entries([id]), pawsort.now())
    if changes:
        with writing(pawsort.engine) as connection:
            connection.execute(update(files).where(files.c.id == id).values(**changes))
    return id


def ids(pawsort: Installation) -> set[int]:
    return {entry.id for entry in pawsort.ledger.entries(range(99))}


# --- nothing by default


def test_by_default_nothing_is_deleted_and_nothing_is_scheduled(pawsort: Installation) -> None:
    vanished(pawsort)
    pawsort.file(b"last.jpg")
    (pawsort.settings.reports / "summary-2020-01-01.csv").write_text("old")
    assert named(keeper(pawsort, LATER + timedelta(days=9_000)).apply()) == ([], [], [])
    assert (
        Housekeeping.of(pawsort.settings, pawsort.engine, None, SharedLedger(pawsort.engine, 1, None)).notes
        == []
    )


# --- reports


def test_reports_of_old_days_go_and_no_other_file(tmp_path: Path) -> None:
    old = [
        "summary-2026-11-20.csv", "images-2026-11-20.csv", "drift-2026-11-20.csv",
        "report-2026-11-20.html", "report-2026-11-20.xlsx", "excel-images-2026-11-20.csv",
    ]  # fmt: skip
    others = [
        "summary-2026-11-21.csv", "latest-summary.csv", "mine-2026-11-20.csv", "summary-2026-11-20.csv.bak",
        "summary-2026-13-45.csv", "summary-2020-01.csv",
    ]  # fmt: skip
    for name in (*old, *others):
        (tmp_path / name).write_text("x")
    (tmp_path / "report-2020-01-01.html").symlink_to(tmp_path / "mine-2026-11-20.csv")
    (tmp_path / "summary-2020-01-01.csv").mkdir()
    assert {path.name for path in old_reports(tmp_path, date(2026, 12, 21), 30)} == set(old)
    assert old_reports(tmp_path / "missing", date(2026, 12, 21), 30) == []


# --- rows of photos that are gone


def test_rows_of_photos_that_are_gone_go_with_their_moves(keeping: Installation) -> None:
    first = keeping.file(b"a.jpg", b"a")
    keeping.correct(b"cats/a.jpg")
    keeping.undo(last=1)
    os.unlink(keeping.raw_sorted + b"/cats/a.jpg")
    keeping.ledger.end(keeping.ledger.entries([first]), keeping.now())
    gone = vanished(keeping)
    stays = keeping.file(b"stays.jpg")
    assert apply(keeping)[2] == [first, gone]
    assert ids(keeping) == {stays}


@pytest.mark.parametrize("why", ["corrected", "original", "copies", "checked", "newest", "undone", "new"])
def test_a_row_on_which_something_depends_stays(keeping: Installation, why: str) -> None:
    changes = {"corrected": {"corrected_to": "dog"}, "original": {"original": "1 2 3 4"}}.get(why, {})
    changes |= {"changed_at": LATER - timedelta(days=29)} if why == "new" else {}
    id = vanished(keeping, **changes)
    if why == "copies":
        keeping.file(b"copy.jpg", duplicate_of=id)
    if why == "checked":
        id = keeping.file(b"checked.jpg")
        spot_checks.record_draw(keeping.engine, [spot_checks.Sampled(id, "cats", 1.0)], keeping.now())
        os.unlink(keeping.raw_sorted + b"/cats/checked.jpg")
        keeping.ledger.end(keeping.ledger.entries([id]), keeping.now())
    if why == "undone":
        keeping.file(b"back.jpg")
        keeping.undo(last=1)
        id += 1
    if why != "newest":
        keeping.file(b"last.jpg")
    assert id not in apply(keeping)[2]
    assert id in ids(keeping)


def test_a_row_that_no_report_counts_yet_stays(pawsort: Installation) -> None:
    pawsort.config.write_text(KEEP, encoding="utf-8")
    pawsort.settings = config.load(pawsort.config)
    vanished(pawsort)
    pawsort.file(b"last.jpg")
    assert apply(pawsort)[2] == []
    record_report(pawsort.engine, date(2026, 11, 20), START - timedelta(days=1), 0)
    assert apply(pawsort)[2] == [], "that report is older than the row"


def test_rows_that_changed_since_they_were_chosen_stay(keeping: Installation) -> None:
    id = vanished(keeping)
    keeping.file(b"copy.jpg", duplicate_of=id)
    assert retention.forget(keeping.engine, 1, [id], LATER) == []


def test_a_forgotten_original_is_not_taken_again(keeping: Installation) -> None:
    keeping.config.write_text(KEEP + WORKER + "filing: {action: copy}\n", encoding="utf-8")
    keeping.settings = config.load(keeping.config)
    keeping.drop("a.jpg", b"1<cat>")
    keeping.run_worker()
    os.unlink(keeping.raw_sorted + b"/cats/a.jpg")
    [entry] = keeping.ledger.entries([1])
    keeping.ledger.end([entry], keeping.now())
    keeping.drop("b.jpg", b"2<cat>")
    keeping.run_worker()
    apply(keeping, datetime.now(UTC) + timedelta(days=60))
    keeping.run_worker()
    assert keeping.sorted() == {"cats/b.jpg"}


# --- failed files


def failed(pawsort: Installation) -> None:
    """File two that cannot be read, one with a sidecar, and one good photo."""
    pawsort.drop("a.jpg", b"1<truncated>")
    pawsort.drop("a.xmp", b"<sidecar>")
    pawsort.drop("b.jpg", b"2<truncated>")
    pawsort.drop("good.jpg", b"3<cat>")
    pawsort.run_worker()
    assert pawsort.sorted() == {"failed/a.jpg", "failed/a.xmp", "failed/b.jpg", "cats/good.jpg"}


def in_days(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_failed_files_go_with_their_companions_and_their_rows_say_so(keeping: Installation) -> None:
    failed(keeping)
    assert apply(keeping, in_days(29)) == ([], [], [])
    assert apply(keeping, in_days(31))[1] == ["a.jpg", "b.jpg"]
    assert keeping.sorted() == {"cats/good.jpg"}
    assert keeping.rows("name, state", "state = 'removed'") == [("a.jpg", "removed"), ("b.jpg", "removed")]
    [[move], [_]] = [keeping.ledger.moves(id) for id in (1, 2)]
    assert (move.kind, move.by, move.via) == ("remove", "keep", "keep")
    keeping.run_worker()
    assert keeping.rows("state", "state = 'filed'") == [("filed",)]


@pytest.mark.parametrize("how", ["edited", "confirmed", "brought back", "moved away", "a link"])
def test_a_failed_file_that_a_person_touched_stays(
    keeping: Installation, how: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    failed(keeping)
    path = keeping.settings.sorted / "failed" / "b.jpg"
    if how == "edited":
        path.write_bytes(b"edited, and longer")
    elif how == "confirmed":
        with writing(keeping.engine) as connection:
            connection.execute(update(files).values(reviewed_at=START))
    elif how == "brought back":
        content, found = path.read_bytes(), path.stat()
        apply(keeping, in_days(31))
        path.write_bytes(content)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        return_by_hand(keeping, 2, path)
    elif how == "moved away":
        keeping.correct(b"failed/b.jpg")
    else:
        other = tmp_path_factory.mktemp("other") / "mine.jpg"
        path.rename(other)
        path.symlink_to(other)
    there = keeping.sorted()
    assert "b.jpg" not in named(keeper(keeping, in_days(90)).apply())[1]
    assert {name for name in there if "a." not in name} <= keeping.sorted()


@pytest.mark.parametrize("linked", ["failed", "failed/trip"])
def test_a_failed_file_behind_a_link_stays(
    keeping: Installation, linked: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keeping.drop("trip/a.jpg", b"1<truncated>")
    keeping.run_worker()
    folder, elsewhere = keeping.settings.sorted / linked, tmp_path_factory.mktemp("other") / "mine"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert apply(keeping, in_days(31)) == ([], [], [])
    assert (keeping.settings.sorted / "failed/trip/a.jpg").exists()


def return_by_hand(pawsort: Installation, id: int, path: Path) -> None:
    raw = os.fsencode(path)
    back = HandMove(id, "return", "removed", raw, raw, "ann", True, "failed", None, identity(raw))
    assert record(pawsort.engine, [back], pawsort.now()) == {id}


def test_a_command_at_work_is_not_disturbed(keeping: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    failed(keeping)
    monkeypatch.setattr("pipeline.corrections.correct_undo_retry.LOCK_SECONDS", 0.0)
    with moves_lock(keeping.settings), pytest.raises(LockError):
        keeper(keeping, in_days(31)).apply()
    assert "failed/b.jpg" in keeping.sorted()


# --- in portions, at night, and by the command


def test_one_night_deletes_a_bounded_number_and_says_so(
    keeping: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keepers, "PORTION", 2)
    monkeypatch.setattr(keepers, "MOST", 4)
    for number in range(6):
        vanished(keeping, b"%d.jpg" % number)
    last = keeping.file(b"last.jpg")
    nightly = NightlyKeeper(keeping.engine, keeping.settings)
    with caplog.at_level(logging.INFO):
        nightly.run_due(LATER, lambda: None)
    assert "deleted as `keep` says: 0 reports, 0 files in failed/, 4 rows of photos" in caplog.text
    assert len(ids(keeping)) == 3
    nightly.run_due(LATER, lambda: None)
    assert ids(keeping) == {last}


def test_the_command_says_what_would_go_and_deletes_it_when_asked(
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "config.yaml").write_text("keep: {reports_days: 30}\n", encoding="utf-8")
    run("db", "upgrade")
    (tmp_path / "reports").mkdir()
    old = tmp_path / "reports" / "summary-2020-01-01.csv"
    old.write_text("old")
    assert run("keep").out == (
        f"{old}\nwould be deleted: 1 reports, 0 files in failed/, 0 rows of photos that are gone\n"
    )
    assert old.exists()
    assert run("keep", "--apply").code == 0
    assert not old.exists()
