"""Make a bundle from folders of labelled photos."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from dataclasses import replace as replaced
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models import architectures, calibration, evaluation, recording
from models.architectures import Network
from models.bundle import NEITHER, SCHEMA_VERSION, Bundle, BundleError, compose, replace, write
from models.dataset import DatasetError, Photos, check_trainable, read_wrong, scan
from models.feeding import batches
from models.optimisation import Clock, Epoch, FineTuning, Report, Schedule, fit_head, has_checkpoint, logits
from models.recipes import Augmentation, Recipe
from models.runtime import keras
from models.weights import WeightsError, pack, unpack

log = logging.getLogger(__name__)

_STATISTICS_PHOTOS = 512


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What `train` is asked for. Folders of several DIRs are merged by class name."""

    folders: Sequence[Path]
    out: Path
    architecture: str = "mobilenet_v2"
    init: str | None = (
        None  # imagenet (downloads), none, or a .weights.h5 file; None: imagenet where there is one
    )
    epochs: int | None = None  # None, here and below: the architecture's own; 0 trains the last layer alone
    small_epochs: int | None = None  # of them, the first ones, on smaller photos at half the cost
    patience: int | None = None  # epochs without a better validation loss before stopping
    batch: int | None = None
    learning_rate: float | None = None
    optimizer: Literal["adamw", "sgd"] | None = None
    weight_decay: float | None = None
    dropout: float | None = None
    label_smoothing: float | None = None
    augmentation: Augmentation | None = None
    mixup: float | None = None
    cutout: float | None = None
    input_size: int | None = None  # pixels; None: the architecture's own
    folder_names: Mapping[str, str] = field(default_factory=dict)  # label -> folder, where they differ
    exclude: Path | None = None  # a CSV of photos to set aside: sha256, reason
    seed: int = 1
    target_precision: float = 0.995  # that the recorded figures are for
    work: Path = Path(".train")  # checkpoints

    @property
    def recipe(self) -> Recipe:
        """What was asked for, and the architecture's own for the rest."""
        own = architectures.known(self.architecture).recipe
        asked = {f.name: getattr(self, f.name, None) for f in fields(Recipe)}
        return replaced(own, **{name: value for name, value in asked.items() if value is not None})

    @property
    def command(self) -> str:
        """The command line that asks for the same."""
        words = ["pawsort", "train", *map(str, self.folders)]
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name in ("folders", "folder_names", "work"):
                continue
            if option.name in ("architecture", "out") or value != option.default:
                words += [f"--{option.name.replace('_', '-')}", str(value)]
        for label, folder in self.folder_names.items():
            words += ["--folder", f"{label}={folder}"]
        return shlex.join(words)


def train(options: TrainOptions, progress: Report = lambda _: None) -> Bundle:
    """Train a network on folders of photos, calibrate and measure it on others, and write its bundle.

    Goes on from the last epoch of an interrupted run with the same options. Raises DatasetError,
    architectures.ArchitectureError, BundleError.
    """
    _check_options(options)
    wrong = read_wrong(options.exclude) if options.exclude else None
    photos = scan(options.folders, options.seed, Clock("reading", progress), wrong)
    check_trainable(photos, options.folders)
    folders = _folders(options, photos)
    keras.utils.set_random_seed(options.seed)
    network = architectures.build(options.architecture, len(photos.classes))
    size = options.input_size or architectures.known(options.architecture).input_size
    history = _fit(options, network, photos, size, progress)
    bundle = _finish(options, network, photos, folders, size, progress)
    replace(options.out / "history.csv", _history_csv(history))
    return bundle


def _check_options(options: TrainOptions) -> None:
    init = _init(options)
    if init != "none" and not architectures.known(options.architecture).pretrained:
        raise architectures.ArchitectureError(
            f"{options.architecture} has no ImageNet weights: expected init none, received {init}"
        )
    if init == "none" and options.recipe.epochs == 0:
        raise DatasetError("nothing to train: expected epochs above 0 where init is none")


def _init(options: TrainOptions) -> str:
    default = "imagenet" if architectures.known(options.architecture).pretrained else "none"
    return options.init or default


def _fit(options: TrainOptions, network: Network, photos: Photos, size: int, progress: Report) -> list[Epoch]:
    train_photos, validation = photos.split("train"), photos.split("validation")
    checkpoint = options.work / f"{options.out.name}.npz"
    fingerprint = _fingerprint(options, photos)
    if _init(options) != "none" and not has_checkpoint(checkpoint, fingerprint):
        _initialise(options, network, train_photos, size)
        fit_head(network, train_photos, size, options.seed, progress)
    if _init(options) == "none":
        architectures.whiten(network, batches(_some(options, train_photos), size))
    if options.recipe.epochs == 0:
        return []
    judges = validation if len(validation) else train_photos
    schedule = _schedule(options, size)
    tuning = FineTuning(network, train_photos, judges, schedule, checkpoint, fingerprint)
    tuning.run(progress)
    return tuning.history


