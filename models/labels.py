"""Names of classes and of their folders: which of them the worker can file photos under."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping

from models.errors import DatasetError

NEITHER = "neither"
"""The label that never has a folder."""

RESERVED = ("uncertain", "failed", "duplicates", "waiting", "undone", NEITHER)
"""What the worker and its commands call folders and states of their own."""

LONGEST_BYTES = 200
"""Of a folder's name; file systems take 255, and a file is written beside it first."""


def check_folders(folders: Mapping[str, str]) -> None:
    """Refuse folders of labels (label -> folder) that the worker could not use. Raises DatasetError."""
    by_name: dict[str, str] = {}
    for label, folder in folders.items():
        if problem := why_not(folder):
            raise DatasetError(f"class {label!r}: {problem}; give it another name: --folder LABEL=NAME")
        other = by_name.setdefault(_folded(folder), folder)
        if other != folder:
            raise DatasetError(
                f"class {label!r}: its folder {folder!r} is the same as {other!r} on disks that do not tell "
                "capital letters apart; merge the two, or give it another name: --folder LABEL=NAME"
            )


def why_not(folder: str) -> str | None:
    """Say why photos cannot be filed in a folder of that name, None if they can."""
    if _folded(folder) in RESERVED:
        return f"the folder name {folder!r} is reserved for other files"
    if not folder.strip() or folder.startswith(".") or {"/", "\\"} & set(folder):
        return f"{folder!r} is not a plain folder name"
    if not folder.isprintable() or folder != folder.strip():
        return f"{folder!r} has characters that cannot be seen, or that are not UTF-8"
    if len(os.fsencode(folder)) > LONGEST_BYTES:
        return f"{folder[:20]!r}... is longer than {LONGEST_BYTES} bytes"
    return None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
