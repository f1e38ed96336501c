"""Files of lists and results."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.backfill import parts, run_file
from pipeline.backfill.parts import DamagedPart, Mark, Part, Result
from pipeline.backfill.source import Listed

PART = Part(3, 6000, (Listed(b"a\xff.jpg", 5, 7, (b"a\xff.xmp",)), Listed(b"b/c.jpg", 2**40, -1)))
MARK = Mark("0" * 64, 3)
GOOD = Result(
    6000, b"a\xff.jpg", "cats", "cat", 0.99, None, None, {"cat": 0.99, "dog": 0.01}, "1" * 64, 5, "JPEG",
    640, 480, "2024-01-31T10:15:00", "exif", 0.5, "2" * 16, 2**64 - 1, 12, 7,
    datetime(2026, 11, 30, 1, 2, 3, 456789, UTC),
)  # fmt: skip
BAD = Result(
    6001, b"b/c.jpg", "failed", None, None, "corrupt", "no end", None, None, 0, None, None, None, None, None,
    None, None, 0, 0, 0, datetime(2026, 11, 30, tzinfo=UTC),
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, parquet: None) -> Path:
    run_file.make_folders(tmp_path / "run")
    return tmp_path / "run"


def test_a_list_is_read_as_it_was_written(run: Path) -> None:
    parts.write_list(run, PART)
    assert parts.read_list(run, 3) == PART
    assert parts.list_file(run, 3).name == "part-00003.parquet"


def test_results_are_read_as_they_were_written(run: Path) -> None:
    parts.write_results(run, MARK, [GOOD, BAD])
    assert parts.read_results(run, 3) == [GOOD, BAD]
    assert parts.read_mark(run, 3) == (MARK, 2)
    assert parts.read_places(run, 3) == [(6000, b"a\xff.jpg"), (6001, b"b/c.jpg")]


def test_a_part_that_is_written_again_replaces_the_one_before(run: Path) -> None:
    parts.write_results(run, MARK, [GOOD])
    parts.write_results(run, MARK, [GOOD, BAD])
    assert os.listdir(run / "results") == ["part-00003.parquet"]
    assert parts.read_places(run, 3) == [(6000, b"a\xff.jpg"), (6001, b"b/c.jpg")]


def test_a_write_that_fails_leaves_what_was_there(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.write_results(run, MARK, [GOOD])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):  # the content reaches the disk before the name does
        parts.write_results(run, MARK, [GOOD, BAD])
    assert os.listdir(run / "results") == ["part-00003.parquet"]
    assert len(parts.read_places(run, 3)) == 1


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_no_part_is_named(run: Path, content: bytes | None) -> None:
    path = parts.results_file(run, 3)
    if content is not None:
        path.write_bytes(content)
    for read in (parts.read_results, parts.read_places, parts.read_mark):
        with pytest.raises(DamagedPart, match=str(path)):
            read(run, 3)


def test_a_file_cut_off_anywhere_is_damaged(run: Path) -> None:
    parts.write_results(run, MARK, [GOOD, BAD])
    path = parts.results_file(run, 3)
    whole = path.read_bytes()
    for length in range(0, len(whole), 101):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedPart):
            parts.read_results(run, 3)


def test_a_list_is_no_file_of_results(run: Path) -> None:
    parts.write_list(run, PART)
    parts.list_file(run, 3).rename(parts.results_file(run, 3))
    with pytest.raises(DamagedPart, match="no file of results"):
        parts.read_mark(run, 3)


def test_the_numbers_are_those_of_whole_files(run: Path) -> None:
    for name in ("part-00000.parquet", "part-123456.parquet", ".part-00001.parquet.ab.tmp", "part-x.parquet"):
        (run / "results" / name).touch()
    assert sorted(parts.numbers(run / "results")) == [0, 123456]
