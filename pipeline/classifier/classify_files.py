"""Classify photos without moving them: for `pawsort classify`, and for previews of the worker."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.bundle.bundle import Bundle
from pipeline.classifier.client import ProcessClassifier, classify_files
from pipeline.classifier.configured_model import load_bundle, policy
from pipeline.classifier.messages import ClassificationResult
from pipeline.companions.names import NameIndex
from pipeline.companions.rules import kind
from pipeline.decision import FAILED, Policy, decide, with_shown
from pipeline.files.folders import open_any
from pipeline.files.naming import destination
from pipeline.settings.config import Settings
from pipeline.watch.ignore_rules import ignorer

log = logging.getLogger(__name__)

NAMES = 5
"""Number of labels to return for a model without folders, which may have a thousand labels."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The prediction for a photo and what the worker would do with it.

    `outcome` is a folder; None for a model without folders, and then `scores` has the NAMES labels of highest
    probability, in that order.
    """

    path: str
    prediction: str | None
    confidence: float | None
    outcome: str | None
    reason: str | None
    scores: dict[str, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, in this order, then `shown` and `shown_probability`."""
        return with_shown(asdict(self))


def classify(
    settings: Settings,
    paths: Sequence[str],
    progress: Callable[[int, int], None] = lambda done, total: None,
    bundle: Bundle | None = None,
) -> Iterator[Classified]:
    """Classify files and all files below folders, in the order given. Raises ModelError.

    `progress` is called with the number of files done and the total. `bundle` replaces the model of the
    settings, and may have no folders.
    """
    bundle = bundle or load_bundle(settings)
    chosen = policy(settings, bundle) if bundle.folders else None
    shown = list(photos(paths, settings))
    classifier = ProcessClassifier(bundle.path, settings.engine, settings.limits)
    try:
        absolute = (_followed(os.path.abspath(os.fsencode(path))) for path in shown)
        results = classify_files(classifier, absolute, settings.batch.size, settings.limits.attempts)
        for done, (path, result) in enumerate(zip(shown, results, strict=True), start=1):
            progress(done, len(shown))
            yield judged(path, result, chosen)
    finally:
        classifier.stop()


def _followed(path: bytes) -> bytes:
    """Return what a link that was named leads to; the child opens none, and no folder yields one."""
    return os.path.realpath(path) if os.path.islink(path) else path


def photos(paths: Iterable[str], settings: Settings) -> Iterator[str]:
    """Yield the given files and the files below the given folders, each folder sorted by name."""
    for path in paths:
        if os.path.isdir(path):
            ignored = ignorer(settings.watch.ignore, os.fsencode(path))
            yield from _below(path, ignored, together=settings.filing.companions)
        else:
            yield path


def preview(
    settings: Settings, is_taken: Callable[[Path, str], bool] = lambda inbox, path: False
) -> Iterator[dict[str, Any]]:
    """Yield for each file in the inboxes where the worker would move it now. Raises ModelError.

    `is_taken` says of an inbox and a file in it whether it is an original that was taken before. Logs which
    inboxes are missing.
    """
    promised: set[bytes] = set()
    new: list[str] = []
    for inbox in settings.inboxes:
        if inbox.is_dir():
            new += (path for path in photos([str(inbox)], settings) if not is_taken(inbox, path))
        else:
            log.warning("%s: is missing; the worker makes it only at its very first start", inbox)
    for answer in classify(settings, new):
        assert answer.outcome is not None  # the settings' own model has folders
        inbox = next(inbox for inbox in settings.inboxes if Path(answer.path).is_relative_to(inbox))
        folder = os.fsencode(settings.sorted / answer.outcome)
        source = os.fsencode(os.path.relpath(answer.path, inbox))
        goal = destination(folder, source, taken=lambda path: path in promised or os.path.lexists(path))
        promised.add(goal)
        yield answer.as_dict() | {"destination": os.fsdecode(goal)}


def _below(top: str, ignored: Callable[[bytes], bool], *, together: bool) -> Iterator[str]:
    """Yield the files of a folder and then of each folder in it; also a folder that cannot be listed.

    With `together`, companions of photos are left out, as the worker does not classify them.
    """
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            files, folders = _listed(folder)
        except FileNotFoundError:
            continue  # it was removed meanwhile
        except OSError:
            yield folder  # it is `unreadable` then: what is in it is not left out in silence
            continue

        def wanted(path: str) -> bool:
            return not ignored(os.fsencode(os.path.relpath(path, top)))

        names = _without_companions(files) if together else files
        yield from filter(wanted, (os.path.join(folder, name) for name in sorted(names)))
        waiting += filter(wanted, (os.path.join(folder, name) for name in sorted(folders, reverse=True)))


def _without_companions(names: Sequence[str]) -> list[str]:
    index = NameIndex()
    for name in names:
        index.add(os.fsencode(name))
    raw = {name: os.fsencode(name) for name in names}
    return [name for name in names if kind(raw[name]) != "sidecar" and not index.is_companion(raw[name])]


def _listed(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the files and of the folders in a folder, whose path may be of any length."""
    descriptor = open_any(os.path.abspath(os.fsencode(folder)))
    try:
        with os.scandir(descriptor) as entries:
            found = list(entries)
            files = [entry.name for entry in found if entry.is_file(follow_symlinks=False)]
            return files, [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
    finally:
        os.close(descriptor)


def judged(path: str, result: ClassificationResult, chosen: Policy | None) -> Classified:
    """Return what the worker would do with a photo that has this result."""
    if result.scores is None:
        return Classified(path, None, None, FAILED, result.reason, None)
    if chosen is None:
        most_likely = dict(sorted(result.scores.items(), key=lambda item: -item[1])[:NAMES])
        prediction, confidence = next(iter(most_likely.items()))
        return Classified(path, prediction, confidence, None, None, most_likely)
    decision = decide(result.scores, chosen, result.both)
    return Classified(
        path, decision.prediction, decision.confidence, decision.outcome, decision.reason, result.scores
    )
