"""Two workers that divide one inbox by the names of its files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli.classify_command import _taken_before
from pipeline.doctor.check import examine
from pipeline.errors import LockError
from pipeline.files.copy import TEMPORARY
from pipeline.settings import config
from pipeline.settings.shown import shown
from pipeline.worker.locks import worker_lock
from tests.support.installation import QUICK, Installation


def part(folder: Path, share: str, more: str = "") -> Installation:
    """Return an installation that takes a share of the inbox `shared` beside its folder."""
    inbox = folder.parent / "shared"
    inbox.mkdir(parents=True, exist_ok=True)
    said = f"{{path: {inbox}{f', share: {share}' if share else ''}{more}}}"
    return Installation(folder, QUICK.replace("[inbox, scans]", f"[{said}]"))


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[Installation]]:
    both = [part(tmp_path / name, share) for name, share in (("ann", "1/2"), ("bob", "2/2"))]
    yield both
    for each in both:
        each.close()


def test_each_file_is_taken_by_one_and_groups_stay_together(two: list[Installation]) -> None:
    for number in range(40):
        two[0].drop(f"day {number % 3}/{number}.jpg", b"%d<cat>" % number)
        two[0].drop(f"day {number % 3}/{number}.jpg.xmp", b"%d" % number)
    for each in two:
        each.run_worker()
    taken = [{name for (name,) in each.rows("source_path")} for each in two]
    assert not taken[0] & taken[1]
    assert len(taken[0] | taken[1]) == 40
    assert min(map(len, taken)) > 8
    for each in two:
        folders = {name.removesuffix(".xmp") for name in each.sorted()}
        assert sorted(each.sorted()) == sorted([*folders, *(f"{name}.xmp" for name in folders)])
    assert not any(path.is_file() for path in two[0].inbox.rglob("*"))


def test_what_an_undo_puts_back_is_left_alone_by_the_other(two: list[Installation]) -> None:
    for number in range(8):
        two[0].drop(f"{number}.jpg", b"%d<cat>" % number)
    two[0].run_worker()
    assert [change.problem for change in two[0].undo(last=9)] == [None] * len(two[0].rows())
    two[1].run_worker()
    two[0].run_worker()
    assert len(two[0].rows("id", "state = 'undone'")) == len(two[0].rows()) > 0
    assert len(two[1].rows("id", "state = 'filed'")) == 8 - len(two[0].rows())


@pytest.mark.fault(76)
def test_two_shares_are_locked_at_once_and_neither_twice_nor_beside_the_whole(
    two: list[Installation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker.locks.LOCK_SECONDS", 0.0)
    again, whole = part(tmp_path / "again", "2/2"), part(tmp_path / "whole", "")
    with worker_lock(two[0].settings), worker_lock(two[1].settings):
        with pytest.raises(LockError, match=r"the share 2/2 of .*shared"):
            worker_lock(again.settings).__enter__()
        with pytest.raises(LockError, match=r"at work on .*shared; stop"):
            worker_lock(whole.settings).__enter__()
    with worker_lock(whole.settings), pytest.raises(LockError):
        worker_lock(two[0].settings).__enter__()
    for each in (again, whole):
        each.close()


def test_a_preview_has_the_files_of_the_share(two: list[Installation]) -> None:
    for number in range(10):
        two[0].drop(f"{number}.jpg", b"")
    stay = [_taken_before(each.settings) for each in two]
    paths = sorted(map(str, two[0].inbox.iterdir()))
    assert [stay[0](two[0].inbox, path) for path in paths] == [
        not stay[1](two[0].inbox, path) for path in paths
    ]


def test_originals_are_divided_as_well(tmp_path: Path) -> None:
    both = [part(tmp_path / name, share, ", action: copy") for name, share in (("a", "1/2"), ("b", "2/2"))]
    for number in range(10):
        both[0].drop(f"{number}.jpg", b"%d<cat>" % number)
    for each in both:
        each.run_worker()
    assert sum(len(each.rows()) for each in both) == 10
    for each in both:
        each.close()


def test_a_part_of_a_copy_may_be_of_the_other_worker_unless_it_is_old(
    two: list[Installation], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.path.join(two[0].raw_inbox, TEMPORARY + b"0" * 16)
    Path(os.fsdecode(path)).write_bytes(b"half")
    assert list(examine(two[0].engine, two[0].settings)) == []
    monkeypatch.setattr("pipeline.doctor.check_files.OLD_SECONDS", -1.0)
    assert [problem.kind for problem in examine(two[0].engine, two[0].settings)] == ["leftover"]


@pytest.mark.parametrize("share", ["0/3", "4/3", "1", "1/", "a/b", "-1/3", "1/3/3", "1/99999"])
def test_a_share_that_is_none_is_refused(tmp_path: Path, share: str) -> None:
    with pytest.raises(config.SettingsError, match=r"inboxes\.0\.share: .*expected a part such as 1/3"):
        part(tmp_path / "a", f'"{share}"')


def test_the_settings_show_the_share(two: list[Installation]) -> None:
    [inbox] = shown(two[1].settings)["inboxes"]
    assert inbox == {"path": str(two[1].inbox), "share": "2/2"}
