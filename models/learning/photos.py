"""Judged photos: their splits by content, and their features, computed once and cached."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.bundle.replay import Features, joined
from models.bundle.write_bundle import replace
from models.data.batches import decoded
from models.data.dataset import read
from models.data.near_duplicates import fingerprint, groups
from models.data.splits import SPLITS, split_judged
from models.errors import DatasetError
from models.images.decode import UnreadableImage, decode
from models.inference.box_crops import CropInference
from models.inference.outputs import NetworkOutputs
from models.inference.photo_features import features_of
from models.progress import CountCallback
from models.types import Pixels

log = logging.getLogger(__name__)

_BATCH = 32
_ARRAYS = ("whole", "crops", "crop_rows", "are_boxes", "digests", "fingerprints")


class JudgedPhoto(NamedTuple):
    """A photo and the label, or the folder of a label, that a person gave it."""

    path: bytes
    label: str
    sha256: str  # of its content, hex
    model: str | None = None  # the version that answered
    id: int | None = None


class FiledPhoto(NamedTuple):
    """A photo that was filed by an answer."""

    path: bytes
    sha256: str
    id: int


@dataclass(frozen=True, slots=True)
class Known:
    """Features of photos, photo i at index i of each field."""

    features: Features
    digests: Sequence[str]  # SHA-256, hex
    fingerprints: Sequence[bytes]
    unreadable: Mapping[str, str] = field(default_factory=dict)  # SHA-256 -> why it has no features

    def __len__(self) -> int:
        return len(self.digests)

    def only(self, digests: Sequence[str]) -> Known:
        """Return the photos of these contents, in their order; those that are not known are left out."""
        places = {digest: place for place, digest in enumerate(self.digests)}
        rows = [places[digest] for digest in digests if digest in places]
        parts = [_row(self.features, row) for row in rows]
        features = joined(parts) if parts else self.features.where(np.zeros(len(self), bool))
        chosen = [self.digests[row] for row in rows], [self.fingerprints[row] for row in rows]
        return Known(features, *chosen, self.unreadable)


def _row(features: Features, row: int) -> Features:
    first, last = np.searchsorted(features.crop_rows, [row, row + 1])
    own = slice(int(first), int(last))
    rows = np.zeros(own.stop - own.start, np.int32)
    return Features(features.whole[row : row + 1], features.crops[own], rows, features.are_boxes[own])


def splits_of(known: Known, seed: int) -> npt.NDArray[np.int8]:
    """Return the split of each photo, a place in SPLITS: of nearly the same photos the same one."""
    if not len(known):
        return np.zeros(0, np.int8)
    group = groups(known.fingerprints)
    first: dict[int, str] = {}
    for own, digest in zip(group.tolist(), known.digests, strict=True):
        first[own] = min(first.get(own, digest), digest)
    keys = [first[own] for own in group.tolist()]
    return np.array([SPLITS.index(split_judged(bytes.fromhex(key), seed)) for key in keys], np.int8)


def features_key(arrays: Mapping[str, npt.NDArray[np.generic]], parts: Sequence[object]) -> str:
    """Identify the layers below the last one, so that versions that share these share the cached features."""
    digest = hashlib.sha256(repr(parts).encode())
    for name in sorted(name for name in arrays if not name.startswith(("head/", "imagenet/", "shares/"))):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Reader:
    """A network and its crops, to compute features of photos with that it has not seen yet."""

    outputs: NetworkOutputs
    crops: CropInference
    temperature: float
    cache: Path | None = None  # a file; only photos that are asked for stay in it
    key: str = ""

    def known(self, photos: Sequence[tuple[bytes, str]], progress: CountCallback) -> Known:
        """Return the features of photos, given by path and SHA-256; unreadable and changed ones are named."""
        unique = {digest: path for path, digest in photos}
        cached = self._cached()
        before = cached.only(list(unique)) if cached else None
        have = set(before.digests) if before else set()
        missing = [(path, digest) for digest, path in unique.items() if digest not in have]
        computed, unreadable = self._computed(missing, len(have), len(unique), progress)
        parts = [*([before] if before and len(before) else []), *computed]
        known = Known(
            joined([part.features for part in parts]) if parts else _none(),
            [digest for part in parts for digest in part.digests],
            [print_ for part in parts for print_ in part.fingerprints],
            unreadable,
        )
        if computed:
            self._keep(known)
        return known

    def _computed(
        self, photos: Sequence[tuple[bytes, str]], done: int, total: int, progress: CountCallback
    ) -> tuple[list[Known], dict[str, str]]:
        parts: list[Known] = []
        unreadable: dict[str, str] = {}
        for start in range(0, len(photos), _BATCH):
            group = photos[start : start + _BATCH]
            part = self._batch(group, unreadable)
            parts += [part] if part else []
            done += len(group)
            progress(done, total)
        return parts, unreadable

    def _batch(self, group: Sequence[tuple[bytes, str]], unreadable: dict[str, str]) -> Known | None:
        good: list[tuple[bytes, str]] = []
        images: list[Pixels] = []
        for (path, digest), found in zip(group, self._decoded(group), strict=True):
            if isinstance(found, str):
                unreadable[digest] = found
            else:
                good.append((path, digest))
                images.append(found)
        if not good:
            return None

        def load(row: int, side: int) -> Pixels | None:
            try:
                return decoded(good[row][0], side)
            except DatasetError:  # it went away between; it is predicted without crops
                return None

        whole = [np.stack(images)]
        features = joined(list(features_of(self.outputs, _of_all(self.crops), self.temperature, whole, load)))
        return Known(
            _as_cached(features), [digest for _, digest in good], [fingerprint(image) for image in images]
        )

    def _decoded(self, group: Sequence[tuple[bytes, str]]) -> Iterator[Pixels | str]:
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            yield from pool.map(lambda photo: _pixels(photo[0], photo[1], self.outputs.size), group)

    def _cached(self) -> Known | None:
        if self.cache is None:
            return None
        try:
            with open(self.cache, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                if str(file["key"]) != self.key:
                    return None
                arrays = [file[name] for name in _ARRAYS]
        except FileNotFoundError:
            return None
        except Exception as error:  # damaged, or of another version of Pawsort
            log.info("%s: features are computed again: %s", self.cache, " ".join(str(error).split()))
            return None
        features = Features(arrays[0].astype(np.float32), arrays[1].astype(np.float32), *arrays[2:4])
        digests, prints = ([row.tobytes() for row in array] for array in arrays[4:])
        return Known(features, [digest.hex() for digest in digests], prints)

    def _keep(self, known: Known) -> None:
        if self.cache is None:
            return
        own, buffer = known.features, io.BytesIO()
        np.savez(
            buffer, key=np.array(self.key), whole=own.whole.astype(np.float16),
            crops=own.crops.astype(np.float16), crop_rows=own.crop_rows, are_boxes=own.are_boxes,
            digests=_rows([bytes.fromhex(digest) for digest in known.digests]),
            fingerprints=_rows(known.fingerprints),
        )  # fmt: skip
        self.cache.parent.mkdir(parents=True, exist_ok=True)
        replace(self.cache, buffer.getvalue())


def _of_all(crops: CropInference) -> CropInference:
    """Return an inference that predicts every photo again: another last layer may be unsure of any."""
    if crops.corners is None:
        return crops
    above_all = {"below": 1.1, "neither_below": 1.1}
    return dataclasses.replace(crops, corners=crops.corners.model_copy(update=above_all))


def _as_cached(features: Features) -> Features:
    """Round features as the cache does, so that a later run gets the same."""
    whole, crops = (
        values.astype(np.float16).astype(np.float32) for values in (features.whole, features.crops)
    )
    return dataclasses.replace(features, whole=whole, crops=crops)


def _pixels(path: bytes, digest: str, size: int) -> Pixels | str:
    try:
        content = read(path)
        if hashlib.sha256(content).hexdigest() != digest:
            return "its content has changed"
        return decode(content, size)
    except (OSError, UnreadableImage) as error:
        return getattr(error, "strerror", None) or str(error)


def _rows(values: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1)


def _none() -> Features:
    nothing = np.zeros((0, 0), np.float32)
    return Features(nothing, nothing, np.zeros(0, np.int32), np.zeros(0, bool))
