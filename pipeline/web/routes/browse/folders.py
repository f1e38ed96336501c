"""Suggest folders for the filter of Browse while a visitor types."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from db.schema.file_names import escape
from pipeline.settings.config import Settings

MOST = 40
"""Suggestions at once."""

MOST_ENTRIES = 2_000
"""Entries that are looked at in one folder; one of a million photos would take long."""

MOST_ROOTS = 30


def suggestions(settings: Settings, typed: str) -> list[str]:
    """Return the folders below an inbox, `sorted` or a folder of `sorted` that begin with `typed`.

    `typed` is relative, such as `holiday/ro`; letters are compared case-insensitively. Names are in their
    readable form, sorted; links are not followed.
    """
    parent, _, start = typed.rpartition("/")
    if typed.startswith("/") or ".." in parent.split("/") or "\0" in typed:
        return []
    found: set[str] = set()
    for root in _roots(settings):
        if root.is_dir() and not any(part.is_symlink() for part in _steps(root, parent)):
            found |= {os.path.join(parent, name) for name in _folders(root / parent, start.casefold())}
    return sorted(found)[:MOST]


def _roots(settings: Settings) -> list[Path]:
    """Return where relative folders begin: `sorted`, its folders, and the inboxes."""
    of_classes = [settings.sorted / os.fsdecode(name) for name in _names(settings.sorted)]
    return [settings.sorted, *settings.inboxes, *of_classes[:MOST_ROOTS]]


def _steps(root: Path, parent: str) -> Iterator[Path]:
    """Yield each folder on the way from `root` to `parent`."""
    for part in Path(parent).parts:
        root = root / part
        yield root


def _folders(folder: Path, start: str) -> Iterator[str]:
    names = (escape(name) for name in _names(folder))
    return (name for name in names if name.casefold().startswith(start) and not name.startswith("."))


def _names(folder: Path) -> list[bytes]:
    """Return the names of the folders in `folder`, none if it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(os.fsencode(folder)) as entries:
        return [each.name for each in islice(entries, MOST_ENTRIES) if each.is_dir(follow_symlinks=False)]
    return []
