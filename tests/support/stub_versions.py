"""Versions of the stub's model for a worker in a process of its own, which changes them as it files.

Only the record of the version in force is real, and the worker that follows it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.bundle.bundle import Bundle
from pipeline.classifier import model_switch
from pipeline.classifier.client import Classifier
from pipeline.files.replace_file import replace_file
from pipeline.learning.record import Record
from pipeline.learning.versions import Family, Version, chain
from pipeline.service import service
from pipeline.settings.config import Settings
from pipeline.worker import startup
from tests.support.stub_answers import SCORES, scores_of_version
from tests.support.stub_classifier import BUNDLE

NUMBERS = (1, 2, 0)
"""The versions that come into force, in turn; the first at once."""


def family(settings: Settings, _: Bundle | None = None) -> Family:
    return Family(Version(0, "stub", BUNDLE.path), BUNDLE.sha256, settings.state / "models" / "stub")


def bundle_of(version: Version) -> Bundle:
    return replace(BUNDLE, name=version.name, sha256=str(version.number) * 64)


def patches(make: Callable[..., Classifier]) -> list[tuple[Any, str, Any]]:
    """What to replace in a worker, as (owner, name, value)."""

    def in_force(settings: Settings) -> tuple[Version, Bundle]:
        version = chain(family(settings))[0]
        return version, bundle_of(version)

    def classifier(_: Settings, bundle: Bundle) -> Classifier:
        return make(version=int(bundle.name.partition("@")[2] or 0))

    return [
        (service, "load_in_force", in_force),
        (startup, "family", family),
        (startup, "load_version", lambda _, version: bundle_of(version)),
        (startup, "worker_classifier", classifier),
        (model_switch, "LOOK_SECONDS", 0.0),
    ]


class Changes:
    """A user who promotes another version after each filed batch, as `pawsort promote` does."""

    def __init__(self, settings: Settings) -> None:
        self._path = family(settings).record_path
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._promote()

    def __call__(self, _: object) -> None:
        self._promote()

    def _promote(self) -> None:
        with contextlib.suppress(OSError):
            record = Record.read(self._path)
            number = NUMBERS[len(record.history) % len(NUMBERS)]
            record = record.promoted(number, datetime.now(UTC), "user", "test", BUNDLE.sha256)
            replace_file(self._path, [record.as_json()])


def check_answers(rows: list[tuple[Any, ...]], contents: dict[str, bytes], record: Path) -> None:
    """Check (sha256, model, model_sha256, scores) of filed photos: each has one version's answer."""
    Record.read(record)  # old or new, and whole
    for sha256, model, model_sha256, scores in rows:
        if scores is None:
            continue  # it failed, whatever the version
        number = int(model.partition("@")[2] or 0)
        assert model_sha256 == str(number) * 64
        plain = next(scores for marker, scores in SCORES.items() if marker in contents[sha256])
        assert json.loads(scores) == scores_of_version(number, plain), model
