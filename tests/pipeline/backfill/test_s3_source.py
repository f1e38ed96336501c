"""Photos in S3: listed in order, fetched into bounded folders, with a store that answers wrongly."""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.backfill import load_files, parts
from pipeline.backfill.load import Loading, note_all
from pipeline.backfill.load_files import file_all
from pipeline.backfill.plan import plan
from pipeline.backfill.s3_source import S3Source
from pipeline.backfill.source import FolderSource, Listed, open_source
from pipeline.backfill.storage import s3_connection
from pipeline.backfill.storage.s3_staging import Staging
from pipeline.backfill.work import WAITS
from pipeline.errors import PawsortError, SettingsError
from tests.pipeline.backfill.conftest import ANSWERS, Archive
from tests.support.backfill_runs import run_of
from tests.support.crash import Death
from tests.support.installation import QUICK, Installation
from tests.support.s3_server import Fault, Store
from tests.support.stub_classifier import BUNDLE

pytest.importorskip("pyarrow", reason="pyarrow is not installed: `make cluster` runs this")

pytestmark = pytest.mark.usefixtures("memory")

NAMES = ("a.jpg", "b/c.jpg", "b-d.jpg", "b.jpg", "b.xmp", "b/x/y.jpg", "ä ü+.jpg", "z.jpg")


@pytest.fixture
def photos(store: Store) -> Store:
    for n, name in enumerate(NAMES):
        store.put(f"pets/{name}", b"%d<cat>" % n)
    store.put("pets2/no.jpg", b"<cat>")
    return store


def test_a_listing_has_the_order_and_the_groups_of_a_folder(photos: Store, tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photos.objects[f"pets/{name}"].content)
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))
    expected = list(FolderSource(os.fsencode(folder)).list())
    assert list(S3Source(photos.source).list()) == expected
    assert [one.path for one in expected] == sorted(one.path for one in expected)
    assert [one.companions for one in expected if one.companions] == [(b"b.xmp",)]


def test_patterns_leave_out_and_companions_may_be_photos(photos: Store) -> None:
    source = open_source(photos.source, ["b/**", "z.*"], companions=False)
    assert [one.path.decode() for one in source.list()] == ["a.jpg", "b-d.jpg", "b.jpg", "b.xmp", "ä ü+.jpg"]


def test_a_photo_is_fetched_with_its_time_and_removed_with_the_source(
    photos: Store, memory: Path, tmp_path: Path
) -> None:
    source = S3Source(photos.source)
    for listed in source.list():
        path = Path(os.fsdecode(source.local(listed, tmp_path)))
        assert memory in path.parents
        assert path.read_bytes() == photos.objects[f"pets/{os.fsdecode(listed.path)}"].content
        assert path.stat().st_mtime_ns == listed.mtime_ns == 1_700_000_000 * 10**9
        assert path.stat().st_mode & 0o077 == 0
    assert len(os.listdir(memory)) == 1
    del source
    gc.collect()
    assert os.listdir(memory) == []


def test_a_large_object_is_fetched_in_pieces(
    photos: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_connection, "PIECE_BYTES", 1000)
    photos.put("pets/large.jpg", bytes(range(256)) * 20)
    source = S3Source(photos.source)
    path = source.local(Listed(b"large.jpg", 5120, 0), tmp_path)
    assert Path(os.fsdecode(path)).read_bytes() == bytes(range(256)) * 20
    assert photos.requests.count(("GET", "pets/large.jpg")) == 6


def test_what_does_not_fit_into_memory_is_on_the_disk(photos: Store, memory: Path, tmp_path: Path) -> None:
    staging, disk = Staging(memory, most=10), tmp_path / "disk"
    disk.mkdir()
    paths = [staging.new_path(size, disk) for size in (6, 4, 1, 100)]
    assert [memory in path.parents for path in paths] == [True, True, False, False]
    paths[0].unlink()
    assert memory in staging.new_path(5, disk).parents
    staging.clear()
    assert os.listdir(memory) == os.listdir(disk) == []


def test_folders_of_killed_processes_are_removed(memory: Path, tmp_path: Path) -> None:
    (memory / "pawsort-s3-999999999-x").mkdir()
    (memory / f"pawsort-s3-{os.getpid()}-x").mkdir()
    Staging(memory).new_path(1, tmp_path)
    assert "pawsort-s3-999999999-x" not in os.listdir(memory)
    assert f"pawsort-s3-{os.getpid()}-x" in os.listdir(memory)
    os.rmdir(memory / f"pawsort-s3-{os.getpid()}-x")


def test_an_object_above_the_limit_is_not_fetched(photos: Store, tmp_path: Path) -> None:
    source = S3Source(photos.source, largest=3)
    path = source.local(Listed(b"a.jpg", 6, 0), tmp_path)
    assert os.path.getsize(path) == 6
    assert ("GET", "pets/a.jpg") not in photos.requests


