"""Errors of `models`, in a module that imports neither NumPy nor TensorFlow."""

from __future__ import annotations


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
        __import__(package)
    except ImportError as error:
        remedy = " or ".join(filter(None, ("run `pip install 'pawsort[train]'`", otherwise)))
        raise PackageMissing(f"{package} is not installed: {remedy}") from error
