"""What things are called on the pages: reasons as sentences."""

from __future__ import annotations

REASONS = {
    "low_confidence": "It is not sure enough to file it by itself.",
    "neither": "It looks like none of the classes.",
    "empty": "The file is empty.",
    "too_large": "The file is larger than the settings allow.",
    "too_many_pixels": "The picture has more pixels than the settings allow.",
    "not_an_image": "This is no picture, whatever its name says.",
    "unsupported": "This kind of file is not read, such as RAW, PDF or a film.",
    "truncated": "The file ends before the picture does. The upload may have been cut off.",
    "corrupt": "The file contradicts its own format.",
    "decoder_crashed": "It brought the decoder down each time.",
    "timeout": "It took the decoder longer than the settings allow.",
    "unreadable": "The disk or the rights did not let it be read.",
}
"""One sentence for each reason; docs/troubleshooting.md says more."""

SHORT = {
    "low_confidence": "not sure",
    "neither": "looks like neither",
    "empty": "empty",
    "too_large": "too large",
    "too_many_pixels": "too many pixels",
    "not_an_image": "no picture",
    "unsupported": "kind not read",
    "truncated": "cut off",
    "corrupt": "broken",
    "decoder_crashed": "crashed the decoder",
    "timeout": "took too long",
    "unreadable": "could not be read",
}


def why(reason: str | None) -> str:
    """Return a sentence for a reason, the word itself where there is none."""
    return REASONS.get(reason or "", reason or "")


def brief(reason: str | None) -> str:
    """Return a few words for a reason."""
    return SHORT.get(reason or "", (reason or "no reason known").replace("_", " "))
