"""Learn from judged photos: a challenger whose last layer is fitted again, and how it compares."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from models.bundle.bundle import Bundle, load, read_replay, read_weights
from models.bundle.replay import Replay
from models.bundle.write_bundle import replace as replace_file
from models.errors import BundleError
from models.inference.box_crops import of_bundle
from models.inference.detector import open_detector
from models.inference.engines import Kind, answering
from models.learning import curve
from models.learning.compare import Labels
from models.learning.fitting import last_layer
from models.learning.fitting.head import Head, head_of
from models.learning.fitting.last_layer import Calibration, Fitted, Material
from models.learning.judged import Judged, check_count, judged_of
from models.learning.photos import FiledPhoto, JudgedPhoto, Known, Reader, features_key
from models.learning.record import Comparison, Curve, Learnt
from models.learning.side_by_side import Model, SideBySide
from models.learning.verdict import verdict
from models.learning.version import Challenger, outputs_of, seen_by, write_judged, write_version
from models.progress import ProgressCallback, StageProgress
from models.training.linear_probe import LinearHead
from models.types import Flags

LEARNT = "learnt.json"


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """What to learn from, and where to write the version."""

    champion: Path  # the bundle in force
    name: str  # of the new version
    out: Path  # a new folder
    judged: Sequence[JudgedPhoto]
    filed: Sequence[FiledPhoto] = ()  # whose place may change
    base_sha256: str = ""  # of the weights of version 0
    engine: Kind = "auto"
    target_precision: float = 0.995
    cache: Path | None = None


def learn(options: LearnOptions, progress: ProgressCallback = lambda _: None) -> Learnt:
    """Fit the last layer again to judged photos and the replay, and write it as a bundle into a new folder.

    Raises DatasetError for too few photos, BundleError for a bundle that this cannot be done with.
    """
    began = time.monotonic()
    champion = champion_of(options)
    base = _replay(champion)
    everything = known_features(champion, options, progress)
    judged = judged_of(champion, options.judged, everything, seen_by(champion))
    material, doubtful = _material(champion, base, judged)
    drawn = curve.parts(len(judged.replay.part("train")), champion.manifest.made.seed)
    fitted, calibration = _fitted(champion, material, drawn, progress)
    sides = _sides(champion, options, judged, material, fitted, calibration)
    comparison = sides.comparison(champion.name, options.name, doubtful)
    changed, among = sides.changes(everything, options.filed)
    write_version(
        Challenger(
            champion,
            options.name,
            judged.folders,
            material,
            fitted.head,
            calibration,
            options.target_precision,
        ),
        options.out,
        champion.manifest.made.seed,
    )
    write_judged(options.out, judged.rows())
    result = Learnt(
        name=options.name,
        champion=champion.name,
        base_sha256=options.base_sha256 or champion.sha256,
        champion_sha256=champion.sha256,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 1),
        method="last layer",
        precision=champion.precision,
        weight=round(material.weight, 4),
        photos=judged.counts(),
        left_out=list(judged.left_out),
        comparison=comparison,
        changed=changed,
        changed_among=among,
        curve=_curve(fitted, drawn, judged, sides.challenger),
        verdict=verdict(comparison),
        notes=_notes(comparison),
    )
    write_record(options.out, result)
    return result


def champion_of(options: LearnOptions) -> Bundle:
    """Return the bundle in force. Raises DatasetError for too few photos, BundleError."""
    check_count(len(options.judged))
    return answering(load(options.champion), options.engine)


def write_record(out: Path, result: Learnt) -> None:
    """Write `learnt.json` into the folder of a version."""
    replace_file(out / LEARNT, (result.model_dump_json(indent=1) + "\n").encode())


def _replay(champion: Bundle) -> Replay:
    replay, entry = read_replay(champion), champion.manifest.replay
    if replay is None or entry is None:
        raise BundleError(
            f"{champion.path}: the model carries no features of its photos, so that it would forget them: "
            "train it again with `pawsort train`, or learn from cats_dogs"
        )
    if entry.precision != champion.precision:
        kind = "auto" if entry.precision == "int8" else "tensorflow"
        raise BundleError(
            f"{champion.path}: it carries features of its photos in {entry.precision}, and answers in "
            f"{champion.precision} by the setting `engine`: to learn, set engine: {kind}"
        )
    return replay


def known_features(champion: Bundle, options: LearnOptions, progress: ProgressCallback) -> Known:
    """Return the features of the judged and the filed photos."""
    detector, corners = champion.manifest.detector, champion.multi_crop
    own = (champion.architecture, champion.input_size, champion.precision, detector, corners and corners.zoom)
    reader = Reader(
        outputs_of(champion),
        of_bundle(champion, open_detector(champion)),
        champion.calibration.temperature,
        options.cache,
        features_key(read_weights(champion), own),
    )
    wanted = [(photo.path, photo.sha256) for photo in options.judged]
    wanted += [(photo.path, photo.sha256) for photo in options.filed]
    return reader.known(wanted, StageProgress("photos", progress))


def _material(champion: Bundle, base: Replay, judged: Judged) -> tuple[Material, int]:
    """Return what the last layer is fitted to, and how many doubtful photos of `neither` were left out."""
    folders = tuple(i for i, label in enumerate(judged.labels) if label in judged.folders)
    crops = replace(of_bundle(champion, None), with_folder=folders)
    head = head_of(read_weights(champion))
    start = LinearHead(head.kernel, head.bias)
    material = Material(judged.labels, len(champion.labels), base, judged.replay, head.prior, crops, start)
    return last_layer.without_doubtful(last_layer.with_prior(material), champion.manifest.made.seed)


def _fitted(
    champion: Bundle, material: Material, drawn: Sequence[Flags], progress: ProgressCallback
) -> tuple[Fitted, Calibration]:
    count, seed = StageProgress("fitting", progress), champion.manifest.made.seed
    fitted = last_layer.fit(material, drawn, seed, count, sources=True)
    return fitted, last_layer.calibrated(material, fitted)


def _sides(
    champion: Bundle,
    options: LearnOptions,
    judged: Judged,
    material: Material,
    fitted: Fitted,
    calibration: Calibration,
) -> SideBySide:
    target, own = options.target_precision, champion.calibration.temperature
    before = Model(
        head_of(read_weights(champion)), own, of_bundle(champion, None), champion.threshold(target)
    )
    after = Model(fitted.head, calibration.temperature, material.crops, calibration.threshold(target))
    return SideBySide(before, after, judged, material, target)


def _curve(fitted: Fitted, drawn: Sequence[Flags], judged: Judged, challenger: Model) -> Curve | None:
    held_out = judged.test()

    def answer(head: Head) -> Labels:
        return replace(challenger, head=head).answers(held_out)[0].predicted

    return curve.curve(fitted.of_parts, drawn, held_out, judged.labels, answer)


def _notes(comparison: Comparison) -> list[str]:
    notes = []
    if comparison.without_crops:
        notes.append(
            f"{comparison.without_crops:,} photos of the base are predicted without the crops that the "
            "worker looks at."
        )
    if comparison.base_neither_left_out:
        notes.append(
            f"{comparison.base_neither_left_out:,} photos of neither were left out: they seem to show "
            f"{' or '.join(comparison.new_labels)}, for which there was no label when they were labelled."
        )
    return notes
