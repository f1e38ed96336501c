"""Describe a decision in a sentence, or in a word and its probability."""

from __future__ import annotations

from db.schema.records import Entry
from pipeline.classifier.classify_files import Classified
from pipeline.decision import FAILED, UNCERTAIN, Policy, Shown, shown
from pipeline.reasons import because
from pipeline.web.views.formatting import percent


def shown_of(entry: Entry) -> Shown:
    """Return the label to show for a file, and its probability."""
    return shown(entry.prediction, entry.confidence, entry.scores)


def plan(answer: Classified, policy: Policy | None, is_workers: bool) -> str:
    """Return what the worker would do with a photo, and why."""
    if policy is None and answer.outcome is None:
        return "This model has labels but no folders, so the worker cannot sort files with it."
    worker = "The worker would" if is_workers else "With this model, the worker would"
    move = f"{worker} move it to {answer.outcome}/"
    if answer.outcome == FAILED:
        return f"{move}, because {because(answer.reason)}."
    if answer.reason in ("neither", "both"):
        return f"{move}, because {because(answer.reason)}."
    required = percent(policy.threshold if policy else None)
    if answer.outcome == UNCERTAIN:
        return (
            f"{move} for review: the confidence is {percent(answer.confidence)}, and {required} is required."
        )
    return f"{move}: the confidence is {percent(answer.confidence)}, and {required} is required."
