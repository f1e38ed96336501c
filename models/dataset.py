"""Labelled photos: a folder for each class, read once for content, split by content.

Only paths, labels and splits stay in memory.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.bundle import NEITHER
from models.duplicates import fingerprint, groups
from models.errors import DatasetError as DatasetError
from models.images import UnreadableImage, decode
from models.splits import SPLITS, Split, held_out_sources, split_of, split_of_neither

log = logging.getLogger(__name__)

LEAST_PHOTOS = 8  # of a class; with fewer, some split would nearly surely lack it
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


@dataclass(frozen=True, slots=True)
class _File:
    name: str  # of its class
    source: str
    path: bytes
    digest: bytes = b""  # SHA-256
    fingerprint: bytes = b""


def scan(
    folders: Sequence[Path], seed: int, count: Count | None = None, wrong: Mapping[bytes, str] | None = None
) -> Photos:
    """Find the classes and photos in `folders`, read every file once, and give each content its split.

    A folder named `neither` is a class itself; of any other folder, each subfolder is one. Classes of one
    name are merged, links to folders followed. Set aside are files that are not photos, contents that occur
    twice, photos that occur under two classes, the same or nearly so, and those that `wrong` names by
    SHA-256. Photos that are nearly the same share a split. Raises DatasetError for no class or no usable
    photo in one.
    """
    classes = _class_folders(folders)
    files = [_File(name, source, path) for name in classes for source, path in _files_of(classes[name])]
    files, set_aside = _read_all(files, count)
    files = _without_wrong(files, wrong, set_aside)
    files = _without_repeated(files, set_aside)
    files, keys = _grouped(files, set_aside)
    photos = _assigned(tuple(classes), files, keys, tuple(set_aside), seed)
    for item in photos.set_aside:
        log.warning("set aside: %s: %s", os.fsdecode(item.path), item.reason)
    _check(photos, folders)
    return photos


def read_wrong(path: Path) -> dict[bytes, str]:
    """Read a CSV with the columns sha256 (hex) and reason: photos to be set aside. Raises DatasetError."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {bytes.fromhex(row["sha256"]): row.get("reason") or "no reason given" for row in rows}
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: expected a CSV with the columns sha256 and reason: {error}") from error


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


def _read_all(files: Sequence[_File], count: Count | None) -> tuple[list[_File], list[SetAside]]:
    """Return the photos with digest and fingerprint, and the files that are none."""
    read_files: list[_File] = []
    set_aside: list[SetAside] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = pool.map(_identity, (file.path for file in files), chunksize=16)
        for done, (file, result) in enumerate(zip(files, results, strict=True), start=1):
            if isinstance(result, str):
                set_aside.append(SetAside(file.path, result))
            else:
                read_files.append(replace(file, digest=result[0], fingerprint=result[1]))
            if count:
                count(done, len(files))
    return read_files, set_aside


def _identity(path: bytes) -> tuple[bytes, bytes] | str:
    try:
        data = read(path)
        return hashlib.sha256(data).digest(), fingerprint(decode(data, 32))
    except UnreadableImage as error:
        return f"not readable as a photo: {error}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _without_wrong(
    files: Sequence[_File], wrong: Mapping[bytes, str] | None, set_aside: list[SetAside]
) -> list[_File]:
    named = wrong or {}
    set_aside += [SetAside(f.path, f"named as wrong: {named[f.digest]}") for f in files if f.digest in named]
    return [file for file in files if file.digest not in named]


def _without_repeated(files: Sequence[_File], set_aside: list[SetAside]) -> list[_File]:
    """Keep the first file of each content; a content found under two classes is dropped altogether."""
    classes: dict[bytes, set[str]] = {}
    for file in files:
        classes.setdefault(file.digest, set()).add(file.name)
    kept: dict[bytes, _File] = {}
    for file in files:
        if len(names := classes[file.digest]) > 1:
            set_aside.append(SetAside(file.path, f"the same photo is in {' and '.join(sorted(names))}"))
        elif file.digest in kept:
            set_aside.append(SetAside(file.path, "the same photo occurs before"))
        else:
            kept[file.digest] = file
    return list(kept.values())


def _grouped(files: Sequence[_File], set_aside: list[SetAside]) -> tuple[list[_File], list[bytes]]:
    """Return files and the digest that decides each one's split: the least among those nearly the same."""
    members = groups([file.fingerprint for file in files]).tolist()
    classes: dict[int, set[str]] = {}
    digests: dict[int, bytes] = {}
    for file, group in zip(files, members, strict=True):
        classes.setdefault(group, set()).add(file.name)
        digests[group] = min(digests.get(group, file.digest), file.digest)
    kept: list[_File] = []
    keys: list[bytes] = []
    for file, group in zip(files, members, strict=True):
        if len(names := classes[group]) > 1:
            reason = f"nearly the same photo is in {' and '.join(sorted(names))}"
            set_aside.append(SetAside(file.path, reason))
        else:
            kept.append(file)
            keys.append(digests[group])
    return kept, keys


def _assigned(
    classes: tuple[str, ...],
    files: Sequence[_File],
    keys: Sequence[bytes],
    set_aside: tuple[SetAside, ...],
    seed: int,
) -> Photos:
    held_out = held_out_sources([file.source for file in files if file.name == NEITHER], seed)
    splits = [
        split_of_neither(key, file.source, held_out, seed) if file.name == NEITHER else split_of(key, seed)
        for file, key in zip(files, keys, strict=True)
    ]
    return Photos(
        classes=classes,
        paths=[file.path for file in files],
        labels=np.array([classes.index(file.name) for file in files], dtype=np.int16),
        splits=np.array([SPLITS.index(s) for s in splits], dtype=np.int8),
        sources=[file.source for file in files],
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
