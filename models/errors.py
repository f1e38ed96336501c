"""What goes wrong with models, apart from the code that needs numpy or TensorFlow to find it out."""

from __future__ import annotations


class BundleError(Exception):
    """A bundle cannot be used; the message says what is wrong, where, and what to do next."""


class DatasetError(Exception):
    """Photos that cannot be used; the message says which folder, and what was expected."""


class ArchitectureError(Exception):
    """Weights and a network do not fit, or there is no such network; the message says what was expected."""


class PackageMissing(Exception):  # noqa: N818 - says what has happened
    """What was asked for needs a package that is not installed; the message says how to get it."""


def need(package: str, otherwise: str = "") -> None:
    """Import a package of the extra `train`. Raises PackageMissing, which says how to install it.

    `otherwise` names another way out, such as an option to leave out.
    """
    try:
        __import__(package)
    except ImportError as error:
        remedy = " or ".join(filter(None, ("run `pip install 'pawsort[train]'`", otherwise)))
        raise PackageMissing(f"{package} is not installed: {remedy}") from error
