"""`run.json`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.backfill import run_file
from pipeline.backfill.run_file import RunFile
from pipeline.errors import SettingsError

PLANNED = RunFile(
    version="0.2.0",
    source="/photos/\\xff",
    parts=2,
    photos=3,
    bytes=15,
    digest="0" * 64,
    model="cats_dogs",
    model_sha256="1" * 64,
    threshold=0.93,
    folders={"cat": "cats", "dog": "dogs"},
    engine="auto",
    precision="int8",
    limits={"file_mb": 200.0},
    answer_key="2" * 16,
    actions={"filing": "move"},
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    run_file.write(tmp_path, PLANNED)
    assert run_file.read(tmp_path) == PLANNED


def test_a_run_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="pawsort backfill plan"):
        run_file.read(tmp_path)


@pytest.mark.parametrize("change", ['"parts": "two"', '"parts": 2, "more": 1', '"format": 2'])
def test_a_damaged_one_is_refused(tmp_path: Path, change: str) -> None:
    run_file.write(tmp_path, PLANNED)
    text = (tmp_path / "run.json").read_text().replace('"parts": 2', change).replace('"format": 1', change)
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(SettingsError, match=r"run\.json: is not of this version"):
        run_file.read(tmp_path)


def test_differences_name_each_value_and_both_sides() -> None:
    now = PLANNED.model_copy(update={"threshold": 0.5, "model": "other"})
    assert run_file.differences(PLANNED, now) == [
        'model: planned with "cats_dogs", now "other"',
        "threshold: planned with 0.93, now 0.5",
    ]
    assert run_file.differences(PLANNED, PLANNED) == []


def test_the_digest_is_of_each_list_in_order(tmp_path: Path) -> None:
    run_file.make_folders(tmp_path / "run")
    for number, content in enumerate((b"a", b"b")):
        (tmp_path / "run" / "lists" / f"part-{number:05}.parquet").write_bytes(content)
    first = run_file.digest(tmp_path / "run", 2)
    (tmp_path / "run" / "lists" / "part-00001.parquet").write_bytes(b"c")
    assert run_file.digest(tmp_path / "run", 2) != first
    assert len(first) == 64
