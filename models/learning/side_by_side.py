"""Champion and challenger side by side: on the base's test, on judged photos, and on filed ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.bundle.replay import Replay
from models.inference.box_crops import CropInference
from models.labels import NEITHER
from models.learning.compare import Answers, contradicted, pair
from models.learning.fitting.head import Head
from models.learning.fitting.last_layer import Material, predictions
from models.learning.judged import TEST, TRAIN, Judged
from models.learning.photos import FiledPhoto, Known
from models.learning.record import Change, Comparison, Contradiction
from models.types import Flags

UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Model:
    """A last layer as it is used: with its temperature, its crops and the threshold of the promise."""

    head: Head
    temperature: float
    crops: CropInference
    threshold: float

    def answers(self, photos: Replay) -> tuple[Answers, int]:
        """Return the answers to photos, and how many lack crops."""
        found = predictions(photos, self.head, self.temperature, self.crops)
        answers = Answers(found.refined.probabilities, self.crops.with_folder, self.threshold)
        return answers, found.without_crops


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Both models, what they are compared for, and the promise."""

    champion: Model
    challenger: Model
    judged: Judged
    material: Material
    target_precision: float

    def comparison(self, champion: str, challenger: str, doubtful: int) -> Comparison:
        """Compare them; `doubtful` photos of `neither` of the replay were left out."""
        material, own = self.material, self.judged.replay
        with_folder, labels = material.crops.with_folder, material.labels
        base = material.base.part("test")
        base_after, without = self.challenger.answers(base)
        before, after = self.champion.answers(own)[0], self.challenger.answers(own)[0]
        test, unseen = own.parts == TEST, own.parts != TRAIN
        wrong = contradicted(before, after, own.labels) & unseen
        return Comparison(
            champion=champion,
            challenger=challenger,
            target_precision=self.target_precision,
            base=pair(self.champion.answers(base)[0], base_after, base.labels, labels, with_folder),
            own=pair(before.where(test), after.where(test), own.labels[test], labels, with_folder),
            checked=int(unseen.sum()),
            contradictions=self._contradictions(after, wrong),
            new_labels=list(material.new),
            base_neither=_of_neither(material) + doubtful,
            base_neither_left_out=doubtful,
            without_crops=without,
        )

    def _contradictions(self, answers: Answers, wrong: Flags) -> list[Contradiction]:
        own = self.judged
        return [
            Contradiction(
                id=own.photos[i].id,
                sha256=own.digests[i],
                label=own.labels[int(own.replay.labels[i])],
                answer=own.labels[int(answers.predicted[i])],
            )
            for i in np.flatnonzero(wrong).tolist()
        ]

    def changes(self, everything: Known, filed: Sequence[FiledPhoto]) -> tuple[list[Change], int]:
        """Return the filed photos that change their place, and how many of them were predicted."""
        known = everything.only([photo.sha256 for photo in filed])
        ids, count = {photo.sha256: photo.id for photo in filed}, len(known)
        if not count:
            return [], 0
        no_labels = np.zeros(count, np.int16)
        photos = Replay(known.features, no_labels, no_labels.astype(np.int8), ("",) * count)
        places = [self._places(photos, model) for model in (self.champion, self.challenger)]
        return [
            Change(id=ids[digest], before=before, after=after)
            for digest, before, after in zip(known.digests, *places, strict=True)
            if before != after
        ], count

    def _places(self, photos: Replay, model: Model) -> list[str]:
        found = model.answers(photos)[0].places(self.judged.labels)
        return [self.judged.folders[label] if label else UNCERTAIN for label in found]


def _of_neither(material: Material) -> int:
    place = material.labels.index(NEITHER) if NEITHER in material.labels else -1
    return int((material.base.labels == place).sum())
