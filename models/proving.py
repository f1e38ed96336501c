"""Whether sketches may stand: the decisions that they change, counted on photos and kept in the bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import calibration, converted, looking, sketching
from models.bundle import Bundle, Sketches
from models.engines import bfloat16, open_engine
from models.feeding import batches, decoded

FEWEST = 1000
"""Photos that prove anything; 1 in 1000 is the most that may be decided otherwise."""

CONFIDENT = 0.99
"""From this confidence on, no sketch may decide otherwise."""

Probabilities = npt.NDArray[np.float32]


def prove(
    bundle: Bundle,
    paths: Sequence[bytes],
    target_precision: float,
    progress: Callable[[int], None] = lambda done: None,
) -> Sketches | None:
    """Compare sketches with float32 on photos, at the threshold of that promise.

    None where nothing can be proven: on a processor without bfloat16, or with fewer than FEWEST photos.
    `progress` hears how many are done. Raises BundleError where OpenVINO cannot run the bundle.
    """
    if len(paths) < FEWEST or not converted.can_sketch():
        return None
    exact, sketch, done = open_engine(bundle, "openvino"), bfloat16(bundle), 0
    if sketch is None:
        return None
    answers = []
    for images in batches(paths, bundle.input_size):
        answers.append((exact.predict(images), sketch.predict(images)))
        progress(done := done + len(images))
    right, quick = (np.concatenate(part) for part in zip(*answers, strict=True))
    looks = looked(bundle, right, paths, exact.predict, sketch.predict)
    return judge(bundle, right, quick, looks, bundle.threshold(target_precision))


Looks = tuple[Probabilities, Probabilities]
"""What closer looks at the unsure photos give (m, k): by exact answers to their parts, and by sketches."""


def looked(
    bundle: Bundle,
    exact: Probabilities,
    paths: Sequence[bytes],
    predict: looking.Predict,
    sketch: looking.Predict,
) -> Looks:
    """Look closer in both ways at what is unsure by `exact` answers (n, k)."""
    look, size, none = bundle.closer_look, bundle.input_size, exact[:0]
    rows = looking.doubtful(exact, look, bundle.neither) if look else []
    seen = [(none, none)]
    for start in range(0, len(rows), looking.GROUP):
        assert look is not None
        group = rows[start : start + looking.GROUP]
        cut = np.stack([looking.parts(decoded(paths[i], look.side(size)), size) for i in group])
        by_parts, by_sketches = (
            looking.weighed(by, exact[group], cut, look, bundle.neither) for by in (predict, sketch)
        )
        seen.append((by_parts, by_sketches))
    by_parts, by_sketches = (np.concatenate(part) for part in zip(*seen, strict=True))
    return by_parts, by_sketches


def judge(
    bundle: Bundle, exact: Probabilities, sketch: Probabilities, looks: Looks, threshold: float
) -> Sketches:
    """Count on answers (n, k) to the same photos, and on `looks`, what changes where sketches stand.

    A photo that float32 would look at more closely, and the sketch would not, counts as decided otherwise.
    """
    at_first = _Count.of(bundle, exact, sketch, sketching.boundaries(bundle, threshold), threshold)
    closely = _Count.of(bundle, *looks, sketching.settled(bundle, threshold), threshold)
    if bundle.closer_look:
        unsure = looking.doubtful(exact, bundle.closer_look, bundle.neither)
        at_first.flips[unsure] |= at_first.stand[unsure]
    return Sketches(
        photos=len(exact),
        looks=len(looks[0]),
        again=float(1 - at_first.stand.mean()),
        flips=at_first.all + closely.all,
        confident_flips=at_first.confident + closely.confident,
        difference=max(at_first.difference, closely.difference),
    )


@dataclass(frozen=True, slots=True)
class _Count:
    """Which sketches stand, which of them change a decision, where both are sure; all (n,)."""

    stand: npt.NDArray[np.bool_]
    flips: npt.NDArray[np.bool_]
    sure: npt.NDArray[np.bool_]
    difference: float  # the greatest of a probability

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        exact: Probabilities,
        sketch: Probabilities,
        bounds: Probabilities,
        threshold: float,
    ) -> _Count:
        stand = np.ones(len(exact), bool)
        stand[sketching.near(sketch, bounds)] = False
        flips = stand & (_decisions(bundle, exact, threshold) != _decisions(bundle, sketch, threshold))
        sure = np.minimum(exact.max(axis=1), sketch.max(axis=1)) > CONFIDENT
        return cls(stand, flips, sure, float(np.abs(exact - sketch)[stand].max(initial=0)))

    @property
    def all(self) -> int:
        return int(self.flips.sum())

    @property
    def confident(self) -> int:
        return int((self.flips & self.sure).sum())


def _decisions(bundle: Bundle, probabilities: Probabilities, threshold: float) -> npt.NDArray[np.int_]:
    """Return the label whose folder each photo gets, -1 for none."""
    predicted, confidence, eligible = calibration.predictions(probabilities, bundle.with_folder)
    return np.where(eligible & (confidence >= threshold), predicted, -1)
