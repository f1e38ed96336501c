from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from models.quick_imports import uncollected


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    """Start with the garbage collector on, and leave it on."""
    gc.enable()
    yield
    gc.enable()


def test_the_garbage_collector_is_paused_and_then_leaves_out_what_there_is() -> None:
    gc.unfreeze()
    with pytest.raises(ImportError), uncollected():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled() and gc.get_freeze_count() > 10_000


def test_a_garbage_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
