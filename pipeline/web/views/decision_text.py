"""What a decision means, in a sentence for people."""

from __future__ import annotations

from pipeline.classifier.classify_files import Classified
from pipeline.decision import FAILED, UNCERTAIN, Policy
from pipeline.web.views.formatting import percent
from pipeline.web.views.reasons import because


def plan(answer: Classified, policy: Policy | None, is_workers: bool) -> str:
    """Say what the worker would do with a photo, and why."""
    if policy is None and answer.outcome is None:
        return "This model names what it sees; it has no folders, so the worker files nothing by it."
    who = "The worker would" if is_workers else "With this model, the worker would"
    put = f"{who} put it into {answer.outcome}/"
    if answer.outcome == FAILED:
        return f"{put}, because {because(answer.reason)}."
    if answer.reason == "neither":
        return f"{put}, because {because(answer.reason)}."
    needs = percent(policy.threshold if policy else None)
    if answer.outcome == UNCERTAIN:
        return f"{put} for you to look at: it is {percent(answer.confidence)} sure, and {needs} is needed."
    return f"{put}: it is {percent(answer.confidence)} sure, and {needs} is enough."
