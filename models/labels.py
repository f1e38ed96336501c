"""Names of labels and of their folders, and which folder names the worker can use."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping

from models.errors import DatasetError

NEITHER = "neither"
"""The label of photos that show no other label; it never has a folder. Defined here alone."""

RESERVED = ("uncertain", "failed", "duplicates", "waiting", "undone", NEITHER)
"""Names of the worker's own folders and states."""

LONGEST_BYTES = 200
"""The longest folder name in bytes; file systems take 255, and temporary names are longer."""


def check_folders(folders: Mapping[str, str]) -> None:
    """Check folders of labels (label -> folder). Raises DatasetError for one that the worker cannot use."""
    by_name: dict[str, str] = {}
    for label, folder in folders.items():
        if problem := "it never has a folder" if label == NEITHER else why_not(folder):
            raise DatasetError(f"class {label!r}: {problem}; give it another name: --folder LABEL=NAME")
        other = by_name.setdefault(_folded(folder), folder)
        if other != folder:
            raise DatasetError(
                f"class {label!r}: its folder {folder!r} is the same as {other!r} on case-"
                "insensitive file systems; merge the two, or give it another name: --folder LABEL=NAME"
            )


def why_not(folder: str) -> str | None:
    """Return why photos cannot be filed in a folder of that name, None if they can."""
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
