"""Leave the working folder while packages are imported that would read settings from there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left() -> Iterator[None]:
    """Make `/` the working folder meanwhile; where the working folder cannot be entered, nothing is changed.

    Matplotlib, which Keras imports, takes a `matplotlibrc` of the working folder before that of the user: a
    broken one makes the import fail, and one with `text.usetex` runs programs. Call it only while no other
    thread uses relative paths.
    """
    try:
        before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # what cannot be entered cannot be read either
        return
    try:
        os.chdir("/")
        yield
    finally:
        os.fchdir(before)
        os.close(before)