def _initialise(options: TrainOptions, network: Network, photos: Photos, size: int) -> None:
    architectures.initialise_from_imagenet(network, _init(options))
    if architectures.statistics_are_folded(network):
        log.info("%s: giving batch normalisation its statistics back", _init(options))
        architectures.restore_statistics(network, batches(_some(options, photos), size))


def _some(options: TrainOptions, photos: Photos) -> list[bytes]:
    chosen = np.random.default_rng(options.seed).permutation(len(photos))[:_STATISTICS_PHOTOS]
    return [photos.paths[i] for i in chosen]


def _schedule(options: TrainOptions, size: int) -> Schedule:
    return Schedule(options.recipe, size, frozen_statistics=_init(options) != "none", seed=options.seed)


def _fingerprint(options: TrainOptions, photos: Photos) -> str:
    """Identify a run: the same photos, options and versions."""
    digest = hashlib.sha256(f"{options.command} {recording.versions()}".encode())
    digest.update(photos.splits.tobytes() + photos.labels.tobytes())
    for path in photos.paths:
        digest.update(path + b"\0")
    return digest.hexdigest()


def _finish(
    options: TrainOptions,
    network: Network,
    photos: Photos,
    folders: Mapping[str, str],
    size: int,
    progress: Report,
) -> Bundle:
    """Calibrate and measure the network as it will be stored, in float16, and write the bundle."""
    packed = _packed(options, network)
    network.restore(unpack(packed))
    values, truth = _outputs(network, photos.split("calibration"), size, "calibrating", progress)
    temperature = calibration.fit_temperature(values, truth)
    columns = [photos.classes.index(label) for label in folders]
    table = calibration.thresholds(calibration.softmax(values, temperature), truth, columns)
    content = {
        "schema_version": SCHEMA_VERSION,
        "name": options.out.name,
        "architecture": options.architecture,
        "labels": list(photos.classes),
        "folders": dict(folders),
        "input_size": size,
        "calibration": {
            "temperature": temperature,
            "photos": len(truth),
            "bound": calibration.BOUND,
            "thresholds": [asdict(entry) for entry in table],
        },
        "self_test": recording.self_test(network, size, temperature),
        "figures": {},
        "made": _made(options, photos),
    }
    draft = compose(options.out, content, packed)
    figures = _figures(draft, network, photos, options.target_precision, progress)
    return write(compose(options.out, content | {"figures": figures}, packed), packed)


def _packed(options: TrainOptions, network: Network) -> bytes:
    try:
        return pack(network.arrays)
    except WeightsError as error:
        raise BundleError(
            f"{options.out}: training has diverged: {error}. Try a lower learning rate."
        ) from error


def _outputs(
    network: Network, photos: Photos, size: int, stage: str, progress: Report
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int_]]:
    if not len(photos):
        raise DatasetError(f"no photos left for {stage}: expected more of each class")
    return logits(network, photos, size, Clock(stage, progress)), photos.labels.astype(int)


def _folders(options: TrainOptions, photos: Photos) -> dict[str, str]:
    unknown = set(options.folder_names) - set(photos.classes)
    if unknown:
        raise DatasetError(f"--folder: no class {min(unknown)!r}; there are {', '.join(photos.classes)}")
    return {label: options.folder_names.get(label, label) for label in photos.classes if label != NEITHER}


def _figures(
    draft: Bundle, network: Network, photos: Photos, target: float, progress: Report
) -> dict[str, dict[str, Any]]:
    test = photos.split("test")
    values, _ = _outputs(network, test, draft.input_size, "measuring", progress)
    probabilities = calibration.softmax(values, draft.calibration.temperature).astype(np.float32)
    result = evaluation.measure(draft, test, probabilities, target)
    return {name: figure.model_dump() for name, figure in result.figures().items()}


def _made(options: TrainOptions, photos: Photos) -> dict[str, Any]:
    return {
        "command": options.command,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": options.seed,
        "data": photos.counts(),
        "set_aside": len(photos.set_aside),
        "held_out_sources": dict(photos.held_out),
        "versions": recording.versions(),
    }


def _history_csv(history: Sequence[Epoch]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [f.name for f in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    return buffer.getvalue().encode()
