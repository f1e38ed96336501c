"""Fixtures of the tests that make faults happen."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.injection import UNPRIVILEGED
from tests.support.fault_site import Site
from tests.support.forked_worker import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """What gives birth to workers; one for all tests."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def site(tmp_path: Path, nursery: Nursery) -> Iterator[Site]:
    """Two inboxes, and workers on them."""
    site = Site(tmp_path, nursery)
    yield site
    site.close()


@pytest.fixture
def shared_site(nursery: Nursery) -> Iterator[Site]:
    """A site in a folder that another user may enter, and that is his."""
    folder = Path(tempfile.mkdtemp(prefix="pawsort-fault-"))
    site = Site(folder, nursery)
    for path in (folder, *site.settings.inboxes):
        os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    yield site
    site.close()
    shutil.rmtree(folder)
