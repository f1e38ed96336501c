"""Find labelled photos, a folder for each class, and split them by content.

Only paths, labels and splits stay in memory.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import regular_files
from models.data import tar_archives
from models.data.labelled_files import LabelledFile, find_files, named
from models.data.near_duplicates import fingerprint, groups
from models.data.splits import SPLITS, Split, held_out_sources, split_beside_test, split_of, split_of_neither
from models.errors import DatasetError
from models.images.decode import UnreadableImage, decode
from models.labels import NEITHER
from models.progress import CountCallback

log = logging.getLogger(__name__)

LEAST_PHOTOS = 8  # of a class; with fewer, some split would almost certainly have none
LARGEST_LIST = 100_000_000
"""Maximum bytes of a CSV of photos to set aside."""

_AT_ONCE = 4096  # files that are queued for reading at most
_NEVER_TRAIN: tuple[Split | None, ...] = ("test", "validation")  # levels of a data set that never train


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that is not used, and why."""

    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Photos:
    """Labelled files, photo i at index i of each field; `labels` index `classes`, `splits` index SPLITS."""

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
    place: LabelledFile
    digest: bytes  # SHA-256
    fingerprint: bytes

    @property
    def name(self) -> str:
        """The name of its class."""
        return self.place.name

    @property
    def path(self) -> bytes:
        """Its path."""
        return self.place.path


def scan(
    folders: Sequence[Path],
    seed: int,
    count: CountCallback | None = None,
    excluded: Mapping[bytes, str] | None = None,
    hold_out: bool = True,
    check: Callable[[tuple[str, ...]], object] = lambda classes: None,
) -> Photos:
    """Find the classes and photos in `folders`, read every file once, and give each content its split.

    `labelled_files.find_files` finds the classes; those of one name are merged. Set aside are files that are
    not photos, contents that occur twice, photos that occur under two classes, the same or nearly so, and
    those that `excluded` names by SHA-256. Photos that are nearly the same share a split. Where the data set
    has its own test photos, these alone are the test split, and near-duplicates of them do not train. Raises
    DatasetError for no class or a class without a usable photo, and whatever `check` raises about the
    classes, before any photo is read.
    """
    classes, found, refused = find_files(folders)
    check(classes)
    set_aside = [SetAside(path, reason) for path, reason in refused.items()]
    files = _read_all(sorted(found, key=_test_files_first), set_aside, count)
    files = _without_excluded(files, excluded, set_aside)
    files = _without_repeated(files, set_aside)
    files, keys = _grouped(files, set_aside)
    photos = _assigned(classes, files, keys, tuple(set_aside), seed, hold_out)
    for item in photos.set_aside:
        log.warning("set aside: %s: %s", os.fsdecode(item.path), item.reason)
    _check(photos, folders)
    return photos


def read_excluded(path: Path) -> dict[bytes, str]:
    """Read a CSV of photos to set aside, columns sha256 (hex) and reason. Raises DatasetError."""
    try:
        text = regular_files.read(path, LARGEST_LIST).decode()
        rows = csv.DictReader(io.StringIO(text, newline=""))
        return {bytes.fromhex(row["sha256"]): row.get("reason") or "no reason given" for row in rows}
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from error
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: expected a CSV with the columns sha256 and reason: {error}") from error


def _test_files_first(place: LabelledFile) -> bool:
    return place.level not in _NEVER_TRAIN


def _read_all(
    found: Sequence[LabelledFile], set_aside: list[SetAside], count: CountCallback | None
) -> list[_File]:
    """Return the photos with digest and fingerprint; other files are set aside."""
    files: list[_File] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(found), _AT_ONCE):  # else a task for each file would be in memory
            part = found[start : start + _AT_ONCE]
            results = pool.map(_identity, (place.path for place in part))
            for done, (place, result) in enumerate(zip(part, results, strict=True), start=start + 1):
                if isinstance(result, str):
                    set_aside.append(SetAside(place.path, result))
                else:
                    files.append(_File(place, *result))
                if count:
                    count(done, len(found))
    return files


