"""Refuse folders that cannot work: overlapping ones, too long paths, and paths of files.

In overlapping folders the worker would process its own files again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from db.connection import paths_in_urls
from pipeline.errors import SettingsError
from pipeline.settings.ranges import NAME_BYTES, PATH_BYTES

_OF_THE_KERNEL = (Path("/proc"), Path("/sys"))


def check(places: Sequence[tuple[str, Path]]) -> None:
    """Raise SettingsError if a folder cannot be one, or if two are the same or nested.

    Each has the name of its setting. Links are resolved first, so that two names of one folder count as one.
    """
    for name, path in places:
        _refuse_unusable(name, path)
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


def check_database(url: str, places: Sequence[tuple[str, Path]]) -> None:
    """Raise SettingsError if an SQLite database lies where the worker has photos or files of its own."""
    if (file := paths_in_urls.file_of(url)) is None:
        return
    path = os.path.normpath(file)
    if max(map(len, os.fsencode(path).split(b"/"))) > NAME_BYTES - len("-journal"):
        raise SettingsError(f"database: {path}: the name of the file is too long")
    if os.path.exists(path) and not os.path.isfile(path):
        raise SettingsError(f"database: {path} is not a file")
    for name, folder in places:
        _refuse_inside(path, name, folder)


def _refuse_inside(path: str, name: str, folder: Path) -> None:
    real, inside = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    if name == "state":
        if real.parent == inside and (real.name == "spool" or real.suffix in (".json", ".lock")):
            raise SettingsError(f"database: {path} is a file of the worker; choose another name")
        name, inside = "the spool", inside / "spool"
    elif name == "reports":
        return
    if real.is_relative_to(inside):
        message = f"database ({path}) lies inside {name} ({inside}), where the worker takes or files photos"
        raise SettingsError(f"{message}; put it into `state`")


def _refuse_unusable(name: str, path: Path) -> None:
    if len(os.fsencode(path)) > PATH_BYTES:
        raise SettingsError(f"{name}: the path has more than {PATH_BYTES} bytes: {str(path)[:100]}...")
    if any(path.is_relative_to(root) for root in _OF_THE_KERNEL):
        raise SettingsError(f"{name}: {path}: the kernel makes the files there; choose another folder")
    for part in (path, *path.parents):
        if os.path.exists(part):
            if not os.path.isdir(part):
                raise SettingsError(f"{name}: {part} is a file; expected the path of a folder")
            return
