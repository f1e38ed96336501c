"""Count on photos which decisions the bfloat16 first pass changes; the bundle keeps the counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from models import calibration
from models.bundle.bundle import Bundle
from models.bundle.manifest import Bfloat16Check
from models.data.batches import batches
from models.inference import multi_crop, openvino_engine
from models.inference.bfloat16 import decision_thresholds, near_threshold
from models.inference.engines import bfloat16_engine, open_engine
from models.types import Probabilities

FEWEST = 1000
"""Photos that the first pass must settle for the check to count; it may change 1 decision in 1000."""

CONFIDENT = 0.99
"""From this confidence on, the first pass may change no decision."""


def check(
    bundle: Bundle,
    paths: Sequence[bytes],
    target_precision: float,
    progress: Callable[[int], None] = lambda done: None,
) -> Bfloat16Check | None:
    """Compare bfloat16 with float32 on photos.

    The share of repeated photos is that at the threshold of `target_precision`, the changed decisions are the
    most at any threshold of the bundle. None where the check is not possible: on a processor without
    bfloat16, or where the first pass settles fewer than FEWEST photos. `progress` is called with how many are
    done. Raises BundleError where OpenVINO cannot run the bundle.
    """
    if len(paths) < FEWEST or not openvino_engine.has_bfloat16():
        return None
    exact_engine, quick_engine, done = open_engine(bundle, "openvino"), bfloat16_engine(bundle), 0
    if quick_engine is None:
        return None
    parts = []
    for images in batches(paths, bundle.input_size):
        parts.append((exact_engine.predict(images), quick_engine.predict(images)))
        progress(done := done + len(images))
    exact, quick = (np.concatenate(part) for part in zip(*parts, strict=True))
    found = compare(bundle, exact, quick, bundle.threshold(target_precision))
    if (1 - found.again) * found.photos < FEWEST:
        return None
    others = [compare(bundle, exact, quick, e.threshold) for e in bundle.calibration.thresholds]
    return Bfloat16Check(
        photos=found.photos,
        again=found.again,
        flips=max(each.flips for each in (found, *others)),
        confident_flips=max(each.confident_flips for each in (found, *others)),
        difference=max(each.difference for each in (found, *others)),
    )


def compare(bundle: Bundle, exact: Probabilities, quick: Probabilities, threshold: float) -> Bfloat16Check:
    """Count what changes on photos that the first pass settles, from both probabilities (n, k).

    A photo that float32 would predict again in crops, and bfloat16 would not, counts as a changed decision.
    """
    settled = np.ones(len(exact), bool)
    settled[near_threshold(quick, decision_thresholds(bundle, threshold))] = False
    flips = settled & (_decisions(bundle, exact, threshold) != _decisions(bundle, quick, threshold))
    if bundle.multi_crop:
        cropped = multi_crop.low_confidence(exact, bundle.multi_crop, bundle.neither)
        flips[cropped] |= settled[cropped]
    confident = np.minimum(exact.max(axis=1), quick.max(axis=1)) > CONFIDENT
    return Bfloat16Check(
        photos=len(exact),
        again=float(1 - settled.mean()),
        flips=int(flips.sum()),
        confident_flips=int((flips & confident).sum()),
        difference=float(np.abs(exact - quick)[settled].max(initial=0)),
    )


def _decisions(bundle: Bundle, probabilities: Probabilities, threshold: float) -> npt.NDArray[np.int_]:
    """Return the label whose folder each photo gets, -1 for none."""
    predicted, confidence, eligible = calibration.predictions(probabilities, bundle.with_folder)
    return np.where(eligible & (confidence >= threshold), predicted, -1)
