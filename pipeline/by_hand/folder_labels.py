"""What the folders under `sorted` say of the photos in them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from functools import lru_cache

from db.schema.file_names import can_stand
from models.labels import NEITHER
from pipeline.decision import DUPLICATES, FAILED, UNCERTAIN
from pipeline.settings.config import Settings
from pipeline.watch.ignore_rules import ignorer

SILENT = (UNCERTAIN, FAILED, DUPLICATES)
"""Folders that say nothing of a photo: dragged into one of them, it has no label any more."""

FOLDER = "folder"
"""Stands for the person, where the owner of a file has no login name."""


class FolderLabels:
    """Labels by folder, from the `folders` of a bundle, label -> folder; a new folder is a label itself."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._labels: dict[str, str] = {}
        self.add(folders)

    def add(self, folders: Mapping[str, str]) -> None:
        """Know also the folders of another version: photos that the one before has filed stay in its own."""
        self._labels |= {folder: label for label, folder in reversed(list(folders.items()))}

    def label(self, folder: str) -> str | None:
        """Return the label of the photos in a folder, None if it says nothing."""
        return None if folder in SILENT else self._labels.get(folder, folder)

    def is_of_model(self, folder: str) -> bool:
        """Return whether the model files photos into a folder, so that not only people do."""
        return folder in self._labels


def labels_of(folders: Mapping[str, str], settings: Settings) -> FolderLabels:
    """Return what the folders say, that of the photos which a person called neither included."""
    neither = settings.outcomes.neither
    return FolderLabels(folders if neither == UNCERTAIN else {NEITHER: neither, **folders})


def ignorer_below(root: bytes) -> Callable[[bytes], bool]:
    """Return a function that tests whether a path relative to `sorted` is no photo of a person's folder.

    As in an inbox; and hidden folders are of programs, such as the bin of a disk, and no class.
    """
    temporary = ignorer((), root)
    return lambda path: path.startswith(b".") or temporary(path)


def folder_of(path: bytes) -> str | None:
    """Return the class's folder of a path relative to `sorted`.

    None for a file that is in no folder, or in one whose name no table can contain.
    """
    folder, slash, _ = path.partition(b"/")
    name = os.fsdecode(folder)
    return name if slash and can_stand(name) else None


@lru_cache(100)
def login_name(uid: int) -> str:
    """Return the login name of a user, "folder" if it has none on this machine."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return FOLDER
