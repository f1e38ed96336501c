"""The reasons of the ledger in words: one place for all pages."""

from __future__ import annotations

REASONS = {
    "low_confidence": "it is not sure enough",
    "neither": "it looks like none of the classes",
    "empty": "the file is empty",
    "too_large": "the file is larger than the settings allow",
    "too_many_pixels": "the picture has more pixels than the settings allow",
    "too_many_frames": "the file has more frames or pages than the settings allow",
    "not_an_image": "this is no picture, whatever its name says",
    "unsupported": "this kind of file is not read, such as RAW, PDF or a film",
    "truncated": "a part of the file is missing",
    "corrupt": "the file contradicts its own format",
    "decoder_crashed": "it brought the decoder down each time",
    "timeout": "it took the decoder longer than the settings allow",
    "unreadable": "the disk or the rights did not let it be read",
}
"""Each reason as the end of a sentence that says why; docs/troubleshooting.md says more."""

SHORT = {
    "low_confidence": "not sure",
    "neither": "looks like neither",
    "empty": "empty",
    "too_large": "too large",
    "too_many_pixels": "too many pixels",
    "too_many_frames": "too many frames",
    "not_an_image": "no picture",
    "unsupported": "kind not read",
    "truncated": "cut off",
    "corrupt": "broken",
    "decoder_crashed": "crashed the decoder",
    "timeout": "took too long",
    "unreadable": "could not be read",
}


def because(reason: str | None) -> str:
    """Return a reason as the end of a sentence; one that is new is shown as it is."""
    return REASONS.get(reason or "", reason or "no reason is known")


def why(reason: str | None) -> str:
    """Return a reason as a sentence."""
    clause = because(reason)
    return f"{clause[0].upper()}{clause[1:]}."


def brief(reason: str | None) -> str:
    """Return a few words for a reason."""
    return SHORT.get(reason or "", (reason or "no reason known").replace("_", " "))
