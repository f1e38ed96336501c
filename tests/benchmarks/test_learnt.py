"""What the benchmark of learning computes; that it learns is seen when it is run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import learnt, writing
from benchmarks.learnt import Row, Share, Took


def test_the_interval_of_all_draws_is_that_of_as_many_photos_as_one_draw_has():
    assert learnt.said([Share(30, 100), Share(20, 100)]) == "25.0% (17.5% to 34.3%) of 100"
    assert learnt.spread([Share(30, 100), Share(20, 100)]) == "20.0% to 30.0%"
    assert learnt.said([]) == "-"


def test_the_table_has_a_row_for_each_figure_and_the_slowest_learning():
    rows = [Row("60 of foxes", "filed", [Share(1, 2)], [Share(0, 2)]), Row("a", "recall", [], [Share(2, 2)])]
    text = learnt.table(rows, {80: [Took(9, 4), Took(7, 5)], 500: [Took(90, 40)]}, draws=2, many=500)
    assert "benchmarks.learnt --draws 2 --many 500" in text
    assert "9 s, 5 s of processors, for 80 judged photos, 90 s, 40 s of processors, for 500" in text
    assert "| 60 of foxes | filed | 50.0% (9.5% to 90.5%) of 2 | 0.0%" in text
    assert "| a | recall | - | 100.0%" in text


def test_the_figures_have_their_place_on_the_page(tmp_path: Path):
    page = tmp_path / "models.md"
    page.write_text(learnt.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    writing.replace("learnt", "new figures\n", page)
    assert "<!-- begin learnt -->\nnew figures\n<!-- end learnt -->" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["--draws", "0"], ["--many", "5"]])
def test_too_few_are_refused(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["learnt", *words])
    with pytest.raises(SystemExit, match="2"):
        learnt.main()
    assert "--draws is 1 at least, --many 0 or 120 at least" in capsys.readouterr().err
