"""`backfill plan`, `run` and `check`, with parts that are done in this process."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from pipeline.backfill import load_files, on_ray
from pipeline.backfill.on_ray import Cluster
from pipeline.backfill.run import Executor
from pipeline.backfill.source import open_source
from pipeline.backfill.work import Done, PartWorker, Work
from pipeline.corrections.refused import NOTED_ONLY
from tests.pipeline.backfill.conftest import parquet as parquet
from tests.pipeline.backfill.conftest import store as store
from tests.pipeline.cli.conftest import Run
from tests.support.backfill_runs import finished_run, tree
from tests.support.installation import QUICK, Installation
from tests.support.s3_server import Store
from tests.support.stub_classifier import BUNDLE, StubClassifier


@pytest.fixture
def clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cluster]:
    """An archive of five photos; the clusters that were asked."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: `make cluster` runs this")
    (tmp_path / "archive").mkdir()
    for number in range(5):
        (tmp_path / "archive" / f"{number}.jpg").write_bytes(b"<cat>")
    asked: list[Cluster] = []

    def here(cluster: Cluster) -> Executor:
        asked.append(cluster)

        def executor(work: Work, numbers: Sequence[int]) -> Generator[Done | None]:
            worker = PartWorker(work, open_source(work.source), StubClassifier(), tmp_path)
            for number in numbers:
                yield worker.do(number)

        return executor

    monkeypatch.setattr(on_ray, "on_ray", here)
    monkeypatch.setattr(on_ray, "missing_package", lambda: None)
    return asked


def test_an_archive_is_planned_classified_and_checked(run: Run, clusters: list[Cluster]) -> None:
    planned = run("backfill", "plan", "archive", "--out", "made", "--part", "2")
    assert (planned.code, planned.out) == (
        0,
        "5 photos in 3 parts; now: pawsort backfill run made\n",
    )
    assert run("backfill", "check", "made").code == 1
    done = run("backfill", "run", "made", "--ray", "10.0.0.1:6379", "--cores", "4")
    assert (done.code, done.out) == (0, "3 parts with 5 photos done now, 0 parts before\n")
    assert [(cluster.address, cluster.cores) for cluster in clusters] == [("10.0.0.1:6379", 4)]
    again = run("backfill", "run", "made", "--json")
    assert json.loads(again.out)["before"] == 3
    checked = run("backfill", "check", "made")
    assert (checked.code, checked.out) == (0, "each photo has exactly one result\n")


def test_a_run_may_be_on_s3(run: Run, clusters: list[Cluster], store: Store) -> None:
    address = store.address("runs/one")
    planned = run("backfill", "plan", "archive", "--out", address)
    assert planned.out == f"5 photos in 1 parts; now: pawsort backfill run '{address}'\n"
    assert run("backfill", "run", address).out == "1 parts with 5 photos done now, 0 parts before\n"
    assert run("backfill", "check", address).out == "each photo has exactly one result\n"
    refused = run("backfill", "check", "s3://photos/run?password=1")
    assert (refused.code, "expected s3://BUCKET/PREFIX" in refused.err) == (2, True)


def test_a_part_that_fails_is_named(run: Run, clusters: list[Cluster], tmp_path: Path) -> None:
    run("backfill", "plan", "archive", "--out", "made", "--part", "2")
    (tmp_path / "made" / "results" / "part-00001.parquet").mkdir()  # no file can be put there
    ended = run("backfill", "run", "made")
    assert ended.code == 1
    assert "2 parts with 3 photos done now" in ended.out
    assert "pawsort: part 1 failed: " in ended.err
    checked = run("backfill", "check", "made", "--json")
    assert [problem["part"] for problem in json.loads(checked.out)] == [1]


def test_a_run_that_does_not_fit_is_refused(run: Run, clusters: list[Cluster], tmp_path: Path) -> None:
    run("backfill", "plan", "archive", "--out", "made")
    (tmp_path / "config.yaml").write_text("decision: {min_confidence: 0.6}")
    refused = run("backfill", "run", "made")
    assert refused.code == 2
    assert "threshold: planned with" in refused.err
    assert clusters == []
    assert list((tmp_path / "made" / "results").iterdir()) == []


def test_what_is_not_there_is_said(run: Run, clusters: list[Cluster]) -> None:
    assert run("backfill", "plan", "nowhere", "--out", "made").code == 2
    assert run("backfill", "run", "made").code == 2
    assert run("backfill", "check", "made").code == 2


@pytest.mark.parametrize("words", ["plan archive --out made", "run made", "check made", "load made"])
def test_without_the_extra_it_says_what_to_install(
    run: Run, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "find_spec", lambda _: None)
    refused = run("backfill", *words.split())
    assert refused.code == 1
    assert "pyarrow is not installed; run `" in refused.err


@pytest.fixture
def there(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation in the folder of the commands, and the finished run `run` of four photos."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: `make cluster` runs this")
    monkeypatch.setattr(load_files, "load_bundle", lambda settings: BUNDLE)
    monkeypatch.setattr(on_ray, "missing_package", lambda: None)
    there = Installation(tmp_path, QUICK)
    contents = {"a.jpg": b"a<cat>", "b.jpg": b"b<dog>", "c.jpg": b"a<cat>", "d.jpg": b"d<corrupt>"}
    finished_run(tmp_path / "run", there.settings, tree(tmp_path / "archive", contents), size=3)
    return there


def test_a_run_is_loaded_once(run: Run, there: Installation) -> None:
    done = run("backfill", "load", "run")
    assert (done.code, done.out) == (
        0, "4 photos of 2 parts loaded now, 0 parts before\n2 cats, 1 dogs, 1 failed; 1 of them duplicates\n",
    )  # fmt: skip
    assert json.loads(run("backfill", "load", "run", "--json").out)["before"] == 2
    assert "archive/c.jpg" in run("query", "--outcome", "noted", "--format", "csv").out
    assert '"noted": 4' in run("status", "--json").out
    done = run("correct", "archive/a.jpg", "--as", "dog")
    assert (done.code, NOTED_ONLY in done.err + done.out) == (1, True)
    assert run("doctor").code == 0


def test_a_run_is_filed(run: Run, there: Installation) -> None:
    (there.folder / "archive" / "b.jpg").write_bytes(b"another")
    done = run("backfill", "load", "run", "--file")
    assert done.code == 0
    assert "1 photos were changed since, or wait" in done.out
    assert there.sorted() == {"cats/a.jpg", "cats/c.jpg", "failed/d.jpg"}
    done = run("backfill", "load", "run")
    assert (done.code, "was loaded with --file" in done.err) == (2, True)
