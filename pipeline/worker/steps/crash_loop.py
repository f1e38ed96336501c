"""Tell a classifier that crashes with every photo from photos that crash it: give it a sample photo.

Otherwise a machine that cannot decode any photo, for want of memory, would call all of them failed.
"""

from __future__ import annotations

import base64
import contextlib
import os
import tempfile
from collections.abc import Sequence

MOST_LOSSES = 3
"""Losses of the classifier in a row, without an answer between them, after which it gets the sample: a batch
is lost, and one of its files twice, before that file fails."""

SAMPLE_ID = -1

_SAMPLE = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1R"
    "V19iZ2hnPk1xeXBkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2Nj"
    "Y2NjY2NjY2NjY2NjY2P/wAARCAAgACADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAP/xAAUEAEAAAAAAAAAAAAA"
    "AAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAAAAT/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCICBOAAAAA"
    "A//Z"
)
"""A JPEG of 32 pixels a side."""


class CrashLoop:
    """Counts losses of the classifier since its last answer."""

    def __init__(self) -> None:
        self._losses = 0
        self._detail: str | None = None
        self._path = ""

    @property
    def sample_is_due(self) -> bool:
        """Whether the classifier gets the sample, alone, before any other file."""
        return self._losses >= MOST_LOSSES

    @property
    def problem(self) -> str | None:
        """Say that the classifier crashes with the sample too; None if it does not."""
        if self._detail is None:
            return None
        return f"the classifier crashes with every photo: {self._detail}"

    def sample(self) -> tuple[int, bytes]:
        """Return id and path of the sample, to be submitted. Raises OSError."""
        descriptor, self._path = tempfile.mkstemp(".jpg", "pawsort-")
        with open(descriptor, "wb") as file:
            file.write(_SAMPLE)
        return SAMPLE_ID, os.fsencode(self._path)

    def lose(self, ids: Sequence[int], detail: str) -> None:
        """Count a loss of the classifier with these files."""
        self._losses += 1
        if SAMPLE_ID in ids:
            self._detail = detail
            self._remove_sample()

    def answer(self) -> None:
        """Take note of an answer: the classifier works."""
        self._losses, self._detail = 0, None
        self._remove_sample()

    def _remove_sample(self) -> None:
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            self._path = ""
