"""Companions of originals that stay are copied or linked with their photo, and removed with it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from db.ledger.ledger import Ledger
from db.queries.listing import ResultFilter
from db.schema.records import SettledFile
from pipeline.companions import late, moving
from pipeline.corrections import correct_undo_retry, made_files
from pipeline.export.export import Way, export
from pipeline.files import moves
from pipeline.originals import companions
from pipeline.worker.steps import claim
from tests.pipeline.corrections.test_interrupted_moves import only_within_a_folder
from tests.support.crash import Death, Mortal
from tests.support.installation import Installation, run_until_idle, step_until
from tests.support.oracle import conserved
from tests.support.originals import State, state_of

Install = Callable[[str], Installation]

GROUP = {"IMG_1.JPG": b"1<cat>", "IMG_1.CR2": b"raw", "IMG_1.xmp": b"x", "IMG_1.mov": b"film"}
NAMES = '["IMG_1.CR2", "IMG_1.mov", "IMG_1.xmp"]'


def drop(pawsort: Installation, files: dict[str, bytes] = GROUP, folder: str = "trip/") -> None:
    for name, data in files.items():
        pawsort.drop(folder + name, data)


def filed(pawsort: Installation) -> dict[str, State]:
    """File a group; return the state of the inbox before."""
    drop(pawsort)
    before = state_of(pawsort.inbox)
    pawsort.run_worker()
    return before


def made(pawsort: Installation) -> dict[str, bytes]:
    """Return the contents of the files and links in `sorted`, by their paths there."""
    root = pawsort.settings.sorted
    paths = [path for path in root.rglob("*") if not path.is_dir()]
    return {str(path.relative_to(root)): path.read_bytes() if path.exists() else b"" for path in paths}


def group(folder: str, *more: str) -> set[str]:
    return {f"{folder}/trip/{name}" for name in (*GROUP, *more)}


def test_a_photo_is_taken_with_its_companions_and_the_originals_stay_as_they_are(
    pawsort: Installation,
) -> None:
    before = filed(pawsort)
    assert made(pawsort) == {f"cats/trip/{name}": data for name, data in GROUP.items()}
    assert pawsort.rows("name, companions") == [("IMG_1.JPG", NAMES)]
    for again in (True, False):
        worker = pawsort.run_worker()
        assert (len(pawsort.rows()), worker.in_flight.refused, worker.in_flight.left) == (1, 0, 0), again
    assert state_of(pawsort.inbox) == before
    conserved(pawsort.settings, pawsort.injected)


def test_they_are_corrected_undone_retried_and_exported_together(pawsort: Installation) -> None:
    before = filed(pawsort)
    assert not pawsort.correct(b"cats/trip/IMG_1.JPG")[0].problem
    assert set(made(pawsort)) == group("dogs")
    for folder in (b"dogs", b"cats"):
        out = pawsort.folder / f"out-{folder.decode()}"
        problems = [
            e.problem for e in export(pawsort.engine, pawsort.settings, out, ResultFilter(), Way("original"))
        ]
        assert problems == [None]
        assert {path.name for path in (out / "trip").iterdir() if not path.is_symlink()} == {*GROUP}
        assert not pawsort.undo(files=(folder + b"/trip/IMG_1.JPG",))[0].problem
    assert (made(pawsort), pawsort.rows("state, companions")) == ({}, [("undone", NAMES)])
    pawsort.run_worker()
    assert (made(pawsort), len(pawsort.rows())) == ({}, 1)
    path = os.path.join(pawsort.raw_inbox, b"trip/IMG_1.JPG")
    assert not correct_undo_retry.retry(pawsort.engine, pawsort.settings, "ann", [path])[0].problem
    pawsort.run_worker()
    assert set(made(pawsort)) == group("cats")
    assert state_of(pawsort.inbox) == before


def test_one_that_comes_later_is_taken_once_to_where_its_photo_is_now(pawsort: Installation) -> None:
    drop(pawsort, {"IMG_1.JPG": GROUP["IMG_1.JPG"]})
    pawsort.run_worker()
    pawsort.correct(b"cats/trip/IMG_1.JPG")
    drop(pawsort, {**{name: data for name, data in GROUP.items() if name[-3:] != "JPG"}, "a.xmp": b"alone"})
    before = state_of(pawsort.inbox)
    worker = pawsort.worker()
    worker.start()
    step_until(worker, lambda: set(made(pawsort)) == group("dogs"))
    step_until(worker, lambda: worker.idle and worker.in_flight.left == 1)
    worker.stop()
    assert pawsort.rows("name, companions") == [("IMG_1.JPG", NAMES)]
    pawsort.run_worker()
    assert state_of(pawsort.inbox) == before
    (pawsort.inbox / "trip/a.xmp").unlink()
    conserved(pawsort.settings, [data for data in pawsort.injected if data != b"alone"])
    for folder in (b"dogs", b"cats"):
        assert not pawsort.undo(files=(folder + b"/trip/IMG_1.JPG",))[0].problem
    assert made(pawsort) == {}


def test_one_that_comes_later_never_replaces_another_file_and_stays_where_its_photo_was_undone(
    pawsort: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    drop(pawsort, {"IMG_1.JPG": GROUP["IMG_1.JPG"]})
    pawsort.run_worker()
    other = pawsort.settings.sorted / "cats/trip/IMG_1.xmp"
    other.write_bytes(b"of another program")
    drop(pawsort, {"IMG_1.xmp": b"x"})
    pawsort.run_worker()
    assert other.read_bytes() == b"of another program"
    assert (late.TAKEN in caplog.text, pawsort.rows("companions")) == (True, [(None,)])
    other.unlink()
    pawsort.undo(last=1)
    drop(pawsort, {"IMG_1.CR2": b"raw"})
    pawsort.run_worker()
    assert (made(pawsort), len(pawsort.rows())) == ({}, 1)


def test_a_raw_whose_photo_was_deleted_in_sorted_is_not_taken_as_a_photo(pawsort: Installation) -> None:
    drop(pawsort, {"IMG_1.JPG": GROUP["IMG_1.JPG"]})
    pawsort.run_worker()
    pawsort.ledger.end(pawsort.ledger.entries([1]), pawsort.now())
    (pawsort.settings.sorted / "cats/trip/IMG_1.JPG").unlink()
    drop(pawsort, {"IMG_1.CR2": b"raw"})
    pawsort.run_worker()
    assert (made(pawsort), pawsort.rows()) == ({}, [])


def test_a_changed_photo_is_taken_again_with_the_companions_that_are_known(pawsort: Installation) -> None:
    filed(pawsort)
    photo = pawsort.inbox / "trip/IMG_1.JPG"
    photo.unlink()
    photo.write_bytes(b"another<dog>")
    (pawsort.inbox / "trip/IMG_1.mov").unlink()
    pawsort.run_worker()
    assert {f"dogs/trip/{name}" for name in ("IMG_1.JPG", "IMG_1.CR2", "IMG_1.xmp")} <= set(made(pawsort))
    assert pawsort.rows("companions", "outcome = 'dogs'") == [('["IMG_1.CR2", "IMG_1.xmp"]',)]


def test_a_companion_whose_original_changed_is_not_taken_again(pawsort: Installation) -> None:
    filed(pawsort)
    sidecar = pawsort.inbox / "trip/IMG_1.xmp"
    sidecar.unlink()
    sidecar.write_bytes(b"edited later")
    worker = pawsort.run_worker()
    assert (set(made(pawsort)), len(pawsort.rows()), worker.in_flight.left) == (group("cats"), 1, 0)


def test_a_companion_that_was_edited_or_added_in_sorted_is_never_removed(pawsort: Installation) -> None:
    before = filed(pawsort)
    sidecar = pawsort.settings.sorted / "cats/trip/IMG_1.xmp"
    added = pawsort.settings.sorted / "cats/trip/IMG_1.JPG.xmp"
    for path in (sidecar, added):
        path.unlink(missing_ok=True)
        path.write_bytes(b"edited")
        [change] = pawsort.undo(last=1)
        assert f"{path} is not what" in str(change.problem) and "was edited or added" in str(change.problem)
        others = {f"cats/trip/{name}" for name in GROUP if name != "IMG_1.xmp"}
        assert set(made(pawsort)) == {*others, f"cats/trip/{path.name}"}
        path.unlink()  # as it says
    assert not pawsort.undo(last=1)[0].problem
    assert made(pawsort) == {}
    assert state_of(pawsort.inbox) == before


def test_the_only_copy_of_a_companion_is_not_removed(pawsort: Installation) -> None:
    filed(pawsort)
    (pawsort.inbox / "trip/IMG_1.CR2").unlink()
    [change] = pawsort.undo(last=1)
    is_link = pawsort.settings.action_of(pawsort.inbox) == "symlink"
    assert (change.problem is None) == is_link
    assert set(made(pawsort)) == (set() if is_link else group("cats"))


def test_names_stay_paired_where_one_is_taken(pawsort: Installation) -> None:
    folder = pawsort.settings.sorted / "cats/trip"
    folder.mkdir(parents=True)
    (folder / "IMG_1.xmp").write_bytes(b"of another program")
    filed(pawsort)
    assert set(made(pawsort)) == {
        "cats/trip/IMG_1.xmp", *(f"cats/trip/{name.replace('.', ' (2).', 1)}" for name in GROUP),
    }  # fmt: skip
    assert not pawsort.undo(last=1)[0].problem
    assert made(pawsort) == {"cats/trip/IMG_1.xmp": b"of another program"}


def test_one_that_cannot_be_taken_with_its_photo_is_taken_later(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = companions.take

    def refusing(action: str, inbox: bytes, source: bytes, spool: bytes, **options: bool) -> None:
        if source.endswith(b".CR2"):
            raise PermissionError(1, "Operation not permitted", source)
        take(action, inbox, source, spool, **options)

    monkeypatch.setattr(companions, "take", refusing)
    filed(pawsort)
    assert pawsort.rows("companions") == [('["IMG_1.mov", "IMG_1.xmp"]',)]
    assert "cats/trip/IMG_1.CR2" not in made(pawsort)
    monkeypatch.undo()
    pawsort.run_worker()
    assert (set(made(pawsort)), pawsort.rows("companions")) == (group("cats"), [(NAMES,)])


def claimed(pawsort: Installation) -> bytes:
    """Claim a group and make its companions in the spool, as before a kill; return the photo's path there."""
    drop(pawsort)
    action, seen = (
        pawsort.settings.action_of(pawsort.inbox),
        moves.identity(pawsort.raw_inbox + b"/trip/IMG_1.JPG"),
    )
    names = tuple(sorted(os.fsencode(name) for name in GROUP if name != "IMG_1.JPG"))
    file = SettledFile(str(pawsort.inbox), b"trip/IMG_1.JPG", *seen, pawsort.now(), action, names)
    [row] = pawsort.ledger.claim([file], pawsort.now())
    spool = os.path.join(os.fsencode(pawsort.settings.spool), os.fsencode(row.spool_name))
    companions.bring_in(action, pawsort.raw_inbox, b"trip/IMG_1.JPG", spool, names)
    assert len(os.listdir(pawsort.settings.spool)) == len(names)
    return spool


