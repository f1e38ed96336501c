"""Which labels a challenger has, and which judged photos it learns from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.bundle.bundle import Bundle
from models.errors import DatasetError
from models.labels import NEITHER, check_folders, why_not
from models.learning.photos import JudgedPhoto
from models.learning.record import LeftOut

LEAST_OF_NEW = 20
"""Judged photos that a label needs to be new in a model."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Judged photos that can be used, the label of each, and all labels: the champion's, then new ones."""

    photos: Sequence[JudgedPhoto]
    names: Sequence[str]
    labels: tuple[str, ...]
    folders: Mapping[str, str]
    left_out: Sequence[LeftOut]


def labelled(champion: Bundle, judged: Sequence[JudgedPhoto], unreadable: Mapping[str, str]) -> Labelled:
    """Return the photos with a label; a name that is none of the champion's becomes a label and its folder.

    Of equal contents the last counts. Left out are unreadable photos, those of a name that cannot be a
    folder, and those of a new label with fewer than LEAST_OF_NEW photos.
    """
    names = {folder: label for label, folder in champion.folders.items()} | {
        label: label for label in champion.labels
    }
    usable = {photo.sha256: photo for photo in judged if photo.sha256 not in unreadable}
    counts = Counter(photo.label for photo in usable.values() if photo.label not in names)
    refused = {
        label: reason for label, count in counts.items() if (reason := _why_not(champion, label, count))
    }
    kept = [photo for photo in usable.values() if photo.label not in refused]
    new = sorted(set(counts) - set(refused))
    labels = (*champion.labels, *new)
    return Labelled(
        kept,
        [names.get(photo.label, photo.label) for photo in kept],
        labels,
        {**champion.folders, **{label: label for label in new}},
        _left_out(judged, unreadable, refused),
    )


def _why_not(champion: Bundle, label: str, count: int) -> str | None:
    if label == NEITHER:
        return "the model has no label neither"
    if problem := why_not(label):
        return problem
    try:
        check_folders({**champion.folders, label: label})
    except DatasetError as error:
        return str(error)
    if count < LEAST_OF_NEW:
        return f"{label} has {count} photos; a new label needs at least {LEAST_OF_NEW}"
    return None


def _left_out(
    judged: Sequence[JudgedPhoto], unreadable: Mapping[str, str], refused: Mapping[str, str]
) -> list[LeftOut]:
    return [
        LeftOut(id=photo.id, sha256=photo.sha256, reason=reason)
        for photo in judged
        if (reason := unreadable.get(photo.sha256) or refused.get(photo.label))
    ]
