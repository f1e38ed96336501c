"""The error of a file that a command cannot move."""

from __future__ import annotations


class RefusedError(Exception):
    """This file cannot be moved; the message says why."""
