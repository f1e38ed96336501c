"""Write a dictionary of tensors as PyTorch did before version 1.6, without PyTorch."""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Mapping
from unittest import mock

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class _Tensor:
    def __init__(self, key: str, array: np.ndarray, rebuild: object) -> None:
        self.key, self.array, self.rebuild = key, array, rebuild

    def __reduce__(self) -> tuple[object, ...]:
        strides = tuple(step // self.array.itemsize for step in self.array.strides)
        storage = _Storage(self.key, self.array)
        return self.rebuild, (storage, 0, self.array.shape, strides, False, OrderedDict())


class _Storage:
    def __init__(self, key: str, array: np.ndarray) -> None:
        self.key, self.array = key, array


def _named(name: str, module: str) -> type:
    return type(name, (), {"__module__": module})


def torch_file(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return the bytes of a file; each float32 or int64 tensor has a storage of its own."""
    kinds = {np.dtype("f4"): _named("FloatStorage", "torch"), np.dtype("i8"): _named("LongStorage", "torch")}
    rebuild = _named("_rebuild_tensor_v2", "torch._utils")

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            if isinstance(value, _Storage):
                return "storage", kinds[value.array.dtype], value.key, "cpu", value.array.size, None
            return None

    file = io.BytesIO()
    keys = {name: str(100 + index) for index, name in enumerate(tensors)}
    content = OrderedDict((name, _Tensor(keys[name], array, rebuild)) for name, array in tensors.items())
    modules = {
        "torch": types.SimpleNamespace(**{kind.__name__: kind for kind in kinds.values()}),
        "torch._utils": types.SimpleNamespace(_rebuild_tensor_v2=rebuild),
    }
    with mock.patch.dict(sys.modules, modules):  # since pickle looks each name up
        for part in (MAGIC, PROTOCOL, {"little_endian": True}, content, sorted(keys.values())):
            Pickler(file, protocol=2).dump(part)
    for name in sorted(tensors, key=keys.__getitem__):
        file.write(tensors[name].size.to_bytes(8, "little") + np.ravel(tensors[name], order="K").tobytes())
    return file.getvalue()
