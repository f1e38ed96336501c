"""What benchmarks compute and write; that most of them run at all is seen when they are run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import answers, limit, photos, rivals, writing
from benchmarks.__main__ import BENCHMARKS
from benchmarks.limit import BUNDLE, Limit
from models.bundle.bundle import load
from models.images.decode import decode

LIMIT = Limit(
    decoding=400.0,
    inference=100.0,
    engine="openvino",
    batch=8,
    cores=2,
    again=0.1,
    decoding_cost=0.005,
    inference_cost=0.02,
    again_cost=0.009,
)


def test_the_limit_is_what_decoding_and_the_network_reach_on_the_same_cores():
    assert LIMIT.without_crops == pytest.approx(80.0)
    assert LIMIT.with_crops == pytest.approx(1 / (0.0125 + 0.0045))
    assert LIMIT.core_seconds == pytest.approx(0.034)
    assert 2 / LIMIT.core_seconds == pytest.approx(LIMIT.with_crops), (
        "the same, where two cores do nothing else"
    )


def test_a_limit_around_some_work_is_the_mean_of_before_and_after(monkeypatch: pytest.MonkeyPatch):
    measured = iter([LIMIT, replace(LIMIT, decoding=3 * LIMIT.decoding)])
    monkeypatch.setattr(limit, "limit", lambda paths: next(measured))
    result, mean = limit.around([], lambda: "done")
    assert result == "done"
    assert mean == replace(LIMIT, decoding=pytest.approx(1.5 * LIMIT.decoding))


def test_figures_replace_their_own_table_and_leave_the_rest_of_the_page(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n<!-- begin y -->\nkept\n<!-- end y -->\n")
    figures = writing.summary([{"rate": 3.0}, {"rate": 1.0}, {"rate": 9.0}])
    writing.write("x", 10, 3, figures, page)
    text = page.read_text()
    assert "| rate | 3 | 1 to 9 |" in text and "benchmarks x --photos 10 --runs 3" in text
    assert "old" not in text and "kept" in text and text.startswith("a\n") and "\nb\n" in text
    writing.write("x", 10, 3, figures, page)
    assert page.read_text() == text


def test_where_the_time_goes_is_drawn(tmp_path: Path):
    text = writing.table("x", 1, 1, writing.summary([{"the network" + writing.SLICE: 2.5, "rate": 3.0}]))
    assert "```mermaid\npie" in text and '"the network" : 2.5' in text and '"rate"' not in text


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_has_its_place_on_the_page(name: str):
    page = writing.PAGE.read_text(encoding="utf-8")
    assert page.index(f"<!-- begin {name} -->") < page.index(f"<!-- end {name} -->")


def test_photos_to_measure_on_are_unlike_each_other_and_can_be_decoded(tmp_path: Path):
    paths = photos.make(tmp_path / "photos", 4)
    contents = [Path(path.decode()).read_bytes() for path in paths]
    assert len(set(contents)) == 4
    assert all(decode(content, 32).shape == (32, 32, 3) for content in contents)
    assert len(set(map(photos.picture, range(3)))) == 3


def test_what_people_write_runs_the_shipped_weights():
    model, size = rivals._model()
    bundle = load(BUNDLE)
    assert model.output_shape == (None, len(bundle.labels)) and size == bundle.input_size


def test_answers_of_engines_and_precisions_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(photos, "everyday", lambda count: [])
    found = answers.measure(tmp_path, 6)
    assert found["photos"] == 6 and found["flips of the decision between engines"] == 0
    assert found["greatest difference of a probability between engines"] < 0.005
    assert found["int8: greatest difference of a probability"] > 0
    assert found["decisions that this changes"] == 0
