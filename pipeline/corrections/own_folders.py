"""Folders that people made under `sorted`: labels that the model in force does not have."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from db.queries.listing import NOTED, WAITING
from models.labels import NEITHER
from pipeline.decision import DUPLICATES, FAILED, UNCERTAIN

NO_LABELS = frozenset({UNCERTAIN, FAILED, DUPLICATES, WAITING, "undone", NOTED, NEITHER})
"""Folders that say nothing of a photo, and states of files in no folder."""


def own_folders(folders: Mapping[str, str], outcomes: Collection[str], neither: str) -> list[str]:
    """Return those of `outcomes` that people made.

    `folders` are the model's, label -> folder; `neither` is the settings' folder for photos without a class.
    """
    return sorted({*outcomes} - {*folders, *folders.values(), neither} - NO_LABELS)


def with_own_folders(folders: Mapping[str, str], outcomes: Collection[str], neither: str) -> dict[str, str]:
    """Return the folder of each label, of the model and of people; a folder of people is a label itself."""
    return {**folders, **{name: name for name in own_folders(folders, outcomes, neither)}}
