"""Errors of image files: the reason and a detail."""

from __future__ import annotations

import struct
from typing import Literal

from models.errors import DEFECTS, in_words

_TOO_SHORT = ("truncated", "not enough image data", "unexpected end of file")
# What Pillow says of a picture that is in order and beyond it.
_NOT_OURS = (
    "unsupported", "not supported", "not yet supported", "unknown pixel mode", "unknown data organization",
    "cannot handle", "unknown raw mode", "not implemented", "not been built in",
)  # fmt: skip
_PARSING = (
    *DEFECTS,
    struct.error,
)  # Pillow raises these, or SyntaxError from them, where a structure is wrong
_PLAIN = {
    "decoder error": "its packed data are damaged",
    "not identified by this driver": "its structure is damaged",
    "unknown data organization": "it does not say where its pixels are",
    "unknown pixel mode": "a kind of pixels that is not read",
    "unknown raw mode": "a kind of pixels that is not read",
}
"""What decoders say that means nothing to a user, and what it means."""


class UnreadableImage(Exception):  # noqa: N818 - a state of the file, not a programming error
    """The bytes are not a picture that a network can classify.

    `reason` is one word for the ledger: empty, too_many_pixels, not_an_image, unsupported, truncated or
    corrupt, or a limit that the caller sets, such as too_large; `detail` is for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def truncated(what: str) -> UnreadableImage:
    """Make the error for bytes that end too early."""
    return UnreadableImage("truncated", what)


def corrupt(what: str) -> UnreadableImage:
    """Make the error for bytes that contradict their format."""
    return UnreadableImage("corrupt", what)


def unsupported(what: str) -> UnreadableImage:
    """Make the error for a picture of a kind that is not read."""
    return UnreadableImage("unsupported", what)


def from_decoder(kind: str, error: Exception) -> UnreadableImage:
    """Make the error, in words, for a picture that its decoder refuses by any type of exception."""
    return UnreadableImage(_reason(error), f"{kind}: {_said(error)}")


def _reason(error: Exception) -> Literal["truncated", "unsupported", "corrupt"]:
    words = str(error).lower()
    if any(phrase in words for phrase in _TOO_SHORT):
        return "truncated"
    if "palette size" in words:
        return "corrupt"
    return "unsupported" if any(phrase in words for phrase in _NOT_OURS) else "corrupt"


def _said(error: Exception) -> str:
    words = str(error)
    if (plain := next((plain for phrase, plain in _PLAIN.items() if phrase in words), None)) is not None:
        return plain
    if isinstance(error, _PARSING) or isinstance(error.__cause__, _PARSING):
        return "its structure is damaged"
    return in_words(error)
