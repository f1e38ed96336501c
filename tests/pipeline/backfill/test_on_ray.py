"""Parts that Ray hands out. The tests that need Ray run where it is installed: `make cluster`."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.backfill import on_ray, run_file
from pipeline.backfill.check import check
from pipeline.backfill.on_ray import Cluster, missing_package, share
from pipeline.backfill.run import Summary, run
from pipeline.errors import PawsortError, StalledError
from tests.pipeline.backfill.conftest import ANSWERS, Archive
from tests.support import backfill_actors as actors
from tests.support.ray_cluster import title, tree


@pytest.mark.parametrize(
    ("machines", "cores", "shared"),
    [
        ([8], None, (8, 1)),
        ([8, 8, 0], None, (8, 2)),
        ([8, 64, 20], None, (8, 11)),
        ([8, 64, 20], 20, (20, 4)),
        ([1, 1, 1, 1], None, (1, 4)),
    ],
)
def test_the_smallest_machine_has_one_actor(
    machines: list[int], cores: int | None, shared: tuple[int, int]
) -> None:
    assert share(machines, cores) == shared


def test_a_cluster_without_cpus_is_an_error() -> None:
    for machines, cores in (([], None), ([0], None), ([4, 4], 8)):
        with pytest.raises(PawsortError, match="no machine of the Ray cluster has"):
            share(machines, cores)


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None if name == "ray" else object())
    assert re.match(r"ray is not installed; run `.*(cluster).*`", missing_package() or "")
    monkeypatch.setattr(on_ray, "find_spec", lambda _: object())
    assert missing_package() is None


def test_folders_of_killed_runs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(on_ray, "_LONGEST", 500)
    mine, dead, other = (tmp_path / f"pawsort-ray-{name}" for name in (f"{os.getpid()}-a", "4194305-b", "c"))
    for folder in (mine, dead, other):
        folder.mkdir()
    with on_ray._scratch() as scratch:
        assert Path(scratch).parent == tmp_path
        assert {path.name for path in tmp_path.iterdir()} == {mine.name, other.name, Path(scratch).name}
    assert not Path(scratch).exists()


def test_the_folder_of_ray_has_a_short_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with on_ray._scratch() as scratch:
        assert scratch.startswith("/tmp/pawsort-ray-")


def test_a_driver_that_is_done_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "_drive", actors.drive)
    before = _folders(), _processes()
    done = on_ray.on_ray(Cluster())(None, [3, 5])  # type: ignore[arg-type]
    assert [one.part for one in done if one] == [3, 5]
    assert (_folders(), _processes()) == before


def test_a_driver_that_is_lost_is_an_error_with_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "_drive", actors.drive_until_lost)
    before = _folders(), _processes()
    done = (one for one in on_ray.on_ray(Cluster())(None, [3, 5]) if one)  # type: ignore[arg-type]
    assert next(done).part == 3
    lost = "Ray has ended: killed by SIGABRT: the head is lost; the same command continues the run"
    with pytest.raises(PawsortError, match=lost):
        next(done)
    assert (_folders(), _processes()) == before


@pytest.fixture
def planned(archive: Archive) -> Archive:
    pytest.importorskip("ray", reason="ray is not installed: `make cluster` runs this")
    archive.put(*ANSWERS, *ANSWERS)
    archive.plan(2)
    return archive


def _run(archive: Archive, cluster: Cluster, stalled_seconds: float = 100) -> Summary:
    planned = run_file.read(archive.run)
    return run(planned, archive.work(), on_ray.on_ray(cluster), stalled_seconds)


def _folders() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("pawsort-ray-*")}


def _processes() -> set[int]:
    """The processes below this one, without that of `multiprocessing`, which stays."""
    below = set(tree(os.getpid())) - {os.getpid()}
    return {pid for pid in below if "resource_tracker" not in title(pid)}


def _addresses() -> Iterator[str]:
    """Yield the addresses on which processes below this one listen, as the kernel writes them."""
    sockets = set()
    for pid in _processes():
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(os.readlink(link))
            except OSError:
                continue
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                yield fields[1].partition(":")[0]


def test_each_part_is_done_once_and_nothing_of_ray_stays(planned: Archive) -> None:
    before, heard = (_folders(), _processes()), set[str]()
    executor = on_ray.on_ray(Cluster(cpus=2, cores=1, actor=actors.StubActor))
    for done in executor(planned.work(), range(5)):
        heard |= set(_addresses()) if done else set()
        assert done is None or done.problem is None
    assert list(check(planned.run)) == []
    assert heard <= {"0100007F", "0000000000000000FFFF00000100007F"}, "127.0.0.1 alone"
    assert heard
    assert (_folders(), _processes()) == before


def test_an_unexpected_error_fails_its_part_alone(planned: Archive) -> None:
    summary = _run(planned, Cluster(cpus=1, actor=actors.FailingActor))
    assert summary.parts == 4
    assert list(summary.failed) == [1]
    assert "one of a kind" in summary.failed[1]


def test_a_run_in_which_nothing_finishes_ends_with_all_its_processes(planned: Archive) -> None:
    before, began = (_folders(), _processes()), time.monotonic()
    with pytest.raises(StalledError):
        _run(planned, Cluster(cpus=1, actor=actors.HangingActor), stalled_seconds=25)
    assert time.monotonic() - began < 100
    assert (_folders(), _processes()) == before
    assert _run(planned, Cluster(cpus=1, actor=actors.StubActor)).failed == {}


def test_a_cluster_that_is_not_there_is_an_error(planned: Archive) -> None:
    with pytest.raises((PawsortError, StalledError)):
        _run(planned, Cluster("127.0.0.1:1"), stalled_seconds=30)
