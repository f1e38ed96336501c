"""The soak itself: it counts what it drops, and sees what is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import soak_figures
from benchmarks.soak import Plan, Soak, main
from benchmarks.soak_files import Dropper
from tests.support.oracle import digest, files_below, read


@pytest.fixture
def dropper(tmp_path: Path) -> Dropper:
    inboxes = [tmp_path / "a", tmp_path / "b"]
    for inbox in inboxes:
        inbox.mkdir()
    return Dropper(inboxes, rate=50, poison=0.2, pictures=False, chance=random.Random(1))


def test_what_was_dropped_is_what_lies_there_under_final_names(dropper: Dropper, tmp_path: Path) -> None:
    for tick in range(100):
        dropper.tick(tick / 10)
    dropper.finish()
    contents = [read(path) for path in files_below(tmp_path)]
    assert len(contents) == dropper.count > 400
    assert dropper.expected.total() == dropper.count
    assert set(map(digest, contents)) == set(dropper.expected)
    assert not any(path.endswith(b".part") for path in files_below(tmp_path))
    assert dropper.poisoned > 50 and dropper.duplicated > 5 and dropper.renamed > 1
    assert dropper.bad == {digest(data) for data in contents if b"> poison" in data}


def test_a_bad_share_of_photos_is_cut_off(tmp_path: Path) -> None:
    dropper = Dropper([tmp_path], rate=1, poison=1.0, pictures=True, chance=random.Random(1))
    dropper.tick(2.0)
    dropper.finish()
    assert dropper.poisoned == dropper.count == len(dropper.bad) > 0


def test_a_killed_worker_is_started_again_and_all_is_filed(tmp_path: Path) -> None:
    soak = Soak(tmp_path, Plan(5.0, rate=8.0, kill_seconds=(2.5, 2.5), poison=0.0, calm=0.4))
    figures = soak.run()
    assert figures["well"], figures
    assert figures["kills"] == 1
    assert figures["files"] == figures["rows"] > 10
    assert figures["exit_code"] == 143

    (settings,) = [soak.settings]
    lost = Path(files_below(settings.sorted)[0].decode())
    lost.rename(tmp_path / "lost")
    found = soak_figures.verdict(settings, soak._dropper)
    assert (found["well"], found["lost"], len(found["doctor"])) == (False, 1, 1)


def test_the_figures_of_a_life_are_its_start_its_end_and_its_most() -> None:
    samples = [{"worker_mb": float(n)} for n in range(100)]
    assert soak_figures._ends(samples) == {"worker_mb": {"start": 5.5, "end": 93.5, "most": 99.0}}
    assert soak_figures._ends([]) == {}


def test_a_wrong_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--hours", "long"])
    assert "--hours" in capsys.readouterr().err
