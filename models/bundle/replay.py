"""Replay: features of a sample of a bundle's own photos, to fit its last layer again without the photos.

They are stored in 8 bits, linear between the least and the greatest value of each feature: no photo can be
made of them, and two thirds are 0 in a network that ends in ReLU, so that a photo takes about 500 bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.bundle.openvino_archive import BOUNDED
from models.bundle.weights import WeightsError, array_of
from models.errors import shortened
from models.types import Flags, Float32

Part = Literal["train", "calibration", "test"]
PARTS: tuple[Part, ...] = ("train", "calibration", "test")
"""What the photos served for when the bundle was made: those of `test` chose nothing."""

LARGEST = 64_000_000  # bytes of all arrays together
Stored = npt.NDArray[np.generic]
_MADE = (1980, 1, 1, 0, 0, 0)  # a fixed date, so that the same features have the same SHA-256
_ARRAYS = ("low", "high", "whole", "crops", "crop_rows", "are_boxes", "labels", "parts", "sources", "names")
_STORED = (np.uint8, np.uint16, np.int32, np.float32)


@dataclass(frozen=True, slots=True)
class Features:
    """What the last layer gets for n photos, and for the m crops of some of them, in the order of photos."""

    whole: Float32  # (n, f)
    crops: Float32  # (m, f)
    crop_rows: npt.NDArray[np.int32]  # (m,) the photo of each crop, ascending
    are_boxes: Flags  # (m,) whether it shows a box of the detector, and not a corner

    def __len__(self) -> int:
        return len(self.whole)

    def where(self, wanted: Flags) -> Features:
        """Return the photos for which `wanted` (n,) holds, with their crops."""
        places = np.cumsum(wanted) - 1
        kept = wanted[self.crop_rows]
        rows = places[self.crop_rows[kept]].astype(np.int32)
        return Features(self.whole[wanted], self.crops[kept], rows, self.are_boxes[kept])


def joined(parts: Sequence[Features]) -> Features:
    """Return the photos of several, at least one, in their order."""
    starts = np.cumsum([0, *(len(part) for part in parts)])
    return Features(
        np.concatenate([part.whole for part in parts]),
        np.concatenate([part.crops for part in parts]),
        np.concatenate([p.crop_rows + start for p, start in zip(parts, starts, strict=False)]).astype(
            np.int32
        ),
        np.concatenate([part.are_boxes for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class Replay:
    """Features of a sample of the photos that a bundle was made from; photo i is row i of each field."""

    features: Features
    labels: npt.NDArray[np.int16]  # (n,) places among the bundle's labels
    parts: npt.NDArray[np.int8]  # (n,) places in PARTS
    sources: tuple[str, ...]  # of the photos of `neither`; "" for the others

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, wanted: Flags) -> Replay:
        """Return the photos for which `wanted` (n,) holds."""
        sources = tuple(source for source, kept in zip(self.sources, wanted, strict=True) if kept)
        return Replay(self.features.where(wanted), self.labels[wanted], self.parts[wanted], sources)

    def part(self, name: Part) -> Replay:
        """Return the photos of one part."""
        return self.where(self.parts == PARTS.index(name))


def pack(replay: Replay) -> bytes:
    """Return a replay as the bytes of a compressed .npz file; the same replay always gives the same bytes."""
    own = replay.features
    low, high = own.whole.min(axis=0), own.whole.max(axis=0)
    names = sorted(set(replay.sources))
    arrays = {
        "low": low,
        "high": high,
        "whole": _coded(own.whole, low, high),
        "crops": _coded(own.crops, low, high),
        "crop_rows": own.crop_rows.astype(np.int32),
        "are_boxes": own.are_boxes.astype(np.uint8),
        "labels": replay.labels.astype(np.uint16),
        "parts": replay.parts.astype(np.uint8),
        "sources": np.array([names.index(source) for source in replay.sources], dtype=np.uint16),
        "names": np.frombuffer("\n".join(names).encode(), dtype=np.uint8),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _MADE), content.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpack(data: bytes, labels: int) -> Replay:
    """Return the replay in the bytes of an .npz file, for a bundle of so many labels. Raises WeightsError.

    Never unpickles, and unpacks at most LARGEST bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = dict(_arrays(archive))
        return _replay(arrays, labels)
    except WeightsError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy's parser of headers raise many types
        raise WeightsError(shortened(" ".join(str(error).split()))) from error


def _arrays(archive: zipfile.ZipFile) -> Iterator[tuple[str, Stored]]:
    left = LARGEST
    if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in _ARRAYS):
        raise WeightsError(
            f"it holds {shortened(', '.join(archive.namelist()))}, expected {', '.join(_ARRAYS)}"
        )
    for member in archive.infolist():
        if member.compress_type not in BOUNDED:
            raise WeightsError("a member is neither stored nor deflated, and could grow to any size")
        with archive.open(member) as file:  # headers may lie about the size, so that what is read is counted
            content = file.read(left + 1)
        if len(content) > left:
            raise WeightsError(f"it unpacks to more than {LARGEST} bytes")
        left -= len(content)
        name = member.filename.removesuffix(".npy")
        yield name, array_of(name, content, _STORED)


def _replay(arrays: Mapping[str, Stored], labels: int) -> Replay:
    low, high, whole, crops = (arrays[name] for name in ("low", "high", "whole", "crops"))
    rows, boxes = arrays["crop_rows"].astype(np.int32), arrays["are_boxes"].astype(bool)
    truth, parts = arrays["labels"].astype(np.int16), arrays["parts"].astype(np.int8)
    places, names = arrays["sources"].astype(int), arrays["names"].tobytes().decode().split("\n")
    width, photos, seen = len(low), len(truth), len(rows)
    shapes = [array.shape for array in (low, high, whole, crops, rows, boxes, truth, parts, places)]
    expected = [(width,), (width,), (width, photos), (width, seen), (seen,), (seen,), *[(photos,)] * 3]
    if shapes != expected or whole.dtype != np.uint8 or crops.dtype != np.uint8:
        raise WeightsError(f"its arrays have shapes {shapes}, which do not fit each other")
    limits = ((truth, labels), (parts, len(PARTS)), (places, len(names)), (rows, photos))
    if (
        any(((values < 0) | (values >= limit)).any() for values, limit in limits)
        or (np.diff(rows) < 0).any()
        or not all(np.isfinite(values).all() for values in (low, high))
    ):
        raise WeightsError("a label, part, source or crop of it does not exist")
    features = Features(_decoded(whole, low, high), _decoded(crops, low, high), rows, boxes)
    return Replay(features, truth, parts, tuple(names[place] for place in places))


def _coded(values: Float32, low: Float32, high: Float32) -> npt.NDArray[np.uint8]:
    """Return (f, n) codes of (n, f) values: the values of one feature together compress better."""
    steps = np.where(high > low, (high - low) / 255, 1)
    return np.ascontiguousarray(np.rint(np.clip((values - low) / steps, 0, 255)).astype(np.uint8).T)


def _decoded(codes: Stored, low: Stored, high: Stored) -> Float32:
    first, last = low.astype(np.float32), high.astype(np.float32)
    result: Float32 = (first + codes.T.astype(np.float32) * ((last - first) / 255)).astype(np.float32)
    return result
