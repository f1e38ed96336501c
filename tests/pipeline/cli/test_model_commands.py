"""Options of `evaluate` reach what measures."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import app


@pytest.mark.parametrize(
    ("function", "more"), [("evaluate", ()), ("compare", ("--against", "cats_dogs_mobilenet"))]
)
def test_evaluate_measures_by_the_engine_that_is_asked_for(
    function: str, more: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def measure(*_: object, engine: str, **options: object) -> None:
        asked.append(engine)

    monkeypatch.setattr(importlib.import_module(f"models.evaluation.{function}"), function, measure)
    monkeypatch.chdir(tmp_path)
    words = ["pawsort", "evaluate", "cats_dogs", str(tmp_path), "--engine", "openvino", *more]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        app.main()
    assert asked == ["openvino"]
