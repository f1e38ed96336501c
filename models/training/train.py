"""Train a bundle on folders of labelled photos."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.bundle.bundle import MANIFEST, Bundle
from models.bundle.package_versions import package_versions
from models.data import downloads
from models.data.batches import batches
from models.data.dataset import Photos, check_trainable, read_excluded, scan
from models.errors import ArchitectureError, DatasetError, RecipeError
from models.inference.outputs import layers_fn
from models.labels import NEITHER, check_folders
from models.networks import architectures, imagenet_prior, last_blocks
from models.networks.architectures import Network
from models.networks.tf_runtime import keras
from models.progress import ProgressCallback, StageProgress
from models.training import initial_weights, sklearn_baselines
from models.training.export import check_detector, export
from models.training.fine_tuning import JUDGED_BY, Epoch, FineTuning, Schedule, has_checkpoint
from models.training.history import write_history
from models.training.linear_probe import FeatureSet, fit_head, mean_feature
from models.training.options import TrainOptions as TrainOptions

log = logging.getLogger(__name__)

_STATISTICS_PHOTOS = 512
_WRITTEN = ("README.md", "history.csv", "history.png", "leaderboard.csv")  # beside the bundle's own files
NAME_BYTES = 200
"""The longest name of a bundle's folder; checkpoints and temporary files get longer ones from it."""


def train(options: TrainOptions, progress: ProgressCallback = lambda _: None) -> Bundle:
    """Train a network on folders of photos, calibrate and measure it on others, and write its bundle.

    Resumes an interrupted run of the same options after its last epoch. Raises DatasetError,
    ArchitectureError, BundleError, RecipeError.
    """
    _check_options(options)
    return train_on(options, scanned(options, progress), progress)


def scanned(options: TrainOptions, progress: ProgressCallback) -> Photos:
    """Find the photos of the options' folders and data set. Raises DatasetError."""
    excluded = read_excluded(options.exclude) if options.exclude else None
    folders = [*options.folders, *([downloads.fetch(options.dataset)] if options.dataset else [])]
    if not folders:
        raise DatasetError("nothing to train on: expected a folder of photos, a .tar or --dataset")
    count, names = StageProgress("reading", progress), partial(_folders, options)
    photos = scan(folders, options.seed, count, excluded, not options.all_sources, names)
    check_trainable(photos, folders)
    return photos


def train_on(options: TrainOptions, photos: Photos, progress: ProgressCallback) -> Bundle:
    """Train as `train` does, on photos that are scanned already."""
    _check_options(options)
    folders = _folders(options, photos.classes)
    keras.utils.set_random_seed(options.seed)
    prior = initial_weights.has_imagenet_prior(options.architecture, _init(options))
    network = architectures.build(options.architecture, len(photos.classes), with_prior=prior)
    size = options.input_size or architectures.known(options.architecture).input_size
    history, features = _fit(options, network, photos, size, progress)
    kept = features if options.all_sources else None
    bundle = export(options, network, photos, folders, size, progress, kept)
    if history or not Path(_init(options)).is_dir():  # without epochs, a bundle's layers keep their history
        write_history(options.out, history)
    return bundle


def _check_options(options: TrainOptions) -> None:
    check_out(options.out)
    known, init, recipe = architectures.known(options.architecture), _init(options), options.recipe
    if recipe.blocks == "last":
        last_blocks.check(options.architecture)
        if recipe.small_epochs:
            raise RecipeError("small_epochs: expected 0 with blocks=last, whose first blocks see one size")
    initial_weights.check(options.architecture, init)
    if known.fitted:
        sklearn_baselines.check_installed(options.architecture)
        if options.input_size not in (None, known.input_size):
            raise ArchitectureError(
                f"{options.architecture} looks at photos of {known.input_size} pixels: leave out --input-size"
            )
    elif init == "none" and recipe.epochs == 0:
        raise DatasetError("nothing to train: expected epochs above 0 where init is none")


def check_out(out: Path) -> None:
    """Check before a training that its bundle can be written, over no file of others. Raises DatasetError."""
    name = os.fsencode(out.name)
    try:
        problem = _why_not(out) if name.decode() else "expected a folder with a name, such as models/mine"
        if len(name) > NAME_BYTES:
            problem = f"its name has more than {NAME_BYTES} bytes"
    except UnicodeDecodeError:
        problem = "its name is not UTF-8"
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
    if problem:
        raise DatasetError(f"--out {out}: {problem}")


def _why_not(out: Path) -> str | None:
    nearest = next(folder for folder in (out, *out.absolute().parents) if os.path.lexists(folder))
    if not nearest.is_dir():
        return f"{nearest} is not a folder"
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"{nearest} cannot be written to"
    foreign = [name for name in _WRITTEN if (out / name).exists()]
    if foreign and not (out / MANIFEST).exists():
        return f"it has a file {foreign[0]} and is no bundle; name a new folder"
    return None


def _init(options: TrainOptions) -> str:
    return initial_weights.chosen(options.architecture, options.init)


