"""Read the tensors of a file that PyTorch saved before version 1.6, without PyTorch.

Such a file is a few pickles, then the bytes of each storage. Own code: PyTorch is large, and its own reader
would be the only use of it. Only the names that a dictionary of tensors needs are unpickled.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class TorchFileError(Exception):
    """A file is not a dictionary of tensors as PyTorch saved it before version 1.6."""


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    type: np.dtype[Any]
    size: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int  # in elements
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


def read_tensors(data: bytes) -> dict[str, Array]:
    """Return the tensors of a file by name. Raises TorchFileError."""
    file = io.BytesIO(data)
    try:
        if (_loaded(file), _loaded(file)) != (_MAGIC, _PROTOCOL):
            raise TorchFileError("it does not begin as PyTorch's files did before version 1.6")
        _loaded(file)  # the machine that saved it
        tensors = _loaded(file)
        storages = _storages(file, _loaded(file), {t.storage.key: t.storage for t in tensors.values()})
        return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}
    except (pickle.UnpicklingError, EOFError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise TorchFileError(f"its tensors cannot be read: {error}") from error


def _storages(file: BinaryIO, order: Sequence[str], known: dict[str, _Storage]) -> dict[str, Array]:
    found = {}
    for key in order:
        storage = known[key]
        size = int.from_bytes(file.read(8), "little")
        data = file.read(size * storage.type.itemsize)
        if size != storage.size or len(data) != size * storage.type.itemsize:
            raise TorchFileError("it is truncated")
        found[key] = np.frombuffer(data, storage.type)
    return found


def _array(tensor: _Tensor, storage: Array) -> Array:
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if min((tensor.offset, *tensor.strides, *tensor.shape)) < 0 or last >= len(storage):
        raise TorchFileError("a tensor exceeds its storage")
    strides = [step * storage.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides)
    return np.ascontiguousarray(view).reshape(tensor.shape)


def _loaded(file: BinaryIO) -> Any:
    return _Unpickler(file).load()


def _tensor(storage: _Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Unpickles dictionaries of tensors; every other name is refused, since a pickle may call anything."""

    _NAMES: dict[tuple[str, str], Callable[..., Any]] = {  # noqa: RUF012
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    }

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if (module, name) not in self._NAMES:
            raise TorchFileError(f"it names {module}.{name}, which a dictionary of tensors does not need")
        return self._NAMES[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, size, view = pid
        if view is not None:
            raise TorchFileError("a storage is part of another one")
        return _Storage(key, kind, size)
