"""The files of a run on S3: whole or not there, whatever the store answers."""

from __future__ import annotations

import io
import logging
import pickle
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.backfill import parts, run_file
from pipeline.backfill.check import check
from pipeline.backfill.parts import DamagedPart, Result
from pipeline.backfill.plan import plan
from pipeline.backfill.run import finished_parts, run
from pipeline.backfill.run_file import RunFile
from pipeline.backfill.source import open_source
from pipeline.backfill.storage import run_path as paths
from pipeline.backfill.storage.run_path import RunPath, S3Path, names, run_path, write_whole
from pipeline.backfill.work import WAITS
from pipeline.errors import SettingsError
from tests.pipeline.backfill.conftest import ANSWERS, Archive
from tests.support.s3_server import Fault, Store
from tests.support.stub_classifier import BUNDLE

pytestmark = pytest.mark.usefixtures("memory", "without_waits")

FAULTS: tuple[Fault, ...] = ("error", "reset", "cut", "unanswered")
LARGE = bytes(range(256)) * (100 << 10)
"""More than PyArrow sends at once."""


@pytest.fixture
def archive(tmp_path: Path, store: Store) -> Archive:
    """An archive whose photos are in the store too, and whose run is there."""
    made = Archive(tmp_path, run_path(store.address("runs/one")))
    for path in made.put(*(ANSWERS[n % 5] + b"%d" % n for n in range(30))):
        store.put(f"pets/{path.name}", path.read_bytes(), int(path.stat().st_mtime))
    return made


def _failing(store: Store, fault: Fault) -> None:
    """Let one of five requests for the run fail, the first one too."""
    numbers = count()
    store.fault = lambda method, key: fault if key.startswith("runs/") and next(numbers) % 5 == 0 else None


def _done(archive: Archive, store: Store, size: int = 4) -> RunFile:
    """Plan a run of the photos in the store, and do it."""
    source = open_source(store.source)
    planned = plan(archive.settings, BUNDLE, source, archive.run, size)
    worker = archive.worker(source)
    summary = run(planned, archive.work(), lambda _, left: (worker.do(number) for number in left), 60)
    assert summary.failed == {}
    return planned


def _rows(where: RunPath, planned: RunFile) -> list[Result]:
    return [row for number in range(planned.parts) for row in parts.read_results(where, number)]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_on_s3_has_the_lists_and_results_of_one_on_a_disk(
    store: Store, archive: Archive, tmp_path: Path, fault: Fault
) -> None:
    _failing(store, fault)
    planned = _done(archive, store)
    assert list(check(archive.run)) == []
    store.fault = lambda method, key: None
    (tmp_path / "local").mkdir()
    local = Archive(tmp_path / "local")
    expected = _done(local, store)
    assert planned == expected
    assert run_file.read(archive.run) == run_file.read(local.run)
    assert _rows(archive.run, planned) == _rows(local.run, expected)
    assert names(archive.run / "lists") == sorted(names(local.run / "lists"))


def test_large_parts_are_read_one_after_the_other() -> None:
    folder = run_path("s3://photos/runs/one")
    assert [paths.at_once(folder, photos) for photos in (1, 2000, 100_000, 1_000_000)] == [16, 16, 4, 1]
    assert paths.at_once(Path("/runs/one"), 2000) == 0


def test_a_file_is_one_put(store: Store) -> None:
    write_whole(run_path(store.address("runs/one/a")), b"PAR1")
    assert store.requests == [("PUT", "runs/one/a")]


def test_a_file_that_ends_too_early_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Short(io.BytesIO):
        def size(self) -> int:
            return 9

        def read_at(self, count: int, at: int) -> bytes:
            return b"12345"[at : at + count]

    monkeypatch.setattr(paths, "connected", lambda _: SimpleNamespace(open_input_file=lambda _: Short()))
    with pytest.raises(OSError, match="ended after 5 of 9 bytes"):
        run_path("s3://photos/runs/one/a").read_bytes()


def test_a_part_that_is_done_twice_is_done_once(store: Store, archive: Archive) -> None:
    planned = _done(archive, store)
    rows = _rows(archive.run, planned)
    for number in range(planned.parts):
        assert archive.worker(open_source(store.source)).do(number).problem is None
    assert {found.writes for key, found in store.objects.items() if key.startswith("runs/")} == {1}
    parts.write_results(archive.run, parts.Mark(planned.digest, 1), rows[4:8])  # by another machine
    assert _rows(archive.run, planned) == rows
    assert list(check(archive.run)) == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("content", [b"PAR1", LARGE], ids=["small", "large"])
def test_a_write_is_repeated_and_whole(store: Store, fault: Fault, content: bytes) -> None:
    path = run_path(store.address("runs/one/a"))
    failed = iter([fault])
    store.fault = lambda method, key: next(failed, None) if method == "PUT" else None
    write_whole(path, content)
    assert path.read_bytes() == content == store.objects["runs/one/a"].content


