"""Augment whole batches of small photos at once, from decoded pixels that stay in memory if they fit.

Decoding and augmenting photos one by one takes about two milliseconds each, as long as a small network does.
Own code, because Keras' random layers have generators of their own, so a seed would not give the same
batches, and because their saturation and contrast have other formulas.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.batches import decoded
from models.data.dataset import Photos
from models.networks.recipes import Recipe
from models.types import Float32, Pixels

HELD_BYTES = 512 * 1024 * 1024
"""The most bytes of pixels to keep. If the photos exceed it, each epoch decodes them again."""

MARGIN = 8 / 7  # side of the photo that random crops are taken from, relative to that of the result
_SHIFT = 4  # pixels, to each side
_GREY = 0.05  # share of photos that lose their colour


class PixelStore:
    """The pixels of photos by index, decoded on first use; uint8 (n, side, side, 3)."""

    def __init__(self, paths: Sequence[bytes], side: int, held_bytes: int = HELD_BYTES) -> None:
        self.side = side
        self._paths = paths
        fits = len(paths) * side * side * 3 <= held_bytes
        self._held = np.empty((len(paths), side, side, 3), np.uint8) if fits else None
        self._known = np.zeros(len(paths), np.bool_)

    def take(self, indices: npt.NDArray[np.int64], pool: ThreadPoolExecutor) -> Pixels:
        """Return some photos' pixels; those not in memory are decoded in `pool`. Raises DatasetError."""
        if self._held is None:
            return np.stack(list(pool.map(self._decode, indices)))
        missing = indices[~self._known[indices]]
        for index, pixels in zip(missing, pool.map(self._decode, missing), strict=True):
            self._held[index] = pixels
        self._known[missing] = True
        return self._held[indices]

    def _decode(self, index: int) -> Pixels:
        return decoded(self._paths[index], self.side)


def store_for(photos: Photos, size: int, recipe: Recipe) -> PixelStore:
    """Make the store that `augmented_epoch` needs for photos of this final side."""
    return PixelStore(photos.paths, round(size * MARGIN) if recipe.augmentation == "zoom" else size)


def augmented_epoch(
    photos: Photos, store: PixelStore, recipe: Recipe, size: int, batch: int, *, seed: int, epoch: int
) -> Iterator[tuple[Pixels, Float32]]:
    """Yield one epoch of shuffled, augmented full batches: uint8 (batch, size, size, 3), targets (batch, k).

    A target has 1 at the photo's class, or its share where two photos are mixed. The same seed and epoch give
    the same batches.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(photos))
    batch = min(batch, len(order))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            truth = np.eye(len(photos.classes), dtype=np.float32)[photos.labels[chosen]]
            yield _variants(store.take(chosen, pool), truth, recipe, size, rng)


def _variants(
    pixels: Pixels, truth: Float32, recipe: Recipe, size: int, rng: np.random.Generator
) -> tuple[Pixels, Float32]:
    count = len(pixels)
    zoom = recipe.augmentation == "zoom"
    if not zoom:
        pixels = _shifted(pixels, rng)
    boxes = _boxes(count, rng) if zoom else np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1))
    light = _light(count, rng) if zoom else np.tile(np.array([1, 1, 0], np.float32), (count, 1))
    share = np.float32(rng.beta(recipe.mixup, recipe.mixup)) if recipe.mixup else np.float32(1)
    share = np.maximum(share, 1 - share)
    holes = _holes(count, recipe.cutout, size, rng)
    images = _rendering()(pixels, boxes, light, holes, share, np.int32(size))
    return images.numpy(), share * truth + (1 - share) * truth[::-1]


def _shifted(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Move each photo by a few pixels, its edge mirrored, and turn half of them left to right."""
    count, side = pixels.shape[:2]
    rows, columns = (np.arange(side) + rng.integers(-_SHIFT, _SHIFT + 1, (count, 1)) for _ in range(2))
    turned = rng.random(count) < 0.5
    columns[turned] = columns[turned, ::-1]
    rows, columns = (_reflected(places, side) for places in (rows, columns))
    return pixels[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _reflected(places: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.int64]:
    inside = np.abs(places)
    result: npt.NDArray[np.int64] = np.minimum(inside, 2 * (side - 1) - inside)
    return result


def _boxes(count: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Choose crops of 35% to 100% of the area (top, left, bottom, right in 0 to 1), half of them mirrored."""
    area, stretch = rng.uniform(0.35, 1.0, count), np.exp(rng.uniform(-0.3, 0.3, count))
    height, width = np.minimum(1, np.sqrt(area / stretch)), np.minimum(1, np.sqrt(area * stretch))
    top, left = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
    sides = np.stack([left, left + width])
    mirrored = rng.random(count) < 0.5
    sides[:, mirrored] = sides[::-1, mirrored]
    return np.stack([top, sides[0], top + height, sides[1]], axis=1).astype(np.float32)


def _light(count: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Choose saturation and contrast as factors, and brightness in steps of 0 to 255."""
    saturation = np.where(rng.random(count) < _GREY, 0, rng.uniform(0.6, 1.4, count))
    return np.stack([saturation, rng.uniform(0.7, 1.3, count), rng.uniform(-35, 35, count)], axis=1).astype(
        np.float32
    )


def _holes(count: int, share: float, size: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Choose a square for each photo to blank: top, left, bottom, right in pixels; it may leave the frame."""
    side = share * size
    corners = rng.uniform(-side / 2, size - side / 2, (count, 2))
    return np.concatenate([corners, corners + side], axis=1).astype(np.float32)


@cache
def _rendering() -> Callable[..., Any]:
    from models.networks.tf_runtime import tf

    @tf.function(reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
    def render(pixels: Any, boxes: Any, light: Any, holes: Any, share: Any, size: Any) -> Any:
        rows = tf.range(tf.shape(pixels)[0])
        images = tf.image.crop_and_resize(pixels, boxes, rows, tf.stack([size, size]))
        saturation, contrast, offset = (light[:, i, None, None, None] for i in range(3))
        grey = tf.reduce_mean(images, axis=-1, keepdims=True)
        images = grey + saturation * (images - grey)
        images = (images - 128.0) * contrast + 128.0 + offset
        place = tf.range(tf.cast(size, tf.float32), dtype=tf.float32)[None]
        down = (place >= holes[:, 0:1]) & (place < holes[:, 2:3])
        across = (place >= holes[:, 1:2]) & (place < holes[:, 3:4])
        blank = (down[:, :, None] & across[:, None, :])[..., None]
        images = tf.where(blank, 128.0, images)
        images = share * images + (1 - share) * images[::-1]
        return tf.saturate_cast(tf.round(images), tf.uint8)

    return render  # type: ignore[no-any-return]
