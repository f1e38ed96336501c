"""The labels that a visitor may choose from: the classes of the worker's model, and neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.bundle.bundle import Bundle
from models.labels import NEITHER
from pipeline.decision import DUPLICATES, FAILED, UNCERTAIN
from pipeline.settings.config import Settings
from pipeline.web.served_models.model_registry import ModelRegistry

TAKEN = {"s": "skip", "u": "undo", "a": "all"}
"""Keys of the review page for other actions than a label."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A label that a visitor may choose for a photo, its folder, and its key on the review page."""

    label: str
    folder: str
    key: str


class LabelRegistry:
    """The classes of the worker's model, read again when its bundle changes."""

    def __init__(self, settings: Settings, choices: ModelRegistry) -> None:
        self._settings = settings
        self._choices = choices

    def bundle(self) -> Bundle | None:
        """Return the worker's model, None if it cannot be used; the worker logs the reason."""
        return next((choice.bundle for choice in self._choices.all() if choice.is_workers), None)

    def folders(self) -> dict[str, str]:
        """Return the folder of each class."""
        bundle = self.bundle()
        return dict(bundle.folders) if bundle else {}

    def outcomes(self) -> tuple[str, ...]:
        """Return the folders that a file may be in: of the classes, then uncertain and failed."""
        held = (DUPLICATES,) if self._settings.duplicates == "hold" else ()
        own = () if (folder := self._settings.outcomes.neither) == UNCERTAIN else (folder,)
        return (*self.folders().values(), UNCERTAIN, *own, FAILED, *held)

    def of_models(self) -> dict[str | None, tuple[str, ...]]:
        """Return the labels of each model by the SHA-256 of its weights; None stands for the worker's."""
        bundle = self.bundle()
        found: dict[str | None, tuple[str, ...]] = {None: bundle.labels if bundle else ()}
        return found | {choice.bundle.sha256: choice.bundle.labels for choice in self._choices.all()}

    def answers(self, own: Sequence[str] = ()) -> tuple[Answer, ...]:
        """Return the labels to choose from: each class, then `own` folders of people, then neither."""
        folders = {**self.folders(), **{name: name for name in own}}
        return answers(folders, self._settings.outcomes.neither)


def answers(folders: Mapping[str, str], neither: str = UNCERTAIN) -> tuple[Answer, ...]:
    """Return the labels with a key each: the first letter of the name that is free, else a digit.

    `neither` is the folder of photos without a class.

    The keys for neither are assigned first, so that it has its first letter if that is free.
    """
    folder_of = {**folders, NEITHER: folders.get(NEITHER, neither)}
    keys = dict(TAKEN)
    for label in sorted(folder_of, key=lambda label: label != NEITHER):
        keys[_key(label, keys)] = label
    key_of = {label: key for key, label in keys.items() if key not in TAKEN}
    return tuple(Answer(label, folder, key_of.get(label, "")) for label, folder in folder_of.items())


def _key(label: str, taken: Mapping[str, str]) -> str:
    letters = [letter for letter in label.lower() if letter.isascii() and letter.isalpha()]
    return next((key for key in [*letters, *"123456789"] if key not in taken), f"no key for {label}")
