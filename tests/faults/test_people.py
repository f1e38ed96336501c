"""Worker and people at work on the same files, and each killed at random."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fault_site import Site
from tests.support.forked_worker import SETTINGS, Nursery

ROUNDS = 9
MEMORY = Path("/dev/shm")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["by rename", "by copy"])
def busy(request: pytest.FixtureRequest, tmp_path: Path, nursery: Nursery) -> Iterator[Site]:
    """A site whose inboxes are on another file system, or not."""
    text, far = SETTINGS, None
    if request.param == "by copy":
        if not MEMORY.is_dir():
            pytest.skip("there is no other file system here")
        far = tempfile.mkdtemp(prefix="pawsort-far-", dir=MEMORY)
        text = text.replace("[inbox, scans]", f"[{far}/inbox, {far}/scans]")
    with Site(tmp_path, nursery, text) as site:
        yield site
    if far:
        shutil.rmtree(far)


@pytest.mark.fault(58)
def test_whoever_is_killed_no_file_is_lost_or_there_twice(busy: Site) -> None:
    site, chance = busy, random.Random(1)
    worker = site.start()
    site.wait_until_watching()
    for number in range(ROUNDS):
        people = site.start(people=number)
        for part in range(8):
            kind = chance.choice((b"cat", b"dog", b"unsure", b"truncated"))
            site.drop(f"{part}/{number}.jpg", b"%d %d<%s>" % (number, part, kind), part % 2)
        site.wait(lambda number=number: len(site.rows("id")) >= 8 * number, "what came before")
        if number % 3 == 2:
            worker.kill()
        people.kill()
        worker = site.start() if worker.state in "XZ" else worker
    worker.kill()
    site.ends_well(corrected=True)
    assert "Traceback" not in site.log, site.log[-3000:]
    assert site.rows("id", "corrected_to IS NOT NULL OR state = 'undone'"), "nothing was corrected"
