"""Fixtures of the tests that make faults happen."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.injection import UNPRIVILEGED, others_read
from tests.support.fork_server import ForkServer
from tests.support.forked_installation import ForkedInstallation

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """What starts workers; one for all tests."""
    fork_server = ForkServer()
    yield fork_server
    fork_server.close()


@pytest.fixture
def pawsort(tmp_path: Path, fork_server: ForkServer) -> Iterator[ForkedInstallation]:
    """Two inboxes, and workers on them."""
    pawsort = ForkedInstallation(tmp_path, fork_server)
    yield pawsort
    pawsort.close()


@pytest.fixture
def unprivileged(fork_server: ForkServer) -> Iterator[ForkedInstallation]:
    """An installation in a folder of another user, who may enter it."""
    if not others_read(Path(__file__)):
        pytest.skip(f"user {UNPRIVILEGED} cannot read the program in {ROOT}: a folder above it is closed")
    folder = Path(tempfile.mkdtemp(prefix="pawsort-fault-"))
    pawsort = ForkedInstallation(folder, fork_server)
    for path in (folder, *pawsort.settings.inboxes):
        os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    yield pawsort
    pawsort.close()
    shutil.rmtree(folder)