def test_an_object_that_is_gone_is_no_file(photos: Store, tmp_path: Path) -> None:
    assert not os.path.exists(S3Source(photos.source).local(Listed(b"none.jpg", 6, 0), tmp_path))


@pytest.mark.parametrize("fault", ["error", "reset", "cut", "refused"])
def test_a_store_that_does_not_recover_raises(
    photos: Store, memory: Path, tmp_path: Path, fault: Fault
) -> None:
    source = S3Source(photos.source)
    photos.fault = lambda method, key: fault if method == "GET" else None
    with pytest.raises(OSError, match=r"s3://photos/pets/a\.jpg"):
        source.local(Listed(b"a.jpg", 6, 0), tmp_path)
    [folder] = memory.iterdir()
    assert os.listdir(folder) == []


def test_an_object_that_ends_too_early_is_an_error(
    photos: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Short(io.BytesIO):
        def metadata(self) -> dict[str, bytes]:
            return {"Content-Length": b"9", "Last-Modified": b"2026-01-01T00:00:00Z"}

    source = S3Source(photos.source)
    stands_in = SimpleNamespace(open_input_stream=lambda *_, **__: Short(b"12345"))
    monkeypatch.setattr(source, "_connected", lambda: stands_in)
    with pytest.raises(OSError, match="ended after 5 of 9 bytes"):
        source.local(Listed(b"a.jpg", 9, 0), tmp_path)


def test_an_answer_that_is_too_slow_is_asked_for_again(
    photos: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_connection, "REQUEST_SECONDS", 0.3)
    source = S3Source(photos.source)
    slow = iter([True])
    photos.fault = lambda method, key: "slow" if method == "GET" and next(slow, False) else None
    assert Path(os.fsdecode(source.local(Listed(b"a.jpg", 6, 0), tmp_path))).read_bytes() == b"0<cat>"


@pytest.mark.parametrize("fault", ["error", "reset"])
def test_a_list_survives_some_errors_and_is_whole_or_none(photos: Store, fault: Fault) -> None:
    expected = list(S3Source(photos.source).list())
    numbers = iter(range(10**6))
    photos.fault = lambda method, key: fault if next(numbers) % 3 == 1 else None
    assert list(S3Source(photos.source).list()) == expected
    photos.fault = lambda method, key: fault if key.startswith("pets/b/x") else None
    with pytest.raises(PawsortError, match=r"pets/b/x.*cannot be listed"):
        list(S3Source(photos.source).list())


def test_a_prefix_without_objects_is_refused(photos: Store, archive: Archive) -> None:
    for text in (photos.source.replace("pets", "none"), photos.source.replace("photos", "nobucket")):
        with pytest.raises(PawsortError, match="there is no object below it"):
            plan(archive.settings, BUNDLE, open_source(text), archive.run)


@pytest.mark.parametrize(
    "text", ["s3://", "s3:///pets", "s3://key:secret@photos", "s3://photos?password=1", "s3://photos#1"]
)
def test_a_text_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="expected s3://BUCKET/PREFIX"):
        open_source(text)


# --- a run -------------------------------------------------------------------------------------------------


def filled(store: Store, archive: Archive, count: int = 30) -> None:
    for n in range(count):
        store.put(f"pets/{n:03}.jpg", ANSWERS[n % 5] + b"%d" % n)
    plan(archive.settings, BUNDLE, open_source(store.source), archive.run, size=10)


def outcomes(archive: Archive) -> list[str]:
    found = sorted(parts.numbers(archive.run / "results"))
    return [row.outcome for number in found for row in parts.read_results(archive.run, number)]


EXPECTED = ["cats", "dogs", "uncertain", "uncertain", "failed"] * 6


def test_a_run_gives_the_answers_of_a_folder(store: Store, archive: Archive, memory: Path) -> None:
    filled(store, archive)
    source = open_source(store.source)
    assert [archive.worker(source).do(number).problem for number in range(3)] == [None] * 3
    assert outcomes(archive) == EXPECTED
    row = parts.read_results(archive.run, 2)[0]
    assert (row.path, row.dev, row.ino, row.mtime_ns) == (b"020.jpg", 0, 0, 1_700_000_000 * 10**9)
    assert [os.listdir(folder) for folder in memory.iterdir()] == [[]]


@pytest.mark.parametrize("seed", range(3))
def test_a_run_goes_through_errors_of_each_kind(
    store: Store, archive: Archive, seed: int, memory: Path
) -> None:
    filled(store, archive)
    faults: list[Fault | None] = ["error", None, "reset", None, None, "cut", None, None, None, "error", None]
    numbers = iter(range(seed, 10**9))
    worker = archive.worker(open_source(store.source))
    store.fault = lambda method, key: faults[next(numbers) * 7 % len(faults)]
    for number in range(3):
        assert worker.do(number).problem is None
    assert outcomes(archive) == EXPECTED
    assert [os.listdir(folder) for folder in memory.iterdir()] == [[]]