@pytest.mark.parametrize("fault", ["error", "reset", "refused"])
@pytest.mark.parametrize("content", [b"PAR1", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("before", [None, b"before"])
def test_a_write_that_fails_leaves_no_half(
    store: Store, fault: Fault, content: bytes, before: bytes | None
) -> None:
    path = run_path(store.address("runs/one/a"))
    if before:
        write_whole(path, before)
    puts = count()
    of_large = len(content) > 4  # of which one piece arrives
    store.fault = lambda method, key: fault if method == "PUT" and next(puts) >= of_large else None
    with pytest.raises(OSError, match="AWS Error") as failed:
        write_whole(path, content)
    assert failed.value.filename == "s3://photos/runs/one/a"
    found = store.objects.get("runs/one/a")
    assert (found and found.content) == before


def test_a_part_whose_results_cannot_be_stored_is_tried_again_and_named(
    store: Store, archive: Archive
) -> None:
    source = open_source(store.source)
    planned = plan(archive.settings, BUNDLE, source, archive.run, 10)
    worker = archive.worker(source)
    store.fault = lambda method, key: "error" if method == "PUT" and key.endswith("1.parquet") else None
    problems = [worker.do(number).problem for number in range(planned.parts)]
    assert problems[::2] == [None, None]
    assert "runs/one/results/part-00001.parquet: " in (problems[1] or "")
    assert archive.waited == list(WAITS)
    assert finished_parts(archive.run, planned) == {0, 2}
    store.fault = lambda method, key: None
    assert worker.do(1).problem is None
    assert list(check(archive.run)) == []


def test_a_list_that_cannot_be_read_now_is_not_called_damaged(store: Store, archive: Archive) -> None:
    _done(archive, store)
    store.fault = lambda method, key: "error" if key.startswith("runs/") else None
    for read in (parts.read_list, parts.read_results, parts.read_mark):
        with pytest.raises(OSError, match="AWS Error"):
            read(archive.run, 1)
    store.fault = lambda method, key: None
    store.put("runs/one/results/part-00001.parquet", b"PAR1")
    with pytest.raises(DamagedPart, match=r"s3://photos/runs/one/results/part-00001\.parquet.*: is damaged"):
        parts.read_results(archive.run, 1)


def test_a_mark_is_read_from_the_end_of_the_file(
    store: Store, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = _done(archive, store)
    expected, asked = parts.read_mark(archive.run, 2), list[int | None]()
    real = S3Path.read_bytes

    def read(path: S3Path, last: int | None = None) -> bytes:
        asked.append(last)
        return real(path, last)

    monkeypatch.setattr(S3Path, "read_bytes", read)
    monkeypatch.setattr(parts, "_END_BYTES", 5000)
    assert len(store.objects["runs/one/results/part-00002.parquet"].content) > 5000
    assert parts.read_mark(archive.run, 2) == expected == (parts.Mark(planned.digest, 2), 4)
    assert asked == [5000]


def test_a_plan_is_never_replaced_and_its_source_has_no_run_inside(store: Store, archive: Archive) -> None:
    source = open_source(store.source)
    plan(archive.settings, BUNDLE, source, archive.run)
    with pytest.raises(SettingsError, match="has a run already"):
        plan(archive.settings, BUNDLE, source, archive.run)
    for inside in ("pets", "pets/run"):
        with pytest.raises(SettingsError, match="lies in the source"):
            plan(archive.settings, BUNDLE, source, run_path(store.address(inside)))
    plan(archive.settings, BUNDLE, source, run_path(store.address("pets-run")))


def test_a_run_that_is_not_there_or_cannot_be_read_is_said(store: Store, archive: Archive) -> None:
    with pytest.raises(SettingsError, match=r"runs/one/run\.json.*: no such file; `pawsort backfill plan"):
        list(check(archive.run))
    store.fault = lambda method, key: "refused"
    with pytest.raises(SettingsError, match=r"runs/one/run\.json.*: cannot be read: .*ACCESS_DENIED"):
        list(check(archive.run))


def test_an_address_is_sent_as_text_and_written_as_it_was_given(store: Store) -> None:
    text = store.address("runs/one")
    path = run_path(text)
    assert str(path) == text
    assert pickle.loads(pickle.dumps(path)) == path
    assert (path.name, str(path / "a")) == ("one", store.address("runs/one/a"))
    with pytest.raises(SettingsError, match="expected s3://BUCKET/PREFIX"):
        run_path("s3://photos/run?password=1")


def test_what_is_gone_is_no_error_twice(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = run_path(store.address("runs/one/a"))
    path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match="s3://photos/runs/one/a"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="s3://photos/runs/one/a"):
        path.read_bytes()
    assert caplog.records == []  # it is not asked for again
