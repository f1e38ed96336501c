"""Photos that a simulated model filed, and draws and answers of them, without a database."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from db.queries.spot_checks import Drawn
from pipeline.spot_checks.strata import AGES, allocate, name_of

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Photo:
    """A filed photo: when it arrived, its confidence, and whether its folder is right."""

    file_id: int
    outcome: str
    day: float
    right: bool
    confidence: float = 0.99
    was_drawn: bool = False

    @property
    def seen_at(self) -> datetime:
        return START + timedelta(days=self.day)


@dataclass(slots=True)
class Archive:
    """The photos of a simulation, and the spot checks that were drawn of them."""

    photos: Sequence[Photo]
    rng: random.Random
    drawn: list[Drawn] = field(default_factory=list)

    def draw(self, day: float, sample: int, answered: float = 1.0) -> None:
        """Draw as `pipeline.spot_checks.draw` does; a share of the photos is answered, in random order."""
        groups: dict[str, list[Photo]] = {}
        for photo in self.photos:
            age = timedelta(days=day - photo.day)
            if photo.was_drawn or age < timedelta(0):
                continue
            [of] = [each for each in AGES if each.least <= age and (each.most is None or age < each.most)]
            groups.setdefault(name_of(photo.outcome, of), []).append(photo)
        sizes = {stratum: len(group) for stratum, group in groups.items()}
        chosen = [
            (photo, stratum, sizes[stratum] / count)
            for stratum, count in allocate(sizes, sample).items()
            for photo in self.rng.sample(groups[stratum], count)
        ]
        self.rng.shuffle(chosen)
        at = START + timedelta(days=day)
        for place, (photo, stratum, weight) in enumerate(chosen):
            photo.was_drawn = True
            label = None if place >= answered * len(chosen) else "cat" if photo.right else "dog"
            row = (len(self.drawn), photo.file_id, at, stratum, weight, photo.outcome, "cat",
                   photo.confidence, "0" * 64, photo.seen_at, label)  # fmt: skip
            self.drawn.append(Drawn(*row))

    @property
    def truth(self) -> float:
        return sum(photo.right for photo in self.photos) / len(self.photos)
