"""Errors of `models`, in a module that imports neither NumPy nor TensorFlow."""

from __future__ import annotations

import os

from models import working_folder

DEFECTS = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, NameError, TypeError,
    UnicodeError,
)  # fmt: skip
"""Errors of Python itself, whose texts speak of the program and not of what it works on."""


LONGEST_QUOTE = 200
"""Characters of a name or value that a message quotes."""


class BundleError(Exception):
    """A bundle cannot be used; the message says what is wrong, where, and what to do next."""


class DatasetError(Exception):
    """Photos that cannot be used; the message says which folder, and what was expected."""


class ArchitectureError(Exception):
    """Weights do not fit a network, or there is no such network; the message says what was expected."""


class RecipeError(Exception):
    """A recipe's key or value cannot be used; the message names both, and what was expected."""


class PackageMissing(Exception):  # noqa: N818 - named by what happened
    """A package is not installed; the message says how to install it."""


def need(package: str, otherwise: str = "") -> None:
    """Import a package of the extra `train`. Raises PackageMissing, which says how to install it.

    `otherwise` names another way out, such as an option to leave out.
    """
    try:
        with working_folder.left():
            __import__(package)
    except ImportError as error:
        from models.installation import install_command

        remedy = " or ".join(filter(None, (f"run `{install_command(extra='train')}`", otherwise)))
        raise PackageMissing(f"{package}, of pawsort[train], is not installed: {remedy}") from error


def shortened(text: str) -> str:
    """Return the beginning of a text for a message, since hostile files hold names and values of any size."""
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


def in_words(error: BaseException) -> str:
    """Say in one line what an error is: without the name of its class or a number of the system."""
    if isinstance(error, OSError) and error.strerror:
        paths = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        # As `repr` writes them, because names may have line breaks or be no UTF-8.
        return ": ".join(
            filter(None, (error.strerror, " -> ".join(repr(os.fsdecode(path)) for path in paths)))
        )
    said = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return ": ".join(filter(None, ("out of memory", said)))
    if isinstance(error, DEFECTS) or not said:
        return f"an internal error ({said})" if said else "an internal error"
    return said
