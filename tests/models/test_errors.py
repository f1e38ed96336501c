"""Errors in words: no class of Python, no number of the system."""

from __future__ import annotations

import errno
import os

import pytest

from models.errors import in_words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/cats"), "No space left on device: '/cats'"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "Read-only file system"),
        (OSError(errno.EXDEV, "no link", b"/a\xff", None, b"/b\n"), r"no link: '/a\udcff' -> '/b\n'"),
        (OSError("broken data stream"), "broken data stream"),
        (RuntimeError("two\n  lines\n"), "two lines"),
        (RuntimeError(), "an internal error"),
        (MemoryError(), "out of memory"),
        (MemoryError("no room for pixels"), "out of memory: no room for pixels"),
        (KeyError("x"), "an internal error ('x')"),
        (AttributeError("no attribute"), "an internal error (no attribute)"),
    ],
)  # fmt: skip
def test_an_error_is_in_words(error: BaseException, words: str) -> None:
    assert in_words(error) == words
