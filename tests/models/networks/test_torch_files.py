from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from models.networks.torch_files import TorchFileError, read_tensors
from tests.support.torch_file import MAGIC, PROTOCOL, torch_file

TENSORS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "norm.num_batches_tracked": np.array(7, dtype=np.int64),
}


def test_tensors_are_read_with_their_names_types_shapes_and_strides():
    found = read_tensors(torch_file(TENSORS))
    assert list(found) == list(TENSORS)
    for name, array in TENSORS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.putenv, ("PAWSORT_EVIL", "1")


@pytest.mark.fault(99)
def test_a_file_that_names_a_function_is_refused_and_the_function_never_called(
    monkeypatch: pytest.MonkeyPatch,
):
    called: list[object] = []
    monkeypatch.setattr(os, "putenv", lambda *given: called.append(given))
    os.putenv.__module__, os.putenv.__qualname__ = "os", "putenv"  # type: ignore[attr-defined]
    data = b"".join(pickle.dumps(part, protocol=2) for part in (MAGIC, PROTOCOL, {}, {"a": Evil()}))
    with pytest.raises(TorchFileError, match=r"it names os\.putenv"):
        read_tensors(data)
    assert not called


@pytest.mark.parametrize("kept", [0, 1, 20, 200, -100, -1])
def test_a_truncated_file_is_refused_at_any_place(kept: int):
    with pytest.raises(TorchFileError):
        read_tensors(torch_file(TENSORS)[:kept])


def test_a_file_of_another_kind_is_refused():
    for data in (b"PK\x03\x04 as newer versions save", pickle.dumps(1) + pickle.dumps(2), b"\x89PNG"):
        with pytest.raises(TorchFileError):
            read_tensors(data)


@pytest.mark.fault(99)
def test_a_tensor_that_exceeds_its_storage_is_refused():
    data = torch_file({"a": np.arange(6, dtype=np.float32)})
    longer = data.replace(b"K\x06\x85", b"K\x60\x85")  # its shape (6,) becomes (96,)
    assert longer != data
    with pytest.raises(TorchFileError, match="exceeds its storage"):
        read_tensors(longer)
