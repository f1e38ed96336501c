"""Worker and people at work on the same files, and each killed at random."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fork_server import ForkServer
from tests.support.forked_installation import ForkedInstallation
from tests.support.installation import QUICK

ROUNDS = 9
MEMORY = Path("/dev/shm")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["by rename", "by copy"])
def busy(
    request: pytest.FixtureRequest, tmp_path: Path, fork_server: ForkServer
) -> Iterator[ForkedInstallation]:
    """An installation whose inboxes are on another file system, or not."""
    text, far = QUICK, None
    if request.param == "by copy":
        if not MEMORY.is_dir():
            pytest.skip("there is no other file system here")
        far = tempfile.mkdtemp(prefix="pawsort-far-", dir=MEMORY)
        text = text.replace("[inbox, scans]", f"[{far}/inbox, {far}/scans]")
    with ForkedInstallation(tmp_path, fork_server, text) as pawsort:
        yield pawsort
    if far:
        shutil.rmtree(far)


@pytest.mark.fault(58)
def test_whoever_is_killed_no_file_is_lost_or_there_twice(busy: ForkedInstallation) -> None:
    pawsort, chance = busy, random.Random(1)
    worker = pawsort.start()
    pawsort.wait_until_watching()
    for number in range(ROUNDS):
        people = pawsort.start(people=number)
        for part in range(8):
            kind = chance.choice((b"cat", b"dog", b"unsure", b"truncated"))
            pawsort.drop(f"{part}/{number}.jpg", b"%d %d<%s>" % (number, part, kind), part % 2)
        pawsort.wait(lambda number=number: len(pawsort.rows("id")) >= 8 * number, "what came before")
        # On a busy machine a person would otherwise be killed before the first correction.
        if number:
            pawsort.wait(lambda: _corrected(pawsort), "a correction")
        if number % 3 == 2:
            worker.kill()
        people.kill()
        worker = pawsort.start() if worker.state in "XZ" else worker
    worker.kill()
    pawsort.ends_well(corrected=True)
    assert "Traceback" not in pawsort.log, pawsort.log[-3000:]
    assert _corrected(pawsort), "nothing was corrected"


def _corrected(pawsort: ForkedInstallation) -> list[tuple[int]]:
    return pawsort.rows("id", "corrected_to IS NOT NULL OR state = 'undone'")
