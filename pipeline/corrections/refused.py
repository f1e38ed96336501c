"""The error of a file that a command cannot move."""

from __future__ import annotations

NOTED_ONLY = (
    "was classified by a backfill where it lies, and not filed; put it into an inbox to have it filed"
)
"""Why a photo in the state `noted` is refused."""


class RefusedError(Exception):
    """This file cannot be moved; the message says why."""
