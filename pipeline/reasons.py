"""Texts for the reasons of the ledger, used by all pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason in a few words, and as a clause that completes "because ..."."""

    brief: str
    clause: str


REASONS = {
    "low_confidence": Reason("low confidence", "the confidence is below the threshold"),
    "neither": Reason("neither", "it resembles none of the classes"),
    "both": Reason("two classes", "it shows animals of two classes"),
    "empty": Reason("empty", "the file is empty"),
    "too_large": Reason("too large", "the file is larger than limits.file_mb allows"),
    "too_many_pixels": Reason("too many pixels", "the image has more pixels than limits.megapixels allows"),
    "too_many_frames": Reason(
        "too many frames", "the file has more frames or pages than limits.frames allows"
    ),
    "not_an_image": Reason("not an image", "the file's content is not an image"),
    "unsupported": Reason(
        "unsupported format", "the format is not supported, such as PDF, video, or RAW without the extra raw"
    ),
    "truncated": Reason("truncated", "a part of the file is missing"),
    "corrupt": Reason("corrupt", "the file contradicts its own format"),
    "decoder_crashed": Reason("decoder crashed", "the decoder crashed on it at every attempt"),
    "timeout": Reason("timeout", "decoding took longer than limits.decode_seconds allows"),
    "imported": Reason("imported", "it was put in by hand, or its row was lost, and was not classified"),
    "unreadable": Reason("unreadable", "reading failed: disk error or missing permission"),
}
"""Texts by reason; docs/troubleshooting.md says what to do about each."""

FAILURES = tuple(
    reason for reason in REASONS if reason not in ("low_confidence", "neither", "both", "imported")
)
"""Reasons for which a file fails; the others are of photos."""


def because(reason: str | None) -> str:
    """Return a reason as the clause of a sentence; an unknown one is shown as it is."""
    known = REASONS.get(reason or "")
    return known.clause if known else reason or "the reason is unknown"


def why(reason: str | None) -> str:
    """Return a reason as a sentence."""
    clause = because(reason)
    return f"{clause[0].upper()}{clause[1:]}."


def brief(reason: str | None) -> str:
    """Return a reason in a few words."""
    known = REASONS.get(reason or "")
    return known.brief if known else (reason or "unknown reason").replace("_", " ")