def _fit(
    options: TrainOptions, network: Network, photos: Photos, size: int, progress: ProgressCallback
) -> tuple[list[Epoch], FeatureSet | None]:
    """Return the epochs, and the features of the last layer if nothing was trained after it."""
    train_photos = photos.split("train")
    if architectures.known(options.architecture).fitted:
        count = StageProgress("features", progress)
        sklearn_baselines.fit(options.architecture, network, train_photos, size, options.seed, count)
        return [], None
    some = partial(batches, _some(options, train_photos), size)
    knows_labels = initial_weights.initialise(
        _init(options), network, options.architecture, photos.classes, some
    )
    history: list[Epoch] = []
    if options.recipe.epochs:
        start = network.arrays
        history = _tuned(options, network, photos, size, knows_labels, progress)
        if not _pretrained(options) or not (options.recipe.keep or network.imagenet_prior):
            return history, None
        blend(network, start, options.recipe.keep)
        if network.imagenet_prior:
            rescale_prior(network, start, some)
    return history, fit_head(network, train_photos, size, options.recipe.dropout, options.seed, progress)


def _tuned(
    options: TrainOptions,
    network: Network,
    photos: Photos,
    size: int,
    knows_labels: bool,
    progress: ProgressCallback,
) -> list[Epoch]:
    """Train all weights, after fitting the last layer if its weights are still the initial ones."""
    train_photos, validation = photos.split("train"), photos.split("validation")
    schedule = _schedule(options, size)
    checkpoint, fingerprint = options.work / f"{options.out.name}.npz", _fingerprint(options, photos)
    if not (knows_labels or has_checkpoint(checkpoint, fingerprint)):
        recipe = options.recipe
        fit_head(network, train_photos, schedule.size_at(0), recipe.dropout, options.seed, progress)
    measured_on = validation if len(validation) else train_photos
    start = partial(FineTuning, train=train_photos, validation=measured_on, schedule=schedule,
                    checkpoint=checkpoint, fingerprint=fingerprint)  # fmt: skip
    if options.recipe.blocks == "last":
        first, last = last_blocks.split(network)
        tuning = start(last, inputs=layers_fn(first, size))
    else:
        tuning = start(network)
    tuning.run(progress)
    return tuning.history


def blend(network: Network, start: Mapping[str, npt.NDArray[Any]], keep: float) -> None:
    """Move the features' weights back towards `start`, by `keep` of the way from 0 to 1.

    Fine-tuning improves on its training data and forgets other data; weights in between keep most of both
    (Wortsman et al. 2022). The last layer has to be fitted again afterwards.
    """
    for variable in network.features.variables:
        variable.assign(keep * start[variable.path] + (1 - keep) * variable.numpy())


def rescale_prior(
    network: Network, start: Mapping[str, npt.NDArray[Any]], some: initial_weights.Batches
) -> None:
    """Rescale the ImageNet prior for features that fine-tuning has made smaller than those of `start`.

    `some` gives batches of a few hundred photos to measure the features on.
    """
    tuned, now = network.arrays, mean_feature(network, some())
    network.restore(start)
    before = mean_feature(network, some())
    network.restore(tuned)
    if now > 0:  # else training has diverged, which packing the weights reports
        imagenet_prior.rescale(network.imagenet_prior, before / now)


def _some(options: TrainOptions, photos: Photos) -> list[bytes]:
    chosen = np.random.default_rng(options.seed).permutation(len(photos))[:_STATISTICS_PHOTOS]
    return [photos.paths[i] for i in chosen]


def _pretrained(options: TrainOptions) -> bool:
    """Return whether the initial weights and statistics are worth keeping: those of ImageNet or a bundle."""
    return architectures.known(options.architecture).pretrained and _init(options) != "none"


def _schedule(options: TrainOptions, size: int) -> Schedule:
    return Schedule(options.recipe, size, frozen_statistics=_pretrained(options), seed=options.seed)


def _fingerprint(options: TrainOptions, photos: Photos) -> str:
    """Identify a run: the same photos, options, recipe, size, versions, and measure of an epoch."""
    own = architectures.known(options.architecture)
    parts = options.command, options.recipe, own.input_size, package_versions(), JUDGED_BY
    digest = hashlib.sha256(repr(parts).encode())
    digest.update(photos.splits.tobytes() + photos.labels.tobytes())
    for path in photos.paths:
        digest.update(path + b"\0")
    return digest.hexdigest()


def _folders(options: TrainOptions, classes: Sequence[str]) -> dict[str, str]:
    """Return the folder of each class. Raises DatasetError for one that the worker could not use."""
    unknown = set(options.folder_names) - set(classes)
    if unknown:
        raise DatasetError(f"--folder: no class {min(unknown)!r}; there are {', '.join(classes)}")
    folders = {label: options.folder_names.get(label, label) for label in classes if label != NEITHER}
    check_folders(folders)
    check_detector(options, folders)
    return folders
