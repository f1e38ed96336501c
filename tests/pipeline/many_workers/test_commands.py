"""Commands on one of two machines: they touch and list the photos of that machine alone."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.ledger.report_days import record_report
from tests.pipeline.cli.conftest import Run
from tests.pipeline.many_workers.conftest import Machine


@pytest.fixture
def both(ann: Machine, bob: Machine) -> tuple[Machine, Machine]:
    """Each has a photo in cats, one in failed and one that was deleted, under the same names."""
    for machine in (ann, bob):
        name = machine.name.encode()
        machine.file(b"gone.jpg", name + b" gone")
        machine.file(b"a.jpg", name)
        machine.file(b"bad.jpg", name + b" bad", "failed", reason="timeout")
        with machine.everyone.begin() as connection:
            removed = "UPDATE files SET state = 'removed', confidence = NULL WHERE name = 'gone.jpg'"
            connection.execute(text(removed))
        (machine.settings.sorted / "cats" / "gone.jpg").unlink()
    return ann, bob


def everything(machine: Machine) -> tuple[Any, ...]:
    rows = machine.rows("id, name, state, outcome, corrected_to, path")
    return rows, sorted(map(str, machine.folder.rglob("*.jpg")))


@pytest.mark.parametrize(
    "words",
    [
        ("correct", "a.jpg", "--as", "dog"),
        ("undo", "--last", "9"),
        ("undo", "--since", "2020-01-01"),
        ("retry", "--reason", "timeout"),
        ("doctor",),
        ("doctor", "--repair"),
        ("keep", "--apply"),
        ("check", "--sample", "9"),
        ("check", "--json"),
    ],
    ids=" ".join,
)
def test_a_command_changes_what_its_machine_has(
    both: tuple[Machine, Machine], run: Run, words: tuple[str, ...]
) -> None:
    first, second = both
    second.config.write_text(second.config.read_text() + "keep: {rows_days: 1, failed_days: 1}\n")
    record_report(second.everyone, datetime(2027, 1, 1).date(), datetime.now(UTC) + timedelta(days=1), 0)
    with second.everyone.begin() as connection:  # to be old enough
        connection.execute(text("UPDATE files SET filed_at = '2026-01-01', changed_at = '2026-01-01'"))
    (first.settings.sorted / "cats" / "a.jpg").rename(first.folder / "away.jpg")  # `doctor` would find that
    before = everything(first)
    done = run(*words, "--config", str(second.config))
    assert done.code == 0, (done.out, done.err)
    assert everything(first) == before
    assert str(first.folder) not in done.out
    if words[0] not in ("doctor", "check"):
        assert [row[2:5] for row in second.rows("id, name, state, outcome, corrected_to")] != [
            ("removed", "cats", None),
            ("filed", "cats", None),
            ("filed", "failed", None),
        ]


def test_a_photo_that_is_recorded_where_it_lies_is_its_machines(
    both: tuple[Machine, Machine], run: Run
) -> None:
    ann, bob = both
    (ann.settings.sorted / "cats" / "new.jpg").write_bytes(b"new")
    (ann.settings.spool / "stray").write_bytes(b"stray")
    before = everything(bob)
    assert run("doctor", "--repair", "--config", str(ann.config)).code == 0
    assert ann.rows("name, reason", "reason = 'imported'") == [("new.jpg", "imported")]
    assert ann.rows("name, state", "name = 'stray'") == [("stray", "claimed")]
    assert everything(bob) == before


def test_relocate_follows_the_folders_of_its_machine(both: tuple[Machine, Machine], run: Run) -> None:
    ann, bob = both
    for machine in both:  # the same folder, on each machine
        with machine.everyone.begin() as connection:
            moved = "UPDATE files SET path = '/old/' || name, destination = '/old/' || name"
            connection.execute(text(f"{moved} WHERE worker_id = {machine.id}"))
    before = everything(bob)
    done = run("relocate", "/old", str(ann.settings.sorted / "cats"), "--json", "--config", str(ann.config))
    assert json.loads(done.out)["rows"]["files.path"] == 3
    assert everything(bob) == before


def test_an_export_says_how_many_photos_are_elsewhere(
    both: tuple[Machine, Machine], run: Run, tmp_path: Path
) -> None:
    done = run("export", str(tmp_path / "out"), "--outcome", "cats", "--config", str(both[0].config))
    assert done.code == 0, done.err
    assert "1 photos exported" in done.out
    assert "1 photos left out, which the worker bob has; export them there" in done.out


def test_a_photo_of_another_machine_is_refused_with_its_name(both: tuple[Machine, Machine], run: Run) -> None:
    path = os.path.join(os.fsdecode(both[1].raw_sorted), "cats", "a.jpg")
    done = run("correct", path, "--as", "dog", "--json", "--config", str(both[0].config))
    assert done.code == 1
    assert json.loads(done.out)[0]["problem"].startswith("is a photo of the worker bob, on another machine")
