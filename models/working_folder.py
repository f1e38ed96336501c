"""Leave the working folder, from which packages would read settings, weights and libraries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def leave() -> None:
    """Make `/` the working folder for good; a service and its children call it.

    They would otherwise fail once the folder is removed, and keep its disk from being unmounted.
    """
    os.chdir("/")


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