def test_a_part_that_stays_away_is_named_and_the_others_go_on(store: Store, archive: Archive) -> None:
    filled(store, archive)
    worker = archive.worker(open_source(store.source))
    store.fault = lambda method, key: "error" if key.startswith("pets/01") and method != "LIST" else None
    problems = [worker.do(number).problem for number in range(3)]
    assert problems[::2] == [None, None]
    assert problems[1] and "pets/01" in problems[1]
    assert archive.waited == list(WAITS)
    store.fault = lambda method, key: None
    assert worker.do(1).problem is None
    assert outcomes(archive) == EXPECTED


def test_an_object_that_was_replaced_is_answered_as_it_is_now(store: Store, archive: Archive) -> None:
    filled(store, archive)
    store.put("pets/003.jpg", b"now a <dog>", 1_700_000_500)
    del store.objects["pets/004.jpg"]
    archive.worker(open_source(store.source)).do(0)
    replaced, gone = parts.read_results(archive.run, 0)[3:5]
    assert (replaced.outcome, replaced.bytes, replaced.mtime_ns) == ("dogs", 11, 1_700_000_500 * 10**9)
    assert (gone.outcome, gone.reason, gone.sha256) == ("failed", "unreadable", None)


# --- into the ledger ---------------------------------------------------------------------------------------


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setattr(load_files, "load_bundle", lambda settings: BUNDLE)
    return Installation(tmp_path / "here", QUICK)


def answered_run(store: Store, there: Installation, run: Path) -> None:
    """Make a run, of 2 parts, whose objects lie in a folder too."""
    folder = run.with_name("copy")
    for n, name in enumerate(("a.jpg", "b.jpg", "b.xmp", "c/a.jpg", "d.jpg", "e.jpg")):
        content = b"%d" % n + ANSWERS[n % 5]
        store.put(f"pets/{name}", content)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    source = S3Source(store.source)
    run_of(run, there.settings, source.name, list(source.list()), folder, size=3)


def test_objects_are_noted_by_their_urls(store: Store, there: Installation, tmp_path: Path) -> None:
    answered_run(store, there, tmp_path / "run")
    note_all(Loading(tmp_path / "run", there.settings), there.settings, there.engine, there.engine)
    assert there.rows("inbox, path, outcome", "name = 'a.jpg'") == [
        ("s3://photos/pets", "s3://photos/pets/a.jpg", "cats"),
        ("s3://photos/pets", "s3://photos/pets/c/a.jpg", "uncertain"),
    ]


def test_objects_are_filed_with_their_companions_and_stay(
    store: Store, there: Installation, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    answered_run(store, there, run)
    there.settings.sorted.mkdir(exist_ok=True)
    done = file_all(Loading(run, there.settings), there.settings)
    assert (done.photos, done.left, done.gone, done.refused) == (5, 0, 0, {})
    assert there.sorted() == {
        "cats/a.jpg", "cats/e.jpg", "dogs/b.jpg", "dogs/b.xmp", "uncertain/c/a.jpg", "failed/d.jpg",
    }  # fmt: skip
    assert len(store.objects) == 6
    assert sorted(os.listdir(run)) == ["lists", "results", "run.json"]
    assert file_all(Loading(run, there.settings), there.settings).photos == 0


def test_a_kill_while_objects_are_filed_loses_none(
    store: Store, there: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    answered_run(store, there, run)
    with monkeypatch.context() as patch:
        patch.setattr(S3Source, "fetch", _dying(S3Source.fetch, 5))
        with pytest.raises(Death):
            file_all(Loading(run, there.settings), there.settings)
    done = file_all(Loading(run, there.settings), there.settings)
    assert (done.before, done.photos) == (1, 2)
    assert len(there.rows(condition="state = 'filed'")) == 5


def _dying(fetch: Callable[..., None], at: int) -> Callable[..., None]:
    numbers = iter(range(1, 10**6))

    def dying(*given: object) -> None:
        if next(numbers) == at:
            raise Death
        fetch(*given)

    return dying


def test_an_object_that_is_gone_or_changed_is_not_filed_by_its_answer(
    store: Store, there: Installation, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    answered_run(store, there, run)
    del store.objects["pets/a.jpg"]
    store.put("pets/e.jpg", b"other<dog>", 1_700_000_777)
    done = file_all(Loading(run, there.settings), there.settings)
    assert (done.photos, done.gone, done.left) == (4, 1, 1)
    there.run_worker()
    assert there.rows("outcome", "name = 'e.jpg'") == [("dogs",)]


def test_objects_cannot_be_linked(store: Store, tmp_path: Path) -> None:
    there = Installation(tmp_path / "linking", QUICK + "filing: {action: hardlink}\n")
    answered_run(store, there, tmp_path / "run")
    with pytest.raises(SettingsError, match="hardlink needs files on this machine"):
        file_all(Loading(tmp_path / "run", there.settings), there.settings)
