"""Doing the parts that are left."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import count
from pathlib import Path

import pytest

from pipeline.backfill import parts, run_file
from pipeline.backfill.check import check
from pipeline.backfill.parts import Mark
from pipeline.backfill.run import Executor, Summary, run, watched
from pipeline.backfill.storage.run_path import RunPath, write_whole
from pipeline.backfill.work import Done, Work
from pipeline.errors import ModelError, SettingsError, StalledError
from tests.pipeline.backfill.conftest import Archive


class Killed(Exception):  # noqa: N818 - says what happens
    """The run ends here."""


@pytest.fixture
def archive(tmp_path: Path, anywhere: RunPath) -> Archive:
    return Archive(tmp_path, anywhere)


@pytest.fixture
def planned(archive: Archive) -> Archive:
    archive.put(*[b"<cat>"] * 9)
    archive.plan(2)
    return archive


def _run(archive: Archive, executor: Executor | None = None) -> Summary:
    return run(run_file.read(archive.run), archive.work(), executor or archive.executor, 60)


def _but(archive: Archive, number: int, what: Callable[[], Done | None]) -> Executor:
    """Return what does each part but one."""

    def executor(work: Work, numbers: Sequence[int]) -> Generator[Done | None]:
        for each in numbers:
            if each == number:
                yield what()
            else:
                yield from archive.executor(work, [each])

    return executor


def test_all_parts_are_done_once(planned: Archive) -> None:
    summary = _run(planned)
    assert (summary.parts, summary.photos, summary.before, summary.failed) == (5, 9, 0, {})
    assert list(check(planned.run)) == []


def test_finished_parts_are_never_done_again(planned: Archive) -> None:
    asked: list[list[int]] = []

    def executor(work: Work, numbers: Sequence[int]) -> Generator[Done | None]:
        asked.append(list(numbers))
        for number in numbers[:2]:
            yield from planned.executor(work, [number])
        if len(numbers) > 2:
            raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            _run(planned, executor)
    summary = _run(planned, executor)
    assert asked == [[0, 1, 2, 3, 4], [2, 3, 4], [4]]
    assert (summary.before, summary.parts) == (4, 1)
    assert list(check(planned.run)) == []
    assert _run(planned, executor).before == 5
    assert len(asked) == 3


def test_a_part_that_fails_is_named_and_the_others_are_done(planned: Archive) -> None:
    summary = _run(planned, _but(planned, 1, lambda: Done(1, 0, "the disk is broken")))
    assert summary.failed == {1: "the disk is broken"}
    assert summary.parts == 4
    assert [problem.part for problem in check(planned.run)] == [1]
    assert _run(planned).failed == {}


def test_a_part_that_no_machine_has_done_is_named(planned: Archive) -> None:
    summary = _run(planned, _but(planned, 3, lambda: None))
    assert summary.failed == {3: "the machines that did it ended"}


def test_an_error_of_all_parts_ends_the_run(planned: Archive) -> None:
    with pytest.raises(ModelError, match=r"was replaced; the same command continues") as ended:
        _run(planned, _but(planned, 2, lambda: Done(2, 0, "was replaced", is_final=True)))
    assert ended.value.exit_code == 3
    assert len(planned.files()) == 2


def test_a_damaged_file_of_results_is_made_again(planned: Archive) -> None:
    _run(planned)
    path = parts.results_file(planned.run, 2)
    write_whole(path, path.read_bytes()[:-20])
    assert [problem.part for problem in check(planned.run)] == [2]
    assert _run(planned).parts == 1
    assert list(check(planned.run)) == []


@pytest.mark.parametrize("mark", [Mark("f" * 64, 2), None])
def test_results_of_another_run_are_left_alone(planned: Archive, mark: Mark | None) -> None:
    mark = mark or Mark(run_file.read(planned.run).digest, 9)
    parts.write_results(planned.run, mark, [])
    with pytest.raises(SettingsError, match="is of another run"):
        _run(planned)
    assert len(planned.files()) == 1


def test_what_killed_machines_left_is_removed_at_the_end(planned: Archive) -> None:
    write_whole(planned.run / "results" / ".part-00001.parquet.ab.tmp", b"")
    _run(planned, _but(planned, 3, lambda: None))
    assert len(planned.files()) == 5
    _run(planned)
    assert planned.files() == {f"part-{n:05}.parquet" for n in range(5)}


def test_progress_counts_all_parts(planned: Archive) -> None:
    _run(planned, _but(planned, 0, lambda: None))
    seen: list[tuple[int, int]] = []
    planned_run = run_file.read(planned.run)
    run(planned_run, planned.work(), planned.executor, 60, lambda *counts: seen.append(counts))
    assert seen == [(4, 5), (5, 5)]


def _stalled(items: Sequence[Done | None], seconds: float) -> list[Done]:
    """Return what came before the end, at one second an item."""
    found: list[Done] = []
    with pytest.raises(StalledError) as stalled:
        for done in watched(items, seconds, count().__next__):
            found.append(done)
    assert stalled.value.exit_code == 6
    return found


def test_a_run_in_which_nothing_finishes_ends() -> None:
    good = Done(0, 1)
    assert _stalled([None] * 9, 5) == []
    assert _stalled([None, None, good, *[None] * 9], 5) == [good]
    assert list(watched([None, good] * 9, 5, count().__next__)) == [good] * 9


def test_parts_that_fail_are_no_progress() -> None:
    bad = Done(0, 0, "away")
    assert _stalled([bad] * 9, 5) == [bad] * 6


def test_a_run_that_stalls_ends_its_machines(planned: Archive) -> None:
    ended: list[bool] = []

    def executor(work: Work, numbers: Sequence[int]) -> Generator[Done | None]:
        try:
            while True:
                yield None
        finally:
            ended.append(True)

    clock = count(step=30)
    with pytest.raises(StalledError, match="no part has finished for 60 s"):
        run(run_file.read(planned.run), planned.work(), executor, 60, clock=clock.__next__)
    assert ended == [True]
