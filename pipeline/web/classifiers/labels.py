"""The classes that a visitor may choose from, as the model of the settings has them; none is named here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.bundle.bundle import Bundle
from models.labels import NEITHER
from pipeline.config import Settings
from pipeline.decision import DUPLICATES, FAILED, UNCERTAIN
from pipeline.web.classifiers.model_registry import ModelRegistry

TAKEN = {"s": "skip", "u": "undo", "a": "all"}
"""Keys of the review that are no answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a visitor may say of a photo, the folder it then goes to, and the key for it."""

    label: str
    folder: str
    key: str


class LabelRegistry:
    """The classes of the settings' model, as they are now."""

    def __init__(self, settings: Settings, choices: ModelRegistry) -> None:
        self._settings = settings
        self._choices = choices

    def bundle(self) -> Bundle | None:
        """Return the worker's model, None where it cannot be used; the worker says why."""
        return next((choice.bundle for choice in self._choices.all() if choice.is_workers), None)

    def folders(self) -> dict[str, str]:
        """Return the folder of each class."""
        bundle = self.bundle()
        return dict(bundle.folders) if bundle else {}

    def outcomes(self) -> tuple[str, ...]:
        """Name the folders that a file may be in: of the classes, then uncertain and failed."""
        held = (DUPLICATES,) if self._settings.duplicates == "hold" else ()
        return (*self.folders().values(), UNCERTAIN, FAILED, *held)

    def answers(self) -> tuple[Answer, ...]:
        """Return what may be said of a photo: each class, then neither."""
        return answers(self.folders())


def answers(folders: Mapping[str, str]) -> tuple[Answer, ...]:
    """Give each class a key: the first letter of its name that is free, else a digit.

    Neither gets its own first letter wherever it can.
    """
    said = {**folders, NEITHER: folders.get(NEITHER, UNCERTAIN)}
    keys = dict(TAKEN)
    for label in sorted(said, key=lambda label: label != NEITHER):
        keys[_key(label, keys)] = label
    of_label = {label: key for key, label in keys.items() if key not in TAKEN}
    return tuple(Answer(label, folder, of_label.get(label, "")) for label, folder in said.items())


def _key(label: str, taken: Mapping[str, str]) -> str:
    letters = [letter for letter in label.lower() if letter.isascii() and letter.isalpha()]
    return next((key for key in [*letters, *"123456789"] if key not in taken), f"no key for {label}")
