"""People at work in `sorted` beside a worker, and the worker killed meanwhile."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import by_hand
from tests.support.fork_server import ForkServer
from tests.support.forked_installation import ForkedInstallation

OPERATIONS = 120
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("kills", [False, True], ids=["steady", "killed"])
def test_what_people_do_by_hand_is_recorded_and_nothing_is_lost(
    tmp_path: Path, fork_server: ForkServer, kills: bool
) -> None:
    with ForkedInstallation(tmp_path, fork_server, by_hand.SETTINGS) as pawsort:
        done = by_hand.torment(pawsort, OPERATIONS, seed=1 + kills, kills=kills)
        assert len(pawsort.workers) > 1 or not kills
    assert set(done) >= {"move", "rename", "delete", "add", "edit", "copy", "swap"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk under the folder of a class."""
    cats = tmp_path / "sorted" / "cats"
    cats.mkdir(parents=True)
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", cats], check=False).returncode:
        pytest.skip("no right to mount a disk")
    yield cats
    subprocess.run(["umount", "-l", cats], check=False, capture_output=True)


def test_a_disk_that_is_unmounted_takes_no_photo_along(
    tmp_path: Path, fork_server: ForkServer, disk: Path
) -> None:
    with ForkedInstallation(tmp_path, fork_server, by_hand.SETTINGS) as pawsort:
        for n in range(9):
            pawsort.drop(f"{n}.jpg", b"%d<cat>" % n)
        pawsort.start()
        pawsort.wait_until_filed()
        pawsort.wait_until_watching()
        subprocess.run(["umount", "-l", disk], check=True)
        said = "files are missing"
        pawsort.wait(lambda: pawsort.beat and said in " ".join(pawsort.beat.reasons), said)
        pawsort.drop("dog.jpg", b"1<dog>")
        pawsort.wait_until_filed()
        os.rename(tmp_path / "sorted/dogs/dog.jpg", tmp_path / "sorted/uncertain/dog.jpg")
        pawsort.wait(lambda: pawsort.rows("id", "outcome = 'uncertain'"), "the other folders to be followed")
        assert pawsort.rows("count(*)", "state = 'filed' AND outcome = 'cats'") == [(9,)]