def _identity(path: bytes) -> tuple[bytes, bytes] | str:
    try:
        data = read(path)
        return hashlib.sha256(data).digest(), fingerprint(decode(data, 32))
    except UnreadableImage as error:
        return f"not readable as a photo: {error}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _without_excluded(
    files: Sequence[_File], excluded: Mapping[bytes, str] | None, set_aside: list[SetAside]
) -> list[_File]:
    reasons = excluded or {}
    found = [file for file in files if file.digest in reasons]
    set_aside += [SetAside(file.path, f"named as wrong: {reasons[file.digest]}") for file in found]
    return [file for file in files if file.digest not in reasons]


def _without_repeated(files: Sequence[_File], set_aside: list[SetAside]) -> list[_File]:
    """Keep the first file of each content; a content found under two classes is set aside entirely."""
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
    """Return files and the digest that decides each one's split: the least among its near-duplicates."""
    members = groups([file.fingerprint for file in files]).tolist()
    classes: dict[int, set[str]] = {}
    digests: dict[int, bytes] = {}
    for file, group in zip(files, members, strict=True):
        classes.setdefault(group, set()).add(file.name)
        digests[group] = min(digests.get(group, file.digest), file.digest)
    kept: list[_File] = []
    keys: list[bytes] = []
    kept_groups = {g for f, g in zip(files, members, strict=True) if f.place.level in _NEVER_TRAIN}
    for file, group in zip(files, members, strict=True):
        if file.place.level in _NEVER_TRAIN:
            kept.append(file)
            keys.append(file.digest)
        elif group in kept_groups:
            set_aside.append(SetAside(file.path, "nearly the same photo is kept for tests"))
        elif len(names := classes[group]) > 1:
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
    hold_out: bool,
) -> Photos:
    sources = [file.place.source for file in files if file.name == NEITHER and file.place.level is None]
    held_out = held_out_sources(sources, seed) if hold_out else {}
    splits = [_split(file.place, key, held_out, seed) for file, key in zip(files, keys, strict=True)]
    return Photos(
        classes=classes,
        paths=[file.path for file in files],
        labels=np.array([classes.index(file.name) for file in files], dtype=np.int16),
        splits=np.array([SPLITS.index(s) for s in splits], dtype=np.int8),
        sources=[file.place.source for file in files],
        held_out=held_out,
        set_aside=set_aside,
    )


def _split(place: LabelledFile, key: bytes, held_out: Mapping[str, Split], seed: int) -> Split:
    if place.level is not None:
        return place.level if place.level in _NEVER_TRAIN else split_beside_test(key, seed)
    if place.name == NEITHER:
        return split_of_neither(key, place.source, held_out, seed)
    return split_of(key, seed)


def _check(photos: Photos, folders: Sequence[Path]) -> None:
    for index, name in enumerate(photos.classes):
        found = int((photos.labels == index).sum())
        if found == 0:
            raise DatasetError(
                f"{named(folders)}: class {name!r} is empty: no file in it is a readable photo"
            )


def check_trainable(photos: Photos, folders: Sequence[Path]) -> None:
    """Raise DatasetError unless there are two classes, and enough photos of each to train on."""
    if len(photos.classes) < 2:
        raise DatasetError(
            f"{named(folders)}: expected at least two classes, found one: {photos.classes[0]!r}"
        )
    for name, counts in photos.counts().items():
        missing = [split for split, number in counts.items() if number == 0]
        total = sum(counts.values())
        if total < LEAST_PHOTOS or "train" in missing:
            raise DatasetError(
                f"{named(folders)}: class {name!r} has {total} photos; expected at least {LEAST_PHOTOS}"
            )


def read(path: bytes) -> bytes:
    """Return the bytes of a file, or of a member of an archive. Raises OSError, also for over 200 MB."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > tar_archives.LARGEST_MEMBER:
                raise OSError(errno.EFBIG, "larger than a photo", os.fsdecode(path))
            return file.read()
    except NotADirectoryError:
        return tar_archives.read(path)