@pytest.mark.fault(58)
@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "refused"])
def test_what_was_made_of_companions_is_removed_if_their_photo_cannot_be_taken_after_all(
    pawsort: Installation, is_gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed(pawsort)
    if is_gone:
        (pawsort.inbox / "trip/IMG_1.JPG").unlink()

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(claim, "take", refused)
    pawsort.run_worker()
    assert os.listdir(pawsort.settings.spool) == []
    assert pawsort.rows() == []


@pytest.mark.fault(68)
def test_copies_of_companions_that_may_not_be_durable_are_made_again_and_synced(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = claimed(pawsort := install("copy"))
    left = Path(os.fsdecode(moving.spooled(spool, b"IMG_1.CR2")))
    left.write_bytes(b"r")  # as a power cut leaves it
    synced: list[bytes] = []
    monkeypatch.setattr(claim, "sync_copy", synced.append)
    pawsort.run_worker()
    assert made(pawsort) == {f"cats/trip/{name}": data for name, data in GROUP.items()}
    assert {spool, os.fsencode(left)} <= {*synced} and len(synced) == len(GROUP)
    conserved(pawsort.settings, pawsort.injected)


def test_a_copy_of_a_companion_that_the_disk_cannot_write_is_made_again(
    install: Install, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    sync, failed = claim.sync_copy, []

    def failing(path: bytes) -> None:
        if b"+" in path and not failed:
            failed.append(path)
            os.unlink(path)
            raise OSError(errno.EIO, "Input/output error", path)
        sync(path)

    monkeypatch.setattr(claim, "sync_copy", failing)
    filed(pawsort := install("copy"))
    assert failed
    assert made(pawsort) == {f"cats/trip/{name}": data for name, data in GROUP.items()}


def test_what_a_power_cut_left_in_the_spool_goes_beside_its_photo_or_away(pawsort: Installation) -> None:
    before = filed(pawsort)
    [entry] = pawsort.ledger.entries([1])
    spool = os.path.join(os.fsencode(pawsort.settings.spool), os.fsencode(entry.spool_name))
    left = moving.spooled(spool, b"IMG_1.xmp")
    for is_undone in (False, True):
        if is_undone:
            companions.take(
                pawsort.settings.action_of(pawsort.inbox), pawsort.raw_inbox, b"trip/IMG_1.xmp", left
            )
            pawsort.undo(last=1)
        else:
            os.rename(pawsort.settings.sorted / "cats/trip/IMG_1.xmp", left)
        pawsort.run_worker()
        assert set(made(pawsort)) == (set() if is_undone else group("cats"))
        assert os.listdir(pawsort.settings.spool) == []
    assert (len(pawsort.rows()), state_of(pawsort.inbox)) == (1, before)


@pytest.mark.parametrize(
    ("action", "ever"), [("copy", None), ("symlink", None), ("hardlink", False), ("copy", True)]
)
def test_killed_or_failing_anywhere_an_undo_removes_all_or_none(
    install: Install, action: str, ever: bool | None, mortal: Mortal
) -> None:
    pawsort = install(action)
    before = filed(pawsort)
    for n in range(100):
        undo = partial(pawsort.undo, last=1)
        books = [(Ledger, name) for name in ("begin_move", "finish_move", "abandon_move")]
        came = mortal.dies_at(n, undo, *books) if ever is None else mortal.fails_at(n, undo, ever=ever)
        pawsort.recover()
        assert pawsort.ledger.pending_moves() == []
        [(state,)] = pawsort.rows("state", f"id = {n + 1}")
        assert set(made(pawsort)) == (set() if state == "undone" else group("cats")), n
        assert state_of(pawsort.inbox) == before
        if not came:
            return
        if state != "undone":
            assert not pawsort.undo(last=1)[0].problem
        path = os.path.join(pawsort.raw_inbox, b"trip/IMG_1.JPG")
        assert not correct_undo_retry.retry(pawsort.engine, pawsort.settings, "ann", [path])[0].problem
        pawsort.run_worker()
        assert set(made(pawsort)) == group("cats"), n
    pytest.fail("it never ended")


@pytest.mark.fault(67)
@pytest.mark.parametrize(("action", "ever"), [("hardlink", None), ("symlink", None), ("symlink", True)])
def test_killed_or_failing_anywhere_a_correction_to_another_disk_moves_all_or_none(
    install: Install, action: str, ever: bool | None, mortal: Mortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed(pawsort := install(action))
    monkeypatch.setattr(moves, "rename", only_within_a_folder(moves.rename))
    for n in range(150):
        here, label = ("cats", "dog") if n % 2 == 0 else ("dogs", "cat")
        path = os.fsencode(here) + b"/trip/IMG_1.JPG"
        correct = partial(pawsort.correct, path, label=label)
        came = mortal.dies_at(n, correct) if ever is None else mortal.fails_at(n, correct, ever=ever)
        pawsort.recover()
        [(outcome,)] = pawsort.rows("outcome")
        assert made(pawsort) == {f"{outcome}/trip/{name}": data for name, data in GROUP.items()}, n
        if not came:
            return
        if outcome == here:
            assert not correct()[0].problem
    pytest.fail("it never ended")


def test_links_get_another_name_on_another_disk_where_one_is_taken_meanwhile(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed(pawsort := install("symlink"))
    monkeypatch.setattr(moves, "rename", only_within_a_folder(moves.rename))
    taken = pawsort.settings.sorted / "dogs/trip/IMG_1.xmp"
    move_link = moves.move_link

    def meanwhile(source: bytes, destination: bytes, target: bytes) -> None:
        if destination == os.fsencode(taken):
            taken.write_bytes(b"of another program")
        move_link(source, destination, target)

    monkeypatch.setattr(moves, "move_link", meanwhile)
    assert not pawsort.correct(b"cats/trip/IMG_1.JPG")[0].problem
    assert set(made(pawsort)) == {
        "dogs/trip/IMG_1.xmp", *(f"dogs/trip/{name.replace('.', ' (2).', 1)}" for name in GROUP),
    }  # fmt: skip


def test_after_an_interrupted_undo_a_companion_that_was_edited_meanwhile_stays(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed(pawsort := install("copy"))
    unlink = os.unlink

    def killed(path: bytes) -> None:
        unlink(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(made_files.os, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        pawsort.undo(last=1)
    monkeypatch.undo()
    (pawsort.settings.sorted / "cats/trip/IMG_1.xmp").write_bytes(b"edited")
    [change] = pawsort.recover()
    assert change.problem is None
    assert made(pawsort) == {"cats/trip/IMG_1.xmp": b"edited"}


def test_one_that_was_made_later_but_not_recorded_is_recorded_at_the_next_start(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(pawsort, {"IMG_1.JPG": GROUP["IMG_1.JPG"]})
    pawsort.run_worker()
    drop(pawsort, {"IMG_1.xmp": b"x"})

    def killed(*_: object) -> None:
        raise Death

    monkeypatch.setattr(Ledger, "set_companions", killed)
    with pytest.raises(Death):
        run_until_idle(pawsort.worker())
    monkeypatch.undo()
    assert set(made(pawsort)) == {"cats/trip/IMG_1.JPG", "cats/trip/IMG_1.xmp"}
    pawsort.run_worker()
    assert pawsort.rows("companions") == [('["IMG_1.xmp"]',)]
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.parametrize("action", ["copy", "move"])
def test_sidecars_without_a_photo_are_looked_up_once_until_files_are_claimed(
    install: Install, action: str, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    pawsort = install(action)
    monkeypatch.setattr("pipeline.watch.stability.LONGEST_REST_SECONDS", 0.01)
    asked: list[object] = []
    ask = Ledger.arrived_as
    monkeypatch.setattr(Ledger, "arrived_as", lambda *args: asked.append(args) or ask(*args))
    drop(pawsort, {"a.xmp": b"x", "b.jpg.json": b"y"})
    worker = pawsort.worker()
    worker.start()
    step_until(worker, lambda: len(asked) == 2)
    for _ in range(8):
        worker.step()
    assert len(asked) == 2
    drop(pawsort, {"c.jpg": b"<cat>"})
    step_until(worker, lambda: len(asked) == 4)
    worker.stop()
