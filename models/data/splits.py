"""Assign photos to splits by content and source, so that the same photo always has the same split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

Split = Literal["train", "validation", "calibration", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "calibration", "test")
SHARES = (0.70, 0.05, 0.15, 0.10)
SHARES_BESIDE_TEST = (0.88, 0.04, 0.08, 0.0)
SHARES_JUDGED = (0.60, 0.0, 0.15, 0.25)
"""Judged photos are few: a quarter has to show whether a model learnt from the others is better."""


def split_of(digest: bytes, seed: int) -> Split:
    """Return the split of a content: always the same for the same SHA-256 and seed."""
    return _drawn(digest, seed, SHARES)


def split_beside_test(digest: bytes, seed: int) -> Split:
    """Return the split of a content of a data set that has its own test photos."""
    return _drawn(digest, seed, SHARES_BESIDE_TEST)


def split_judged(digest: bytes, seed: int) -> Split:
    """Return the split of a photo that a person judged."""
    return _drawn(digest, seed, SHARES_JUDGED)


def _drawn(digest: bytes, seed: int, shares: Sequence[float]) -> Split:
    place = int.from_bytes(hashlib.sha256(b"%d:" % seed + digest).digest()[:8], "big") / 2**64
    index = int(np.searchsorted(np.cumsum(shares)[:-1], place, side="right"))
    return SPLITS[index]


def held_out_sources(sources: Sequence[str], seed: int) -> dict[str, Split]:
    """Choose whole sources of `neither` for calibration and test, if there are at least three.

    The largest always trains. A network recognises a source more easily than its objects, so sources that
    calibrate or test must not train, and those that test must not calibrate.
    """
    names, sizes = np.unique([s for s in sources if s], return_counts=True)
    if len(names) < 3:
        return {}
    others = [str(name) for name in names[np.argsort(-sizes, kind="stable")][1:]]
    others.sort(key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    each = max(1, round(len(names) * 0.15))
    chosen: dict[str, Split] = dict.fromkeys(others[:each], "test")
    return chosen | dict.fromkeys(others[each : 2 * each], "calibration")


def split_of_neither(digest: bytes, source: str, held_out: Mapping[str, Split], seed: int) -> Split:
    """Return the split of a photo of `neither`: its source's, where that is held out, else its content's."""
    if source in held_out:
        return held_out[source]
    split = split_of(digest, seed)
    # A source that trains does not test.
    return "train" if held_out and split == "test" else split
