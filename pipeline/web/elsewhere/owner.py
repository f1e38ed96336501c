"""Whose a file is, for the pages of another machine."""

from __future__ import annotations

from typing import NamedTuple


class Owner(NamedTuple):
    """The worker of another machine; `address` is that of its pages, None if it has none for others."""

    id: int
    name: str
    address: str | None


class NotReachable(Exception):  # noqa: N818 - as the other problems with one file
    """A file of another machine cannot be read from here; the message says why."""
