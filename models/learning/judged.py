"""The judged photos that a challenger learns from: labelled, split by content, with their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundle.bundle import Bundle
from models.bundle.replay import PARTS, Replay
from models.data.splits import SPLITS
from models.errors import DatasetError
from models.learning.labels import labelled
from models.learning.photos import JudgedPhoto, Known, splits_of
from models.learning.record import LeftOut

LEAST_JUDGED = 20
TRAIN, TEST = PARTS.index("train"), PARTS.index("test")

_PART_OF_SPLIT = np.array(
    [PARTS.index("train" if split == "validation" else split) for split in SPLITS], np.int8
)


@dataclass(frozen=True, slots=True)
class Judged:
    """The judged photos that are used, photo i at index i of each field."""

    photos: Sequence[JudgedPhoto]
    digests: Sequence[str]
    replay: Replay
    labels: tuple[str, ...]  # of the challenger: the champion's, then new ones
    folders: Mapping[str, str]
    left_out: Sequence[LeftOut]

    def test(self) -> Replay:
        """Return the photos that compare: neither the champion nor the challenger has seen them."""
        return self.replay.part("test")

    def rows(self) -> list[tuple[str, str, str]]:
        """Return SHA-256, label and part of each photo."""
        own = self.replay
        return [
            (digest, self.labels[int(label)], PARTS[int(part)])
            for digest, label, part in zip(self.digests, own.labels, own.parts, strict=True)
        ]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many photos of each label are in each part."""
        counts: dict[str, dict[str, int]] = {}
        for _, label, part in self.rows():
            of_label = counts.setdefault(label, dict.fromkeys(PARTS, 0))
            of_label[part] += 1
        return counts


def judged_of(
    champion: Bundle, photos: Sequence[JudgedPhoto], everything: Known, seen: Mapping[str, str]
) -> Judged:
    """Return the judged photos that can be used, of those whose features are known.

    `seen` are the judged photos that the champion has used, SHA-256 -> part: only others can compare. Raises
    DatasetError for fewer than LEAST_JUDGED.
    """
    found = labelled(champion, photos, everything.unreadable)
    known = everything.only([photo.sha256 for photo in found.photos])
    check_count(len(known))
    truth = np.array([found.labels.index(label) for label in found.names], np.int16)
    parts = _PART_OF_SPLIT[splits_of(known, champion.manifest.made.seed)]
    replay = Replay(known.features, truth, _unseen_test(parts, known.digests, seen), ("",) * len(known))
    return Judged(found.photos, known.digests, replay, found.labels, found.folders, found.left_out)


def check_count(photos: int) -> None:
    """Raise DatasetError for fewer than LEAST_JUDGED photos."""
    if photos < LEAST_JUDGED:
        raise DatasetError(
            f"{photos} judged photos can be used; expected at least {LEAST_JUDGED}: judge more on the "
            "page Review or by `pawsort correct`"
        )


def _unseen_test(
    parts: npt.NDArray[np.int8], digests: Sequence[str], seen: Mapping[str, str]
) -> npt.NDArray[np.int8]:
    """Move photos that the champion has learnt from out of the test; near-duplicates may have joined them."""
    learnt = np.array([seen.get(digest, "test") != "test" for digest in digests], bool)
    return np.where(learnt & (parts == TEST), TRAIN, parts).astype(np.int8)
