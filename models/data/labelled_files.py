"""Find classes and files: a folder or tar file for each data set, with a folder for each class in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.data import tar_archives
from models.data.splits import Split
from models.errors import DatasetError
from models.labels import NEITHER

LEVELS: Mapping[str, Split] = {
    "train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"
}  # fmt: skip
"""Folders above the classes that give the split, if both `train` and `test` exist."""


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A file that should be a photo; `source` is the first folder below its class, or "".

    `level` is the split that the data set itself gives it, None without one.
    """

    name: str
    source: str
    path: bytes
    level: Split | None = None


def find_files(folders: Sequence[Path]) -> tuple[tuple[str, ...], list[LabelledFile], dict[bytes, str]]:
    """Return the classes, `neither` last, their files, and the members of archives that were refused.

    A folder named `neither` is a class itself; of any other folder, each subfolder is one, or of `train` and
    `test` in it. A tar file counts as the folder that it holds. Links to folders are followed. Raises
    DatasetError where there is no class.
    """
    classes: dict[str, list[LabelledFile]] = {}
    refused: dict[bytes, str] = {}
    for folder in folders:
        path = os.fsencode(folder)
        if tar_archives.is_archive(path):
            archive = tar_archives.open_archive(path)
            refused |= {os.path.join(path, name): reason for name, reason in archive.refused.items()}
            found = _in_archive(path, archive)
        elif folder.is_dir():
            found = _in_folder(folder, classes, refused)
        else:
            raise DatasetError(
                f"{folder}: expected a folder with one subfolder for each class, or a .tar, found none"
            )
        for file in found:
            classes.setdefault(file.name, []).append(file)
    if not classes:
        raise DatasetError(
            f"{named(folders)}: no class: expected one subfolder for each class, found no subfolder"
        )
    # `neither` last, so that the labels that have folders come first
    names = tuple(sorted(classes, key=lambda name: (name == NEITHER, name)))
    return names, [file for name in names for file in classes[name]], refused


def named(folders: Sequence[Path]) -> str:
    """Name folders for a message."""
    return ", ".join(map(str, folders))


def _in_folder(
    folder: Path, classes: dict[str, list[LabelledFile]], refused: dict[bytes, str]
) -> Iterator[LabelledFile]:
    if folder.resolve().name == NEITHER or folder.name == NEITHER:
        return _in_class(NEITHER, folder, None, classes, refused)
    levels: Mapping[str, Split | None] = _levels([p.name for p in _subfolders(folder)])
    if levels and not all(_subfolders(folder / level) for level in levels):
        levels = {}  # `train` and `test` are the classes
    tops = [(folder / level, split) for level, split in levels.items()] or [(folder, None)]
    return (
        file
        for top, split in tops
        for subfolder in _subfolders(top)
        for file in _in_class(subfolder.name, subfolder, split, classes, refused)
    )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _levels(names: Sequence[str]) -> dict[str, Split]:
    both = {"train", "test"} <= set(names) <= set(LEVELS)
    return {name: LEVELS[name] for name in names} if both else {}


def _in_class(
    name: str,
    folder: Path,
    level: Split | None,
    classes: dict[str, list[LabelledFile]],
    refused: dict[bytes, str],
) -> Iterator[LabelledFile]:
    classes.setdefault(name, [])  # also when empty, so that the error can name it
    for source, path in sorted(_walk(os.fsencode(folder), refused)):
        yield LabelledFile(name, source, path, level)


def _walk(root: bytes, refused: dict[bytes, str]) -> Iterator[tuple[str, bytes]]:
    """Yield (source, path) of each regular file; a source is the first folder below the class, or "".

    Adds to `refused` the reason for each folder or file that cannot be reached.
    """

    def refuse(error: OSError) -> None:
        refused[os.fsencode(error.filename)] = f"cannot be read: {error.strerror}"

    visited: set[tuple[int, int]] = set()
    waiting = [root]  # a list, since `os.walk` calls itself for each level and raises RecursionError
    while waiting:
        folder = waiting.pop()
        try:
            info = os.stat(folder)
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            refuse(error)
            continue
        if (info.st_dev, info.st_ino) in visited:  # a link to a folder above
            continue
        visited.add((info.st_dev, info.st_ino))
        source = os.path.relpath(folder, root).split(os.sep.encode())[0].removeprefix(b".")
        paths = [os.path.join(folder, name) for name in names if not name.startswith(b".")]
        waiting += filter(os.path.isdir, reversed(paths))
        yield from ((_text(source), path) for path in paths if _is_file(path, refuse))


def _text(name: bytes) -> str:
    """Return the name of a source as text that every file can hold; bytes that are not UTF-8 are escaped."""
    return name.decode("utf-8", "backslashreplace")


def _is_file(path: bytes, refuse: Callable[[OSError], None]) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:  # a link to nothing
        return False
    except OSError as error:
        refuse(error)
        return False


def _in_archive(path: bytes, archive: tar_archives.Archive) -> Iterator[LabelledFile]:
    members = [name.split(b"/") for name in sorted(archive.members)]
    members = [parts for parts in members if not any(part.startswith(b".") for part in parts)]
    skip = _wrapping(members)
    levels = _levels(sorted({os.fsdecode(p[skip]) for p in members}))
    if levels and min(map(len, members)) < skip + 3:
        levels = {}
    below = skip + bool(levels)
    for parts in members:
        if len(parts) > below + 1:
            level = levels.get(os.fsdecode(parts[skip])) if levels else None
            source = _text(parts[below + 1]) if len(parts) > below + 2 else ""
            yield LabelledFile(os.fsdecode(parts[below]), source, os.path.join(path, *parts), level)


def _wrapping(members: Sequence[Sequence[bytes]]) -> int:
    """Return how many common folders are above the classes."""
    skip = 0
    while len({tuple(parts[: skip + 1]) for parts in members}) == 1 and min(map(len, members)) > skip + 2:
        skip += 1
    return skip
