"""`run --dry-run` leaves out originals that were taken already."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.classifier import classify_files
from pipeline.cli import classify_command
from pipeline.cli.options import Format
from tests.support.installation import QUICK, Installation


@pytest.mark.parametrize(("action", "left"), [("copy", {"b.jpg", "c.jpg"}), ("move", {"b.jpg", "c.jpg"})])
def test_a_dry_run_lists_what_is_new_or_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, left: set[str]
) -> None:
    pawsort = Installation(tmp_path, QUICK + f"filing: {{action: {action}}}\n")
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.drop("b.jpg", b"<dog>")
    pawsort.run_worker()
    (pawsort.inbox / "b.jpg").write_bytes(b"changed <dog>")
    pawsort.drop("c.jpg", b"<cat>")
    given: list[str] = []

    def classify(_: object, paths: list[str]) -> list[object]:
        given.extend(paths)
        return []

    monkeypatch.setattr(classify_files, "classify", classify)
    classify_command.print_preview(pawsort.settings, Format.json)
    assert {Path(path).name for path in given} == left
    pawsort.close()


def test_before_the_first_start_all_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pawsort = Installation(tmp_path, QUICK + "filing: {action: copy}\n")
    pawsort.drop("a.jpg", b"<cat>")
    (pawsort.settings.state / "pawsort.db").unlink()
    given: list[str] = []
    monkeypatch.setattr(classify_files, "classify", lambda _, paths: given.extend(paths) or [])
    classify_command.print_preview(pawsort.settings, Format.json)
    assert given == [str(pawsort.inbox / "a.jpg")]
    assert not (pawsort.settings.state / "pawsort.db").exists()
    pawsort.close()
