"""Each photo has exactly one result, or the parts are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.backfill import parts, run_file
from pipeline.backfill.check import check
from pipeline.backfill.parts import Mark, Result
from pipeline.backfill.run import run
from pipeline.backfill.storage.run_path import RunPath
from tests.pipeline.backfill.conftest import Archive


@pytest.fixture
def archive(tmp_path: Path, anywhere: RunPath) -> Archive:
    return Archive(tmp_path, anywhere)


@pytest.fixture
def done(archive: Archive) -> Archive:
    archive.put(*[b"<cat>"] * 5)
    run(archive.plan(2), archive.work(), archive.executor, 60)
    return archive


def _problems(archive: Archive) -> list[tuple[int | None, str]]:
    return [(problem.part, problem.problem) for problem in check(archive.run)]


def _rewrite(archive: Archive, number: int, rows: list[Result], mark: Mark | None = None) -> None:
    own = Mark(run_file.read(archive.run).digest, number)
    parts.write_results(archive.run, own, rows)
    if mark:
        parts.write_results(archive.run, mark, rows)
        moved = parts.results_file(archive.run, mark.part)
        parts.results_file(archive.run, number).write_bytes(moved.read_bytes())
        if mark.part != number:
            moved.unlink()


def test_a_run_that_is_done_has_no_problem(done: Archive) -> None:
    assert _problems(done) == []


def test_missing_results_are_named(done: Archive) -> None:
    parts.results_file(done.run, 1).unlink()
    assert _problems(done) == [(1, "has no results")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:1], "1 photos too few, 0 doubled, 0 that"),
        (lambda rows: [*rows, rows[0]], "0 photos too few, 1 doubled, 0 that"),
        (lambda rows: [rows[0], rows[1]._replace(id=9)], "1 photos too few, 0 doubled, 1 that"),
        (lambda rows: [rows[0], rows[1]._replace(path=b"x.jpg")], "1 photos too few, 0 doubled, 1 that"),
        (lambda rows: rows[::-1], "0 photos too few, 0 doubled, 0 that"),
    ],
)
def test_wrong_rows_are_counted(done: Archive, change: object, said: str) -> None:
    _rewrite(done, 1, change(parts.read_results(done.run, 1)))  # type: ignore[operator]
    [(part, problem)] = _problems(done)
    assert part == 1
    assert said in problem


def test_results_of_another_part_or_run_are_named(done: Archive) -> None:
    rows = parts.read_results(done.run, 1)
    _rewrite(done, 1, rows, Mark("f" * 64, 1))
    assert _problems(done) == [(1, f"its results are of another run or part: {'f' * 12}, part 1")]
    first = parts.results_file(done.run, 0).read_bytes()
    parts.results_file(done.run, 1).write_bytes(first)
    assert [part for part, _ in _problems(done)] == [1]


def test_results_of_no_part_are_named(done: Archive) -> None:
    parts.results_file(done.run, 7).write_bytes(parts.results_file(done.run, 0).read_bytes())
    assert _problems(done) == [(7, "has results, but is no part of this run")]


def test_damaged_files_are_named(done: Archive) -> None:
    parts.results_file(done.run, 0).write_bytes(b"PAR1")
    [(part, problem)] = _problems(done)
    assert part == 0
    assert "is damaged" in problem


def test_lists_that_were_changed_are_named(done: Archive) -> None:
    parts.list_file(done.run, 1).write_bytes(parts.list_file(done.run, 0).read_bytes())
    problems = dict(_problems(done))
    assert "digest" in problems[None]
    assert 1 in problems


def test_lists_that_are_missing_are_named(done: Archive) -> None:
    parts.list_file(done.run, 1).unlink()
    problems = _problems(done)
    assert (None, "lists are missing") in problems
    assert any(part == 1 and "is missing" in problem for part, problem in problems)
