"""Multi-crop inference on a detector's boxes: crops of the animals found replace the four corners.

Photos of low confidence are predicted again in crops. So are photos that may show two animals, which a
network that sees the whole photo often labels with high confidence: where two crops show different labels,
the photo shows both, and belongs into no folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.bundle.bundle import Bundle
from models.bundle.manifest import Detector, MultiCrop
from models.images.resize import resized
from models.inference import multi_crop
from models.types import Flags, Pixels, PredictFn, Probabilities, TryLoadFn

Area = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a photo, as shares of its width and height, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Box:
    """An animal found in a photo; `score` is 0 to 1."""

    label: str
    score: float
    area: Area


DetectFn = Callable[[Pixels], Sequence[Box]]
"""From a photo, uint8 (side, side, 3), to the boxes found in it, the highest score first; thread-safe."""


@dataclass(frozen=True, slots=True)
class Refined:
    """Probabilities (n, k), and which of the n photos show two labels: their probabilities are shared."""

    probabilities: Probabilities
    both: Flags


@dataclass(frozen=True, slots=True)
class Crops:
    """What a network predicts of the crops of one photo."""

    row: int
    predictions: Probabilities  # (m, k), m at least 1
    are_boxes: bool  # of the detector, not corners
    count: bool  # in the photo's probabilities; else only for whether it shows two animals


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rows of photos to predict again in crops, and why."""

    unsure: frozenset[int]  # of low confidence
    empty: frozenset[int]  # clearly `neither`, unless the detector finds an animal
    both: frozenset[int]  # that may show two animals

    @property
    def rows(self) -> list[int]:
        """All of them, ascending."""
        return sorted(self.unsure | self.empty | self.both)


@dataclass(frozen=True, slots=True)
class CropInference:
    """When and how photos are predicted again in crops: of a detector's boxes, or of the corners."""

    corners: MultiCrop | None  # which photos are of low confidence, and the weights of crops; None: no crops
    size: int  # of the network's input, in pixels
    neither: int | None  # column
    with_folder: Sequence[int]  # columns
    rule: Detector | None = None
    detect: DetectFn | None = None

    def refine(
        self, predict: PredictFn, probabilities: Probabilities, load: TryLoadFn, pool: Executor | None = None
    ) -> Refined:
        """Return the probabilities (n, k) of whole photos with some rows replaced, and which show both.

        A photo that `load` cannot decode keeps its row. With a `pool`, photos are decoded by it while the
        networks run; without one, by the caller, one after the other.
        """
        return self.combined(probabilities, self.seen(predict, probabilities, load, pool))

    def combined(self, probabilities: Probabilities, seen: Iterable[Crops]) -> Refined:
        """Return the probabilities (n, k) of whole photos, combined with those of crops, as `refine` does."""
        result, both = probabilities.copy(), np.zeros(len(probabilities), bool)
        for crops in seen:
            row, found = crops.row, crops.predictions
            if self.corners and crops.count:
                result[row] = multi_crop.combine(result[row][None], [found], self.corners, self.neither)[0]
            if (
                self.rule
                and crops.are_boxes
                and (shown := two_labels(found, self.with_folder, self.rule.both))
            ):
                result[row, shown] = result[row, shown].mean()
                both[row] = True
        return Refined(result, both)

    def chosen(self, probabilities: Probabilities) -> Chosen:
        """Return the rows of probabilities (n, k) of whole photos that are predicted again in crops."""
        if self.corners is None:
            return Chosen(frozenset(), frozenset(), frozenset())
        unsure = frozenset(multi_crop.low_confidence(probabilities, self.corners, self.neither))
        if self.rule is None:
            return Chosen(unsure, frozenset(), frozenset())
        return Chosen(unsure, self._seemingly_empty(probabilities), self._maybe_both(probabilities))

    def _seemingly_empty(self, probabilities: Probabilities) -> frozenset[int]:
        """Return the photos that are clearly `neither`, in which an animal may be too small to count.

        Of real photos of neither most are surer still, and would cost the time of the detector for nothing.
        """
        if self.neither is None or self.corners is None or self.rule is None:
            return frozenset()
        share = probabilities[:, self.neither]
        likely = (share >= self.corners.neither_below) & (share < self.rule.neither_below)
        return frozenset(np.flatnonzero(likely).tolist())

    def _maybe_both(self, probabilities: Probabilities) -> frozenset[int]:
        if len(self.with_folder) < 2 or self.corners is None or self.rule is None:
            return frozenset()
        second = np.sort(probabilities[:, list(self.with_folder)], axis=1)[:, -2]
        possible = second > self.rule.second_above
        if self.neither is not None:
            possible &= probabilities[:, self.neither] < self.corners.neither_below
        return frozenset(np.flatnonzero(possible).tolist())

    def seen(
        self, predict: PredictFn, probabilities: Probabilities, load: TryLoadFn, pool: Executor | None = None
    ) -> Iterator[Crops]:
        """Yield the predictions of the crops of photos that are worth it, whose probabilities are (n, k)."""
        corners = self.corners
        if corners is None:
            return
        if self.rule is None or self.detect is None:
            for row, found in multi_crop.predictions(
                predict, probabilities, corners, self.size, load, pool, self.neither
            ):
                yield Crops(row, found, are_boxes=False, count=True)
            return
        boxes = _BoxCrops(predict, self.detect, self.rule, corners, self.size)
        yield from boxes.seen(self.chosen(probabilities), load, pool)


