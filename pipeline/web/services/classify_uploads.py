"""Classify uploads and make heatmaps; shared by the page Try and the API."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.classifier.classify_files import Classified, judged
from pipeline.classifier.configured_model import policy
from pipeline.classifier.messages import Explain
from pipeline.classifier.supervised_child import ClosingError
from pipeline.decision import Policy
from pipeline.settings.config import Settings
from pipeline.web.middleware.problems import TRY_AGAIN, Problem
from pipeline.web.served_models.child_thread import FullError
from pipeline.web.served_models.model_registry import Choice
from pipeline.web.services.context import AppContext
from pipeline.web.services.uploads import Upload

T = TypeVar("T")

LOOK_PIXELS = 640
"""Longer side of the preview of a photo and of its heatmap."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The classification of one upload; `detail` explains a failure.

    `policy` is None for a model without folders.
    """

    classified: Classified
    choice: Choice
    policy: Policy | None
    detail: str | None = None


def scratch_of(settings: Settings) -> Path:
    """Return the folder for uploads that are classified and then deleted."""
    return settings.state / "looking"


def scratch(context: AppContext) -> Path:
    """Return the folder of `scratch_of`, made if necessary, or a temporary one. Raises Problem 507.

    Where `state` is missing, its disk may not be mounted; what was made there would be hidden later.
    """
    if not context.settings.state.is_dir():
        return _temporary()
    folder = scratch_of(context.settings)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Problem(507, f"{folder}: {error.strerror}.", "Check that `state` is writable.") from error
    return folder


def _temporary() -> Path:
    """Return a private folder for temporary files, made once and removed with this process."""
    made = _made()
    if not made.is_dir():  # some systems remove old ones
        _made.cache_clear()
        made = _made()
    return made


@functools.cache
def _made() -> Path:
    folder = tempfile.mkdtemp(prefix="pawsort-looking-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


async def answers(context: AppContext, choice: Choice, uploads: Sequence[Upload]) -> list[Answer]:
    """Return an Answer for each upload, in order. Raises Problem 503, ModelError."""
    chosen = policy(context.settings, choice.bundle) if choice.bundle.folders else None
    paths = [os.fsencode(upload.path) for upload in uploads]
    try:
        futures = context.classifiers.classify(choice.bundle.path, paths)
    except FullError:
        raise _too_many() from None
    findings = [await _result(future) for future in futures]
    return [
        Answer(judged(upload.name, finding, chosen), choice, chosen, finding.detail)
        for upload, finding in zip(uploads, findings, strict=True)
    ]


async def heat(context: AppContext, choice: Choice, upload: Upload, label: str) -> bytes:
    """Return a heatmap of `label` on the photo as a JPEG. Raises Problem 404, 503, ModelError."""
    if label not in choice.bundle.labels:
        raise Problem(404, f"This model has no label {label[:80]}.", "Choose one of its labels.")
    try:
        request = Explain(os.fsencode(upload.path), label, LOOK_PIXELS)
        seen = await _result(context.classifiers.explain(choice.bundle.path, request))
    except FullError:
        raise _too_many() from None
    if seen.jpeg is None:
        raise Problem(404, f"No heatmap could be made: {seen.problem}.", "Try another photo.")
    return seen.jpeg


async def _result(future: Future[T]) -> T:
    try:
        return await asyncio.wrap_future(future)
    except ClosingError:
        raise Problem(503, "The server is stopping.", headers=TRY_AGAIN) from None


def _too_many() -> Problem:
    return Problem(503, "Too many photos are waiting for this model.", headers=TRY_AGAIN)
