"""What goes wrong with models, in words; apart from the code that needs numpy or TensorFlow to find it out."""

from __future__ import annotations


class BundleError(Exception):
    """A bundle cannot be used; the message says what is wrong, where, and what to do next."""
