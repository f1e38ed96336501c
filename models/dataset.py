"""Labelled photos: a folder for each class, read once for content, split by content, fed through tf.data.

Only paths, labels and splits stay in memory; pixels live as long as their batch.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.augmentation import SMALL_SHARE, augment
from models.bundle import NEITHER
from models.errors import DatasetError as DatasetError
from models.images import UnreadableImage, decode
from models.splits import SPLITS, Split, held_out_sources, split_of, split_of_neither

log = logging.getLogger(__name__)

LEAST_PHOTOS = 8  # of a class; with fewer, some split would nearly surely lack it
Pixels = npt.NDArray[np.uint8]
Count = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that is not used, and why."""

    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Photos:
    """Labelled files, photo i at place i of each field; `labels` index `classes`, `splits` index SPLITS."""

    classes: tuple[str, ...]
    paths: Sequence[bytes]
    labels: npt.NDArray[np.int16]
    splits: npt.NDArray[np.int8]
    sources: Sequence[str] = field(repr=False)
    held_out: Mapping[str, Split] = field(default_factory=dict)
    set_aside: tuple[SetAside, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def where(self, wanted: npt.NDArray[np.bool_]) -> Photos:
        """Return the photos for which `wanted` holds."""
        kept = np.flatnonzero(wanted).tolist()
        return Photos(
            self.classes, [self.paths[i] for i in kept], self.labels[kept], self.splits[kept],
            [self.sources[i] for i in kept], self.held_out, self.set_aside,
        )  # fmt: skip

    def split(self, name: Split) -> Photos:
        """Return the photos of one split."""
        return self.where(self.splits == SPLITS.index(name))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many photos each class has in each split."""
        return {
            name: {s: int(((self.labels == i) & (self.splits == j)).sum()) for j, s in enumerate(SPLITS)}
            for i, name in enumerate(self.classes)
        }


def scan(folders: Sequence[Path], seed: int, count: Count | None = None) -> Photos:
    """Find the classes and photos in `folders`, read every file once, and give each content its split.

    A folder named `neither` is a class itself; of any other folder, each subfolder is one. Classes of one
    name are merged, links to folders followed. Files that are not photos, and contents that occur twice, are
    set aside. Raises DatasetError for no class or fewer than LEAST_PHOTOS usable photos in one.
    """
    classes = _class_folders(folders)
    files = [(name, source, path) for name in classes for source, path in _files_of(classes[name])]
    digests, set_aside = _digests([path for _, _, path in files], count)
    kept = _unique(files, digests, set_aside)
    photos = _assigned(
        tuple(classes), [files[i] for i in kept], [digests[i] for i in kept], tuple(set_aside), seed
    )
    for item in photos.set_aside:
        log.warning("set aside: %s: %s", os.fsdecode(item.path), item.reason)
    _check(photos, folders)
    return photos


def _class_folders(folders: Sequence[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DatasetError(f"{folder}: expected a folder with one subfolder for each class, found none")
        itself = folder.resolve().name == NEITHER or folder.name == NEITHER
        inside = [] if itself else [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
        for path in [folder] if itself else inside:
            found.setdefault(NEITHER if itself else path.name, []).append(path)
    if not found:
        raise DatasetError(
            f"{_named(folders)}: no class: expected one subfolder for each class, found no subfolder"
        )
    # `neither` last, so that the labels that have folders come first
    return dict(sorted(found.items(), key=lambda item: (item[0] == NEITHER, item[0])))


def _files_of(folders: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    for folder in folders:
        yield from sorted(_walk(os.fsencode(folder)))


def _walk(root: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (source, path) of each regular file; a source is the first folder below the class, or ""."""
    visited: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        info = os.stat(folder)
        below[:] = [b for b in below if not b.startswith(b".")]
        if (info.st_dev, info.st_ino) in visited:  # a link that leads back up
            below.clear()
            continue
        visited.add((info.st_dev, info.st_ino))
        source = os.path.relpath(folder, root).split(os.sep.encode())[0].removeprefix(b".")
        for name in names:
            path = os.path.join(folder, name)
            if not name.startswith(b".") and os.path.isfile(path):
                yield os.fsdecode(source), path


def _digests(paths: Sequence[bytes], count: Count | None) -> tuple[list[bytes | None], list[SetAside]]:
    """Return the SHA-256 of each photo, None for a file that is not one."""
    digests: list[bytes | None] = []
    set_aside: list[SetAside] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for path, result in zip(paths, pool.map(_digest, paths, chunksize=16), strict=True):
            digests.append(result if isinstance(result, bytes) else None)
            if isinstance(result, str):
                set_aside.append(SetAside(path, result))
            if count:
                count(len(digests), len(paths))
    return digests, set_aside


def _digest(path: bytes) -> bytes | str:
    try:
        data = read(path)
        decode(data, 32)
    except UnreadableImage as error:
        return f"not readable as a photo: {error}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return hashlib.sha256(data).digest()


def _unique(
    files: Sequence[tuple[str, str, bytes]], digests: Sequence[bytes | None], set_aside: list[SetAside]
) -> list[int]:
    """Return the first index of each content; a content found under two classes is dropped altogether."""
    classes: dict[bytes, set[str]] = {}
    for (name, _, _), digest in zip(files, digests, strict=True):
        if digest is not None:
            classes.setdefault(digest, set()).add(name)
    kept: list[int] = []
    seen: set[bytes] = set()
    for index, digest in enumerate(digests):
        if digest is None:
            continue
        if len(classes[digest]) > 1:
            set_aside.append(
                SetAside(files[index][2], f"the same photo is in {' and '.join(sorted(classes[digest]))}")
            )
        elif digest in seen:
            set_aside.append(SetAside(files[index][2], "the same photo occurs before"))
        else:
            seen.add(digest)
            kept.append(index)
    return kept


def _assigned(
    classes: tuple[str, ...],
    files: Sequence[tuple[str, str, bytes]],
    digests: Sequence[bytes | None],
    set_aside: tuple[SetAside, ...],
    seed: int,
) -> Photos:
    held_out = held_out_sources([source for name, source, _ in files if name == NEITHER], seed)
    splits = [
        split_of_neither(d or b"", source, held_out, seed) if name == NEITHER else split_of(d or b"", seed)
        for (name, source, _), d in zip(files, digests, strict=True)
    ]
    return Photos(
        classes=classes,
        paths=[path for _, _, path in files],
        labels=np.array([classes.index(name) for name, _, _ in files], dtype=np.int16),
        splits=np.array([SPLITS.index(s) for s in splits], dtype=np.int8),
        sources=[source for _, source, _ in files],
        held_out=held_out,
        set_aside=set_aside,
    )


def _check(photos: Photos, folders: Sequence[Path]) -> None:
    for index, name in enumerate(photos.classes):
        found = int((photos.labels == index).sum())
        if found == 0:
            raise DatasetError(
                f"{_named(folders)}: class {name!r} is empty: no file in it is a readable photo"
            )


def check_trainable(photos: Photos, folders: Sequence[Path]) -> None:
    """Raise DatasetError unless there are two classes, and enough photos of each to train on."""
    if len(photos.classes) < 2:
        raise DatasetError(
            f"{_named(folders)}: expected at least two classes, found one: {photos.classes[0]!r}"
        )
    for name, counts in photos.counts().items():
        missing = [split for split, number in counts.items() if number == 0]
        total = sum(counts.values())
        if total < LEAST_PHOTOS or "train" in missing:
            raise DatasetError(
                f"{_named(folders)}: class {name!r} has {total} photos; expected at least {LEAST_PHOTOS}"
            )


def _named(folders: Sequence[Path]) -> str:
    return ", ".join(map(str, folders))


def read(path: bytes) -> bytes:
    """Return a file's bytes."""
    with open(path, "rb") as file:
        return file.read()


def batches(paths: Sequence[bytes], size: int, batch: int = 32) -> Iterator[Pixels]:
    """Yield the photos in order, as the worker sees them: uint8 (n, size, size, 3). Raises DatasetError."""

    def load(index: int) -> Pixels:
        return _decoded(paths[index], size)

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
            scene = _decoded(photos.paths[int(rng.choice(pool))], size)
        return augment(_decoded(photos.paths[index], size * 8 // 7), scene, size, rng)

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


def _decoded(path: bytes, size: int) -> Pixels:
    try:
        return decode(read(path), size)
    except (OSError, UnreadableImage) as error:
        raise DatasetError(f"{os.fsdecode(path)}: was readable a moment ago: {error}") from error
