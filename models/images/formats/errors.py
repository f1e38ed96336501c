"""Errors of image files: the reason and a detail."""

from __future__ import annotations


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
