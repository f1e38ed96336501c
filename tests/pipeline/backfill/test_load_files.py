"""The photos of a run filed by its answers, through the worker's steps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from db.connection.engine import open_database, upgrade
from db.ledger import backfill
from db.ledger.ledger import Ledger
from db.queries import listing
from pipeline.backfill import load_files, recorded_answers
from pipeline.backfill.load import Loaded, Loading, note_all
from pipeline.backfill.load_files import Filer, file_all
from pipeline.backfill.s3_source import fetched_into
from pipeline.backfill.storage.run_path import RunPath, run_path
from pipeline.classifier import file_checks
from pipeline.errors import LockError, PawsortError, SettingsError
from pipeline.worker.identity import own_rows
from pipeline.worker.locks import worker_lock
from tests.db.conftest import create_database
from tests.db.conftest import postgres as postgres
from tests.support.backfill_runs import finished_run, stored_run, tree
from tests.support.crash import Mortal
from tests.support.installation import QUICK, Installation
from tests.support.oracle import conserved, digest
from tests.support.s3_server import Store
from tests.support.stub_classifier import BUNDLE, StubClassifier

pytest.importorskip("pyarrow", reason="pyarrow is not installed: `make cluster` runs this")

PHOTOS = {
    "a.jpg": b"a<cat>", "b.jpg": b"b<dog>", "b.xmp": b"of b", "c.jpg": b"c<unsure>", "d.jpg": b"d<corrupt>",
    "e.jpg": b"a<cat>", "f/a.jpg": b"f<cat>", "f/g.jpg": b"b<dog>", "h.jpg": b"d<corrupt>", "i.jpg": b"",
}  # fmt: skip
ALL = "source_path, outcome, reason, duplicate_of, companions, sha256"


@pytest.fixture(autouse=True)
def bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_files, "load_bundle", lambda settings: BUNDLE)


def installation(folder: Path, action: str = "move", store: Store | None = None) -> Installation:
    """Make an installation, and a run of 3 parts beside it, with its source; with a store, both are in it."""
    there = Installation(folder / "here", QUICK + f"filing: {{action: {action}}}\n")
    tree(folder / "archive", PHOTOS)
    if store:
        stored_run(run_of(there, store), there.settings, store, folder / "archive")
    else:
        finished_run(run_of(there), there.settings, folder / "archive")
    return there


def run_of(there: Installation, store: Store | None = None) -> RunPath:
    """Return where the run of an installation is."""
    beside = there.folder.with_name("run")
    return run_path(store.address(f"runs/{beside.parent.name}")) if store else beside


def loaded(there: Installation, store: Store | None = None) -> Loaded:
    return file_all(Loading(run_of(there, store), there.settings), there.settings, now=there.now)


def of_source(there: Installation, action: str = "move") -> None:
    """Check that each photo is filed once, or is where it was."""
    source = there.folder.with_name("archive")
    settings = there.settings.model_copy(update={"inboxes": (source,), "inbox_actions": ()})
    conserved(settings, PHOTOS.values())


def test_each_photo_is_filed_by_its_answer(tmp_path: Path) -> None:
    there = installation(tmp_path)
    done = loaded(there)
    assert (done.parts, done.photos, done.duplicates, done.gone, done.left) == (3, 9, 3, 0, 0)
    assert dict(done.outcomes) == {"cats": 3, "dogs": 2, "uncertain": 1, "failed": 3}
    of_source(there)
    assert there.sorted() == {
        "cats/a.jpg", "cats/e.jpg", "cats/f/a.jpg", "dogs/b.jpg", "dogs/b.xmp", "dogs/f/g.jpg",
        "uncertain/c.jpg", "failed/d.jpg", "failed/h.jpg", "failed/i.jpg",
    }  # fmt: skip
    assert [path for path in (tmp_path / "archive").rglob("*") if path.is_file()] == []


def test_rows_are_those_of_a_worker_with_this_inbox(tmp_path: Path) -> None:
    there = installation(tmp_path)
    loaded(there)
    other = Installation(tmp_path / "worker", QUICK)
    for name, content in PHOTOS.items():
        if name.endswith(".jpg"):
            for beside in ("b.xmp",) if name == "b.jpg" else ():
                other.drop(beside, PHOTOS[beside])
            other.drop(name, content)
            other.run_worker()
    expected = [(os.path.relpath(row[0], other.inbox), *row[1:]) for row in other.rows(ALL)]
    assert [(os.path.relpath(row[0], tmp_path / "archive"), *row[1:]) for row in there.rows(ALL)] == expected
    assert there.rows("model, model_sha256, scores, width, taken_at, brightness") == other.rows(
        "model, model_sha256, scores, width, taken_at, brightness"
    )


@pytest.mark.parametrize("action", ["copy", "hardlink", "symlink"])
def test_the_originals_stay_with_any_other_action(tmp_path: Path, action: str) -> None:
    there = installation(tmp_path, action)
    done = loaded(there)
    assert (done.photos, done.left, done.refused) == (9, 0, {})
    archive = tmp_path / "archive"
    assert {p: (archive / p).read_bytes() for p in PHOTOS} == PHOTOS
    assert len(there.sorted()) == (10 if action != "symlink" else 0)
    if action == "copy":
        of_source(there)
    assert set(there.rows("action, state")) == {(action, "filed")}


def test_a_second_load_adds_nothing(tmp_path: Path) -> None:
    there = installation(tmp_path, "copy")
    loaded(there)
    rows = there.rows("*")
    again = loaded(there)
    assert (again.parts, again.photos, again.before) == (0, 0, 3)
    assert there.rows("*") == rows


def test_a_photo_is_not_read_if_it_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = installation(tmp_path)
    read: list[bytes] = []

    def reading(path: bytes, limits: object) -> file_checks.Fingerprint:
        read.append(Path(os.fsdecode(path)).read_bytes())
        return file_checks.fingerprint(path, there.settings.limits)

    monkeypatch.setattr(recorded_answers, "fingerprint", reading)
    loaded(there)
    assert read == [b""]  # which was never hashed


def test_a_photo_that_was_changed_since_is_classified_by_the_worker(tmp_path: Path) -> None:
    there = installation(tmp_path)
    (tmp_path / "archive" / "a.jpg").write_bytes(b"other<dog>")
    (tmp_path / "archive" / "c.jpg").unlink()
    done = loaded(there)
    assert (done.photos, done.left, done.gone) == (8, 1, 1)
    assert there.rows("state, outcome", "name = 'a.jpg' AND source_path NOT LIKE '%/f/%'") == [
        ("claimed", None)
    ]
    there.run_worker()
    assert there.rows("state, outcome", "name = 'a.jpg' AND source_path NOT LIKE '%/f/%'") == [
        ("filed", "dogs")
    ]


def test_a_photo_whose_mtime_alone_changed_is_filed_by_its_answer(tmp_path: Path) -> None:
    there = installation(tmp_path)
    os.utime(tmp_path / "archive" / "a.jpg", ns=(1, 1))
    done = loaded(there)
    assert (done.left, done.outcomes["cats"]) == (0, 3)
    of_source(there)


def test_names_that_collide_are_numbered(tmp_path: Path) -> None:
    there = installation(tmp_path)
    there.file(b"a.jpg", b"mine<cat>", "cats")
    loaded(there)
    assert {"cats/a.jpg", "cats/a (2).jpg"} <= there.sorted()
    [(path,)] = there.rows("path", f"source_path = '{tmp_path}/archive/a.jpg'")
    assert path == f"{there.settings.sorted}/cats/a (2).jpg"


def test_a_filed_photo_of_s3_is_undone_into_state(tmp_path: Path, store: Store) -> None:
    there = installation(tmp_path, store=store)
    assert loaded(there, store).photos == 9
    [fetched] = (there.settings.state / "backfill").iterdir()
    assert list(fetched.iterdir()) == []
    assert [change.problem for change in there.undo(files=(b"cats/f/a.jpg",))] == [None]
    back = fetched / "f" / "a.jpg"
    assert back.read_bytes() == PHOTOS["f/a.jpg"]
    assert loaded(there, store).photos == 0
    there.run_worker()
    assert back.read_bytes() == PHOTOS["f/a.jpg"]
    assert len(there.sorted()) == 9


def test_a_filed_photo_is_undone_into_the_source(tmp_path: Path) -> None:
    there = installation(tmp_path)
    loaded(there)
    assert [change.problem for change in there.undo(files=(b"cats/f/a.jpg",))] == [None]
    assert (tmp_path / "archive" / "f" / "a.jpg").read_bytes() == PHOTOS["f/a.jpg"]


@pytest.mark.parametrize(
    ("action", "next_", "place"),
    [
        ("move", "load", "disk"), ("copy", "worker", "disk"), ("symlink", "load", "disk"),
        ("move", "load", "s3"), ("copy", "worker", "s3"),
    ],
)  # fmt: skip
def test_nothing_is_lost_by_a_kill(
    tmp_path: Path,
    action: str,
    next_: str,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    store: Store | None = None
    if place == "s3":
        store = request.getfixturevalue("store")
        request.getfixturevalue("without_waits")
    commits = [(backfill, "claim_part"), *((Ledger, name) for name in ("begin_decoding", "decide", "file"))]
    for at in range(400):
        folder = tmp_path / str(at)
        there = installation(folder, action, store)
        if store:
            store.fault = store.each(20, "error")
        with opened(there, store) as filer:
            died = Mortal(monkeypatch).dies_at(4 * at, lambda f=filer: f.file_all(lambda *_: None), *commits)  # type: ignore[misc]
        if next_ == "worker":
            there.run_worker(StubClassifier())
        assert loaded(there, store).left == 0
        if store:
            conserved(there.settings, PHOTOS.values())
            assert len(store.objects) == len(PHOTOS) + 7
            store.empty()
        elif action != "symlink":
            of_source(there)
        found = there.rows("source_path, outcome, reason, sha256")
        assert len(found) == len(set(found)) == 9
        assert {sha for *_, sha in found} == {digest(data) for name, data in PHOTOS.items() if data} - {
            digest(PHOTOS["b.xmp"])
        } | {None}
        if not died:
            break
    assert not died


@contextmanager
def opened(there: Installation, store: Store | None) -> Iterator[Filer]:
    """Prepare what `file_all` does under its locks, with a database that does not wait for the disk."""
    loading = Loading(run_of(there, store), there.settings)
    settings = load_files.settings_of(loading, there.settings)
    filer = Filer(loading, settings, there.engine, there.engine, there.now)
    with ExitStack() as stack:
        stack.callback(there.close)
        if store:
            filer.fetch = stack.enter_context(fetched_into(settings.inboxes[0], loading.source))
        yield filer


def test_nothing_is_filed_while_a_worker_runs(tmp_path: Path) -> None:
    there = installation(tmp_path)
    with worker_lock(there.settings), pytest.raises(LockError):
        loaded(there)
    assert there.rows() == []


def test_a_source_that_is_not_mounted_marks_nothing(tmp_path: Path) -> None:
    there = installation(tmp_path)
    (tmp_path / "archive").rename(tmp_path / "away")
    (tmp_path / "archive").mkdir()
    with pytest.raises(PawsortError, match="none of the 4 photos of part 0 is there; is a disk not mounted"):
        loaded(there)
    (tmp_path / "archive").rmdir()
    (tmp_path / "away").rename(tmp_path / "archive")
    assert loaded(there).photos == 9


def test_a_photo_that_may_not_be_taken_stays_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = installation(tmp_path, "hardlink")

    def refuses(source: int, target: bytes) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pipeline.originals.taking.link_open", refuses)
    done = loaded(there)
    assert done.refused["a.jpg"] == "Operation not permitted"
    assert len(done.refused) == 9
    assert there.rows() == []


def test_a_source_inside_sorted_is_refused(tmp_path: Path) -> None:
    there = Installation(tmp_path / "here", QUICK)
    source = tree(there.settings.sorted / "old", PHOTOS)
    finished_run(tmp_path / "run", there.settings, source)
    with pytest.raises(SettingsError, match="lies inside sorted"):
        loaded(there)


def test_a_run_that_is_filed_is_not_noted(tmp_path: Path) -> None:
    there = installation(tmp_path, "copy")
    loading = Loading(tmp_path / "run", there.settings)
    loaded(there)
    with pytest.raises(SettingsError, match="loaded with --file"):
        note_all(loading, there.settings, there.engine, there.engine)


def test_rows_on_postgresql_are_of_the_worker_that_files_or_notes(tmp_path: Path, postgres: str) -> None:
    url = create_database(postgres)
    upgrade(url)
    there = Installation(tmp_path / "here", QUICK + f"database: {url}\nworker: ann\n")
    tree(tmp_path / "archive", PHOTOS)
    finished_run(tmp_path / "run", there.settings, tree(tmp_path / "archive", PHOTOS))
    tree(tmp_path / "other", PHOTOS)
    finished_run(tmp_path / "second", there.settings, tmp_path / "other")
    assert loaded(there).photos == 9
    assert loaded(there).photos == 0
    loading = Loading(tmp_path / "second", there.settings)
    engine = open_database(url, "write")
    with own_rows(engine, there.settings, "write") as own:
        done = note_all(loading, there.settings, own, engine)
    assert (done.photos, done.duplicates) == (9, 8)  # the empty one was never hashed
    rows = list(listing.results(engine, listing.ResultFilter()))
    assert {(row["worker"], row["state"]) for row in rows} == {("ann", "filed"), ("ann", "noted")}
    assert len(there.sorted()) == 10
    engine.dispose()
