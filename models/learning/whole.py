"""Learn by training the whole network, where enough photos of each label were judged.

The photos of the base are not at hand, so it is not known afterwards whether it forgot anything: a person has
to decide about such a version.
"""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from models.bundle.bundle import Bundle
from models.bundle.replay import PARTS
from models.bundle.write_bundle import compose, content_of, files_of, write
from models.data.dataset import Photos
from models.data.splits import SPLITS
from models.errors import DatasetError
from models.evaluation.evaluate import predict
from models.inference.engines import answering, open_engine
from models.learning.compare import Answers, Labels, contradicted, pair
from models.learning.judged import TEST, Judged, judged_of
from models.learning.learn import LearnOptions, champion_of, known_features, write_record
from models.learning.record import Comparison, Contradiction, Learnt
from models.learning.verdict import verdict
from models.learning.version import COMMAND, seen_by, write_judged
from models.progress import ProgressCallback
from models.training.options import TrainOptions
from models.training.train import train_on

LEAST = 200
"""Judged photos of each label that training the whole network takes; from fewer, a last layer learns more."""


def learn_whole(options: LearnOptions, progress: ProgressCallback = lambda _: None) -> Learnt:
    """Train the champion's whole network on judged photos alone, and write it as a bundle into a new folder.

    Raises DatasetError for fewer than LEAST photos of a label, BundleError, PackageMissing.
    """
    began = time.monotonic()
    champion = champion_of(options)
    everything = known_features(champion, options, progress)
    judged = judged_of(champion, options.judged, everything, seen_by(champion))
    _check(judged)
    challenger = _trained(champion, options, judged, progress)
    comparison = _compared(champion, challenger, options, judged)
    write_judged(options.out, judged.rows())
    result = Learnt(
        name=options.name,
        champion=champion.name,
        base_sha256=options.base_sha256 or champion.sha256,
        champion_sha256=champion.sha256,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 1),
        method="whole network",
        precision=challenger.precision,
        weight=1.0,
        photos=judged.counts(),
        left_out=list(judged.left_out),
        comparison=comparison,
        changed=[],
        changed_among=0,
        curve=None,
        verdict=verdict(comparison),
        notes=["The whole network was trained on judged photos alone."],
    )
    write_record(options.out, result)
    return result


def _check(judged: Judged) -> None:
    counts = {label: int((judged.replay.labels == i).sum()) for i, label in enumerate(judged.labels)}
    few = {label: count for label, count in counts.items() if count < LEAST}
    if few:
        missing = ", ".join(f"{label} {count:,}" for label, count in few.items())
        raise DatasetError(
            f"--whole: expected at least {LEAST} judged photos of each label, found of {missing}; learn "
            "without --whole, which takes far fewer"
        )


def _trained(champion: Bundle, options: LearnOptions, judged: Judged, progress: ProgressCallback) -> Bundle:
    work = options.out / ".work"
    training = TrainOptions(
        folders=(),
        out=options.out,
        architecture=champion.architecture,
        init=str(champion.path),
        input_size=champion.input_size,
        folder_names=judged.folders,
        all_sources=True,
        seed=champion.manifest.made.seed,
        target_precision=options.target_precision,
        int8=champion.precision == "int8" and importlib.util.find_spec("nncf") is not None,
        detector=champion.path if champion.manifest.detector else None,
        work=work,
    )
    try:
        bundle = train_on(training, _photos(judged), progress)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return answering(_renamed(bundle, options.name), options.engine)


def _photos(judged: Judged) -> Photos:
    splits = np.array([SPLITS.index(part) for part in PARTS], np.int8)[judged.replay.parts]
    paths = [photo.path for photo in judged.photos]
    return Photos(judged.labels, paths, judged.replay.labels, splits, [""] * len(paths))


def _renamed(bundle: Bundle, name: str) -> Bundle:
    content, files = content_of(bundle), files_of(bundle)
    content |= {"name": name, "made": {**content["made"], "command": f"{COMMAND} --whole"}}
    return write(compose(bundle.path, content, *files), *files)


def _compared(champion: Bundle, challenger: Bundle, options: LearnOptions, judged: Judged) -> Comparison:
    test = judged.replay.parts == TEST
    paths = [photo.path for photo, held_out in zip(judged.photos, test, strict=True) if held_out]
    truth, labels = judged.replay.labels[test], judged.labels
    before, after = (_answers(bundle, paths, options) for bundle in (champion, challenger))
    wrong = contradicted(before, after, truth)
    return Comparison(
        champion=champion.name,
        challenger=options.name,
        target_precision=options.target_precision,
        base=None,
        own=pair(before, after, truth, labels, challenger.with_folder),
        checked=len(truth),
        contradictions=_contradictions(judged, np.flatnonzero(test)[wrong], after.predicted[wrong]),
        new_labels=[label for label in labels if label not in champion.labels],
        base_neither=0,
        base_neither_left_out=0,
        without_crops=0,
    )


def _answers(bundle: Bundle, paths: Sequence[bytes], options: LearnOptions) -> Answers:
    if not paths:
        return Answers(np.zeros((0, len(bundle.labels)), np.float32), bundle.with_folder, 1.0)
    probabilities = predict(bundle, open_engine(bundle, options.engine).predict, paths)
    return Answers(probabilities, bundle.with_folder, bundle.threshold(options.target_precision))


def _contradictions(judged: Judged, rows: Labels, said: Labels) -> list[Contradiction]:
    return [
        Contradiction(
            id=judged.photos[row].id,
            sha256=judged.digests[row],
            label=judged.labels[int(judged.replay.labels[row])],
            answer=judged.labels[answer],
        )
        for row, answer in zip(rows.tolist(), said.tolist(), strict=True)
    ]
