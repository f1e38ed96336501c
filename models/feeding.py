"""From labelled photos to batches of pixels, through tf.data; pixels live as long as their batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.augmentation import SMALL_SHARE, augment
from models.bundle import NEITHER
from models.dataset import DatasetError, Photos, read
from models.images import UnreadableImage, decode

Pixels = npt.NDArray[np.uint8]


def batches(paths: Sequence[bytes], size: int, batch: int = 32) -> Iterator[Pixels]:
    """Yield the photos in order, as the worker sees them: uint8 (n, size, size, 3). Raises DatasetError."""

    def load(index: int) -> Pixels:
        return decoded(paths[index], size)

    yield from _pipeline(np.arange(len(paths)), load, size, batch)


def augmented(
    photos: Photos, size: int, batch: int, *, seed: int, epoch: int
) -> Iterator[tuple[Pixels, npt.NDArray[np.int16]]]:
    """Yield one epoch of shuffled, augmented full batches: uint8 (batch, size, size, 3) and labels (batch,).

    The same seed and epoch give the same batches. Scenes for small subjects come from `neither` where there
    is that class, and from the photo's own class otherwise, so that no paste mixes two animals.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(photos))
    members = {int(label): np.flatnonzero(photos.labels == label) for label in np.unique(photos.labels)}
    neither = photos.classes.index(NEITHER) if NEITHER in photos.classes else None

    def load(index: int) -> Pixels:
        rng = np.random.default_rng([seed, epoch, index])
        scene = None
        if rng.random() < SMALL_SHARE:
            pool = members[int(photos.labels[index]) if neither is None else neither]
            scene = decoded(photos.paths[int(rng.choice(pool))], size)
        return augment(decoded(photos.paths[index], size * 8 // 7), scene, size, rng)

    starts = range(0, len(order) - min(batch, len(order)) + 1, batch)
    for start, images in zip(starts, _pipeline(order, load, size, batch), strict=False):
        yield images, photos.labels[order[start : start + len(images)]]


def _pipeline(
    order: npt.NDArray[np.int64], load: Callable[[int], Pixels], size: int, batch: int
) -> Iterator[Pixels]:
    from models.runtime import tf

    def picture(index: Any) -> Any:
        pixels = tf.numpy_function(load, [index], tf.uint8)
        return tf.ensure_shape(pixels, (size, size, 3))

    data = tf.data.Dataset.from_tensor_slices(order)
    data = data.map(picture, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    yield from data.batch(batch).prefetch(4).as_numpy_iterator()


def decoded(path: bytes, size: int) -> Pixels:
    """Return a photo's pixels, uint8 (size, size, 3). Raises DatasetError."""
    try:
        return decode(read(path), size)
    except (OSError, UnreadableImage) as error:
        raise DatasetError(f"{os.fsdecode(path)}: was readable a moment ago: {error}") from error
