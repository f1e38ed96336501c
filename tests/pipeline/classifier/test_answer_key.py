"""The key of an answer changes with everything that could change the answer."""

from __future__ import annotations

import pytest

from pipeline.classifier import answer_key
from pipeline.classifier.answer_key import code_files
from pipeline.classifier.configured_model import load_bundle
from pipeline.settings.config import Settings
from scripts.import_graph import module_graph, modules


def test_the_answer_key_covers_each_module_that_has_a_part_in_an_answer() -> None:
    graph = module_graph()
    reached: set[str] = set()
    waiting = {"pipeline.classifier.serve", "pipeline.classifier.image_loader", "pipeline.decision"}
    while waiting:
        reached |= waiting
        waiting = {name for module in waiting for name in graph[module]} - reached
    parts = {name for name in reached if name.startswith(("models.", "pipeline.classifier."))}
    paths = modules()
    assert len(parts) > 30
    assert {name for name in parts if paths[name] not in code_files()} == set()


def test_a_raw_photo_that_was_refused_has_another_answer_once_rawpy_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, bundle = Settings(), load_bundle(Settings())
    with_rawpy = answer_key.answer_key(settings, bundle)
    known = answer_key._version
    monkeypatch.setattr(answer_key, "_version", lambda name: None if name == "rawpy" else known(name))
    assert answer_key.answer_key(settings, bundle) != with_rawpy
