"""Find near-duplicates: photos resized, recompressed, slightly cropped or brightened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.types import Pixels

NEAREST = 0.15
"""The most of the bits set in either fingerprint that may differ; of unrelated photos two thirds do."""

_SIDE = 16
_BAND_BITS = 16  # only photos that share one of 16 bands of the 256 bits are compared
_CROWD = 500  # a band value that more photos share, such as an empty sky, is skipped


def fingerprint(photo: Pixels) -> bytes:
    """Return 32 bytes that change little when a photo does, from uint8 RGB (any, any, 3).

    Each bit is whether a cell is brighter than the one to its left, on a grid of 17 x 16 (dHash,
    Krawetz 2013).
    """
    small = Image.fromarray(photo).convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.int16)
    return np.packbits(values[:, 1:] > values[:, :-1]).tobytes()


def groups(fingerprints: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Return for each photo the first index of those it is nearly the same as, itself included; (n,).

    Groups are transitive: if a is like b and b like c, all three are in one group.
    """
    parents = list(range(len(fingerprints)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for one, other in _pairs(fingerprints):
        low, high = sorted((root(one), root(other)))
        parents[high] = low
    return np.array([root(i) for i in range(len(fingerprints))], dtype=np.int64)


def _pairs(fingerprints: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    joined = np.frombuffer(b"".join(fingerprints), np.uint8).reshape(-1, _SIDE * _SIDE // 8)
    bands = joined.view(f">u{_BAND_BITS // 8}")
    for band in bands.T:
        buckets: dict[int, list[int]] = defaultdict(list)
        for index, value in enumerate(band.tolist()):
            buckets[value].append(index)
        for members in buckets.values():
            if 1 < len(members) <= _CROWD:
                yield from _alike(np.array(members), joined)


def _alike(members: npt.NDArray[np.int64], joined: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    rows = joined[members]
    for place, row in enumerate(rows[:-1]):
        others = rows[place + 1 :]
        differ = np.bitwise_count(others ^ row).sum(axis=1)
        either = np.bitwise_count(others | row).sum(axis=1)
        for offset in np.flatnonzero((differ <= NEAREST * either) & (either > 0)).tolist():
            yield int(members[place]), int(members[place + 1 + offset])
