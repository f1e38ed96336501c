"""Refuse overlapping folders, in which the worker would process its own files again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from pipeline.errors import SettingsError


def check(places: Sequence[tuple[str, Path]]) -> None:
    """Raise SettingsError if two folders, each with the name of its setting, are the same or nested.

    Links are resolved first, so that two names of one folder count as one.
    """
    for (name, path), (other_name, other) in combinations(places, 2):
        _refuse_overlap(name, path, other_name, other)


def _refuse_overlap(name: str, path: Path, other_name: str, other: Path) -> None:
    a, b = Path(os.path.realpath(path)), Path(os.path.realpath(other))
    if a == b:
        raise SettingsError(f"{name} and {other_name} are the same folder, {path}; each needs its own")
    for inner_name, inner, outer_name, outer in [(name, a, other_name, b), (other_name, b, name, a)]:
        if inner.is_relative_to(outer):
            raise SettingsError(
                f"{inner_name} ({inner}) lies inside {outer_name} ({outer}); "
                "files would be taken twice, or again and again. Put the folders side by side"
            )
