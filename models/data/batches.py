"""Decode labelled photos in batches, through tf.data; only the pixels of a few batches are in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.augmentation import PAIR_SHARE, SMALL_SHARE, augment, pair
from models.data.dataset import Photos, read
from models.errors import DatasetError
from models.images.decode import UnreadableImage, decode
from models.labels import NEITHER
from models.types import Pixels


def batches(paths: Sequence[bytes], size: int, batch: int = 32) -> Iterator[Pixels]:
    """Yield the photos in order, as the worker sees them: uint8 (n, size, size, 3). Raises DatasetError."""

    def load(index: int) -> Pixels:
        return decoded(paths[index], size)

    yield from _pipeline(np.arange(len(paths)), load, size, batch)


def augmented(
    photos: Photos, size: int, batch: int, *, seed: int, epoch: int
) -> Iterator[tuple[Pixels, npt.NDArray[np.int16]]]:
    """Yield one epoch of shuffled, augmented full batches: uint8 (batch, size, size, 3) and labels (batch,).

    The same seed and epoch give the same batches. Scenes for small subjects are photos of `neither` if there
    is that class, and of the photo's own class otherwise, so that no paste mixes two animals. With `neither`,
    a few pictures show photos of two classes, with the label of either at random, so that the network learns
    low confidence for such pictures. Raises DatasetError if a photo cannot be read any more.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(photos))
    members = {int(label): np.flatnonzero(photos.labels == label) for label in np.unique(photos.labels)}
    neither = photos.classes.index(NEITHER) if NEITHER in photos.classes else None
    partners, labels = _partners(photos, neither, rng)

    def load(index: int) -> Pixels:
        rng = np.random.default_rng([seed, epoch, index])
        photo = decoded(photos.paths[index], size * 8 // 7)
        if partners[index] >= 0:
            return pair(photo, decoded(photos.paths[partners[index]], size * 8 // 7), size, rng)
        scene = None
        if rng.random() < SMALL_SHARE:
            pool = members[int(photos.labels[index]) if neither is None else neither]
            scene = decoded(photos.paths[int(rng.choice(pool))], size)
        return augment(photo, scene, size, rng)

    starts = range(0, len(order) - min(batch, len(order)) + 1, batch)
    for start, images in zip(starts, _pipeline(order, load, size, batch), strict=False):
        yield images, labels[order[start : start + len(images)]]


def _partners(
    photos: Photos, neither: int | None, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int16]]:
    """Return for each photo the photo to combine it with, -1 for none, and the label of the result."""
    partners, labels = np.full(len(photos), -1, dtype=np.int64), photos.labels.copy()
    if neither is None:
        return partners, labels
    candidates = np.flatnonzero(photos.labels != neither)
    chosen = candidates[rng.random(len(candidates)) < PAIR_SHARE]
    partners[chosen] = rng.choice(candidates, len(chosen))
    swapped = chosen[rng.random(len(chosen)) < 0.5]
    labels[swapped] = photos.labels[partners[swapped]]
    return partners, labels


def _pipeline(
    order: npt.NDArray[np.int64], load: Callable[[int], Pixels], size: int, batch: int
) -> Iterator[Pixels]:
    from models.networks.tf_runtime import tf

    failures: list[DatasetError] = []

    def attempt(index: int) -> Pixels:
        try:
            return load(index)
        except DatasetError as error:
            failures.append(error)
            raise

    def picture(index: Any) -> Any:
        pixels = tf.numpy_function(attempt, [index], tf.uint8)
        return tf.ensure_shape(pixels, (size, size, 3))

    data = tf.data.Dataset.from_tensor_slices(order)
    data = data.map(picture, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    try:
        yield from data.batch(batch).prefetch(4).as_numpy_iterator()
    except tf.errors.OpError as error:  # TensorFlow has made another error of it
        raise (failures or [error])[0] from None


def decoded(path: bytes, size: int) -> Pixels:
    """Return a photo's pixels, uint8 (size, size, 3). Raises DatasetError."""
    try:
        return decode(read(path), size)
    except (OSError, UnreadableImage) as error:
        raise DatasetError(
            f"{os.fsdecode(path)}: was readable before, and is not any more: {error}"
        ) from error
