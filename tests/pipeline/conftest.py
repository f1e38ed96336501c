"""Fixtures of the tests of `pipeline`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.bundle import bundle, openvino_archive
from tests.support.crash import Mortal
from tests.support.installation import Installation

unpacked_weights = functools.lru_cache(4)(bundle.unpack)
parsed_manifest = functools.lru_cache(4)(bundle.parse_manifest)
unpacked_network = functools.lru_cache(4)(openvino_archive.unpack)


@pytest.fixture(autouse=True)
def unpacked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse and unpack the files of a bundle once in a test process; each load still validates them.

    That takes a fifth of a second, and `doctor` and corrections load the bundle of the settings.
    They are read as before, so that a test that lets each call fail has as many places to do so.
    """
    monkeypatch.setattr(bundle, "parse_manifest", parsed_manifest)
    monkeypatch.setattr(bundle, "unpack", unpacked_weights)
    monkeypatch.setattr(openvino_archive, "unpack", unpacked_network)


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Mortal:
    """What dies at the n-th change of a file."""
    return Mortal(monkeypatch)


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Installation]:
    """An installation with the usual settings, in which no worker has been yet."""
    pawsort = Installation(tmp_path)
    yield pawsort
    pawsort.close()
