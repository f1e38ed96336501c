"""What a decision means, in a sentence for people."""

from __future__ import annotations

from pipeline.classification import Classified
from pipeline.decision import FAILED, UNCERTAIN, Policy
from pipeline.web.rendering import percent

REASONS = {
    "low_confidence": "it is not sure enough",
    "neither": "it sees none of the animals it knows",
    "empty": "the file has no content",
    "too_large": "the file is larger than the settings allow",
    "too_many_pixels": "it has more pixels than the settings allow",
    "not_an_image": "it is no image",
    "unsupported": "it is an image of a kind that is not read here",
    "truncated": "a part of the file is missing",
    "corrupt": "the file is damaged",
    "unreadable": "the file cannot be read",
    "decoder_crashed": "it crashes the program that decodes photos",
    "timeout": "it takes too long to decode",
}
"""Each reason of the ledger as the end of a sentence that says why."""


def because(reason: str | None) -> str:
    """Return a reason in plain words; one that is new is shown as it is."""
    return REASONS.get(reason or "", reason or "no reason is known")


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
