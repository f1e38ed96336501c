"""Write a network's arrays as one .npz file, and read it without trusting its headers."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import shortened

Arrays = dict[str, npt.NDArray[Any]]


class WeightsError(Exception):
    """Bytes or arrays that cannot be a network's weights; the message says which array and why."""


def pack(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays as the bytes of an .npz file: matrices and kernels in float16, vectors in float32.

    Vectors stay float32 because the variances of batch normalisation span more than float16 holds. Raises
    WeightsError for an array that is not finite.
    """
    with np.errstate(over="ignore"):  # values too large become infinite, and are refused by name below
        stored = {n: a.astype(np.float16 if a.ndim > 1 else np.float32) for n, a in arrays.items()}
    for name, array in stored.items():
        _check_finite(name, array)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **stored)
    return buffer.getvalue()


def unpack(data: bytes) -> Arrays:
    """Return the arrays, float16 or float32, in the bytes of an .npz file. Raises WeightsError.

    Never unpickles, and takes no more memory than the file has bytes.
    """
    try:
        return dict(_arrays(data))
    except WeightsError:
        raise
    except Exception as error:  # zipfile and NumPy's parser of headers raise many types
        raise WeightsError(shortened(" ".join(str(error).split()))) from error


def _arrays(data: bytes) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(data):
                raise WeightsError(
                    f"{shortened(member.filename)!r} is compressed, and could grow to any size"
                )
            name = member.filename.removesuffix(".npy")
            array = array_of(name, archive.read(member), (np.float16, np.float32))
            _check_finite(name, array)
            yield name, array


def array_of(name: str, content: bytes, types: Sequence[npt.DTypeLike]) -> npt.NDArray[Any]:
    """Return the array in the bytes of an .npy file, in one of these types. Raises WeightsError.

    Never unpickles, and takes no more memory than the content.
    """
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise WeightsError(f"array {name!r} is not in NumPy's format 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran or dtype not in types:
        expected = " or ".join(np.dtype(kind).name for kind in types)
        raise WeightsError(f"array {name!r} holds {dtype}, expected {expected} in C order")
    held = len(content) - stream.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held:
        raise WeightsError(f"array {name!r} says shape {shape}, and holds {held} bytes")
    return np.frombuffer(content, dtype=dtype, offset=stream.tell()).reshape(shape)


def _check_finite(name: str, array: npt.NDArray[Any]) -> None:
    if not np.isfinite(array).all():
        raise WeightsError(f"array {name!r} holds values that are not finite (NaN or infinity)")
