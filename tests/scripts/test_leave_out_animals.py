from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest

from scripts import leave_out_animals


def test_every_second_name_or_all_are_left_out_and_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "wild/ape_1.jpg",
        "wild/bear_1.jpg",
        "wild/bear_brown_2.jpg",
        "wild/fox_1.jpg",
        "small/rat_1.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    known = tmp_path / "known.csv"
    known.write_text("sha256,reason\n00,a drawing\n")
    out = tmp_path / "out"
    words = [str(tmp_path), str(out), "--second", "wild", "--all", "small", "--exclude", str(known)]
    monkeypatch.setattr("sys.argv", ["leave_out_animals", *words])
    assert leave_out_animals.main() == 0
    left_out = {
        "wild-bear/bear_1.jpg": "wild/bear_1.jpg",
        "wild-bear/bear_brown_2.jpg": "wild/bear_brown_2.jpg",
        "small-rat/rat_1.jpg": "small/rat_1.jpg",
    }
    links = {link: (out / "photos" / "neither" / link).read_text() for link in left_out}
    assert links == left_out and len([*out.rglob("*.jpg")]) == 3
    with (out / "exclude.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in left_out.values()]
    assert rows == [["sha256", "reason"], ["00", "a drawing"], *([digest, "left out"] for digest in hashes)]