def of_bundle(bundle: Bundle, detect: DetectFn | None) -> CropInference:
    """Return the crop inference of a bundle; `detect` is its detector, None for corners alone."""
    return CropInference(
        bundle.multi_crop,
        bundle.input_size,
        bundle.neither,
        bundle.with_folder,
        bundle.manifest.detector,
        detect,
    )


@dataclass(frozen=True, slots=True)
class _BoxCrops:
    predict: PredictFn
    detect: DetectFn
    rule: Detector
    corners: MultiCrop
    size: int

    def seen(self, chosen: Chosen, load: TryLoadFn, pool: Executor | None) -> Iterator[Crops]:
        unsure, counted = chosen.unsure, chosen.unsure | chosen.empty

        def crops_of(row: int, side: int) -> tuple[bool, Pixels] | None:
            photo = load(row, side)
            fewest = 1 if row in counted else 2
            return None if photo is None else self._crops(photo, fewest=fewest, corners=row in unsure)

        # The pool asks the detector too, so that no core waits for it.
        photos = multi_crop.decoded(chosen.rows, self.rule.side, crops_of, pool)
        while group := list(islice(photos, multi_crop.GROUP)):
            seen = self._predicted([pixels for _, (_, pixels) in group])
            for (row, (are_boxes, _)), found in zip(group, seen, strict=True):
                if len(found):
                    yield Crops(row, found, are_boxes, count=row in counted)

    def _crops(self, photo: Pixels, *, fewest: int, corners: bool) -> tuple[bool, Pixels]:
        """Return whether the crops of a photo show boxes, and these, uint8 (m, size, size, 3), maybe none.

        Fewer boxes than `fewest` do not count.
        """
        areas = box_areas(self.detect(photo), self.rule)
        if len(areas) >= fewest:
            return True, _cuts(photo, areas, self.size)
        return False, _cuts(photo, corner_areas(self.corners.zoom) if corners else [], self.size)

    def _predicted(self, cropped: Sequence[Pixels]) -> list[Probabilities]:
        """Return the predictions (m, k) of the m crops of each photo, of all photos in one call."""
        crops = np.concatenate(cropped)
        seen = self.predict(crops) if len(crops) else np.zeros((0, 0), np.float32)
        return np.split(seen, np.cumsum([len(pixels) for pixels in cropped])[:-1])


def two_labels(seen: Probabilities, columns: Sequence[int], least: float) -> list[int]:
    """Return two of the columns that two crops show, one each, with at least this probability; or none.

    `seen` are the probabilities (m, k) of a photo's m crops.
    """
    best = max((_shown(seen, pair), pair) for pair in combinations(columns, 2)) if len(columns) > 1 else None
    return list(best[1]) if best and best[0] >= least else []


def _shown(seen: Probabilities, pair: tuple[int, int]) -> float:
    """Return the largest probability that two different crops both reach, one for each label of the pair."""
    weaker = np.minimum.outer(seen[:, pair[0]], seen[:, pair[1]])
    np.fill_diagonal(weaker, 0)
    return float(weaker.max(initial=0))


def box_areas(boxes: Sequence[Box], rule: Detector) -> list[Area]:
    """Return the areas to crop: the boxes of the highest scores, with a margin."""
    chosen = [box for box in boxes if box.score >= rule.score][: rule.crops]
    return [enlarged(box.area, rule.margin) for box in chosen]


def enlarged(area: Area, margin: float) -> Area:
    """Return an area made larger by a share of its width and height, inside of the photo."""
    left, top, right, bottom = area
    across, down = margin * (right - left) / 2, margin * (bottom - top) / 2
    return max(0.0, left - across), max(0.0, top - down), min(1.0, right + across), min(1.0, bottom + down)


def corner_areas(zoom: float) -> list[Area]:
    """Return the four corners at a magnification of 1 or more."""
    side = 1 / zoom
    return [(x, y, x + side, y + side) for y in (0.0, 1 - side) for x in (0.0, 1 - side)]


def cut(photo: Pixels, area: Area, size: int) -> Pixels:
    """Return a part of a photo as uint8 (size, size, 3); it is stretched, as whole photos are.

    An animal beside another one would be together with it in a square.
    """
    height, width = photo.shape[:2]
    box = (area[0] * width, area[1] * height, area[2] * width, area[3] * height)
    return np.asarray(resized(Image.fromarray(photo), (size, size), box))


def _cuts(photo: Pixels, areas: Sequence[Area], size: int) -> npt.NDArray[np.uint8]:
    if not areas:
        return np.zeros((0, size, size, 3), np.uint8)
    return np.stack([cut(photo, area, size) for area in areas])
