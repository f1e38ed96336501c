"""Turn the answers of one model into decisions on files: its folders, its threshold, its answer key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from db.schema.records import Entry, FileDecision
from models.bundle.bundle import Bundle
from models.images.date_in_name import read_name
from models.labels import NEITHER
from pipeline.classifier.answer_key import answer_key
from pipeline.classifier.configured_model import policy
from pipeline.classifier.file_checks import Admitted
from pipeline.classifier.messages import ClassificationResult
from pipeline.decision import FAILED, Policy, decide
from pipeline.settings.config import Settings

_HEADER = ("format", "width", "height", "taken_at", "taken_from")
_KEPT = ("model", "model_sha256", "answer_key", "brightness")


class DecidingModel:
    """What turns answers into decisions: name and SHA-256 of a model, its policy, its answer key.

    `neither` is the folder of photos that a person labels so; `key` returns the answer key for the name of
    an engine. Never changed, so that no answer mixes two models.
    """

    def __init__(
        self, name: str, sha256: str | None, policy: Policy, neither: str, key: Callable[[str], str]
    ) -> None:
        self._name, self._sha256 = name, sha256
        self._policy = policy
        self._neither = neither
        self.key = key

    def decision(
        self, id: int, sha256: str | None, result: ClassificationResult, engine_name: str
    ) -> FileDecision:
        """Decide on a file by the answer of this model to it."""
        known: dict[str, Any] = {"answer_key": self.key(engine_name), "brightness": result.brightness}
        if result.admitted:
            known |= _header(result.admitted)
        if result.scores is None:
            return failed(id, sha256, result.reason, result.detail)._replace(**known)
        return self._by_scores(id, sha256, result.scores, result.both)._replace(**known)

    def like(self, earlier: Entry, id: int, sha256: str | None) -> FileDecision:
        """Decide on a file as an earlier file of the same content was decided under the same answer key."""
        if earlier.scores is None:
            decision = failed(id, sha256, earlier.reason, earlier.detail)
        else:
            decision = self._by_scores(id, sha256, earlier.scores, earlier.reason == "both")
        kept = {name: getattr(earlier, name) for name in _KEPT}
        decision = decision._replace(**_header(earlier), **kept)
        if earlier.taken_from == "name":  # which may be another name
            return decision._replace(taken_at=None, taken_from=None)
        return decision

    def folder_of(self, label: str | None) -> str | None:
        """Return the folder of a label that a person chose, None for one that this model does not know."""
        return self._neither if label == NEITHER else self._policy.folders.get(label or "")

    def _by_scores(
        self, id: int, sha256: str | None, scores: Mapping[str, float], both: bool
    ) -> FileDecision:
        decision = decide(scores, self._policy, both)
        return FileDecision(
            id,
            decision.outcome,
            decision.prediction,
            decision.confidence,
            decision.reason,
            scores=dict(scores),
            sha256=sha256,
            model=self._name,
            model_sha256=self._sha256,
        )


class AnsweringModel(DecidingModel):
    """One model with the settings under which it answers."""

    def __init__(self, settings: Settings, bundle: Bundle) -> None:
        key = cache(partial(answer_key, settings, bundle))
        super().__init__(bundle.name, bundle.sha256, policy(settings, bundle), settings.outcomes.neither, key)
        self.bundle = bundle


def failed(id: int, sha256: str | None, reason: str | None, detail: str | None) -> FileDecision:
    """Return the decision on a file that cannot be classified."""
    return FileDecision(id, FAILED, reason=reason, detail=detail, sha256=sha256)


def dated(decision: FileDecision, source: bytes) -> FileDecision:
    """Let the name of a picture say when it was taken, if nothing in it does."""
    if decision.taken_at is not None or decision.format is None or (taken := read_name(source)) is None:
        return decision
    return decision._replace(taken_at=taken.at, taken_from=taken.source)


def _header(source: Admitted | Entry) -> dict[str, Any]:
    return {name: getattr(source, name) for name in _HEADER}
