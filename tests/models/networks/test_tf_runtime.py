from __future__ import annotations

import importlib
import json
import sys

import pytest

from models.networks import tf_runtime


def test_a_package_that_is_left_out_can_be_imported_afterwards(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "this", raising=False)
    monkeypatch.setattr("sys.stdout", None)  # it prints a poem
    with tf_runtime._without("this", "json"):
        with pytest.raises(ImportError):
            importlib.import_module("this")
        assert importlib.import_module("json") is json, "what others use already stays"
    assert importlib.import_module("this").s


def test_only_keras_is_imported_on_first_use():
    assert tf_runtime.keras is sys.modules["keras"]
    with pytest.raises(AttributeError, match="no attribute 'torch'"):
        _ = tf_runtime.torch
