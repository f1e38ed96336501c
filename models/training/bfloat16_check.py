"""Whether sketches may stand: the decisions that they change, counted on photos and kept in the bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from models import calibration
from models.bundle.bundle import Bundle
from models.bundle.manifest import Sketches
from models.data.batches import batches
from models.inference import bfloat16 as sketching
from models.inference import multi_crop, openvino_engine
from models.inference.engines import bfloat16, open_engine

FEWEST = 1000
"""Photos whose sketch stands that prove anything; 1 in 1000 is the most that may be decided otherwise."""

CONFIDENT = 0.99
"""From this confidence on, no sketch may decide otherwise."""

Probabilities = npt.NDArray[np.float32]


def prove(
    bundle: Bundle,
    paths: Sequence[bytes],
    target_precision: float,
    progress: Callable[[int], None] = lambda done: None,
) -> Sketches | None:
    """Compare sketches with float32 on photos.

    How many are answered again is counted at the threshold of that promise, what changes at the threshold
    where it is most. None where nothing can be proven: on a processor without bfloat16, or where fewer than
    FEWEST sketches stand. `progress` hears how many are done. Raises BundleError where OpenVINO cannot run
    the bundle.
    """
    if len(paths) < FEWEST or not openvino_engine.can_sketch():
        return None
    exact, sketch, done = open_engine(bundle, "openvino"), bfloat16(bundle), 0
    if sketch is None:
        return None
    answers = []
    for images in batches(paths, bundle.input_size):
        answers.append((exact.predict(images), sketch.predict(images)))
        progress(done := done + len(images))
    right, quick = (np.concatenate(part) for part in zip(*answers, strict=True))
    asked = judge(bundle, right, quick, bundle.threshold(target_precision))
    if (1 - asked.again) * asked.photos < FEWEST:
        return None
    others = [judge(bundle, right, quick, e.threshold) for e in bundle.calibration.thresholds]
    return Sketches(
        photos=asked.photos,
        again=asked.again,
        flips=max(found.flips for found in (asked, *others)),
        confident_flips=max(found.confident_flips for found in (asked, *others)),
        difference=max(found.difference for found in (asked, *others)),
    )


def judge(bundle: Bundle, exact: Probabilities, sketch: Probabilities, threshold: float) -> Sketches:
    """Count on answers (n, k) to the same photos what changes where sketches stand.

    A photo that float32 would look at more closely, and the sketch would not, counts as decided otherwise.
    """
    stand = np.ones(len(exact), bool)
    stand[sketching.near(sketch, sketching.decision_thresholds(bundle, threshold))] = False
    flips = stand & (_decisions(bundle, exact, threshold) != _decisions(bundle, sketch, threshold))
    if bundle.closer_look:
        looked = multi_crop.doubtful(exact, bundle.closer_look, bundle.neither)
        flips[looked] |= stand[looked]
    sure = np.minimum(exact.max(axis=1), sketch.max(axis=1)) > CONFIDENT
    return Sketches(
        photos=len(exact),
        again=float(1 - stand.mean()),
        flips=int(flips.sum()),
        confident_flips=int((flips & sure).sum()),
        difference=float(np.abs(exact - sketch)[stand].max(initial=0)),
    )


def _decisions(bundle: Bundle, probabilities: Probabilities, threshold: float) -> npt.NDArray[np.int_]:
    """Return the label whose folder each photo gets, -1 for none."""
    predicted, confidence, eligible = calibration.predictions(probabilities, bundle.with_folder)
    return np.where(eligible & (confidence >= threshold), predicted, -1)
