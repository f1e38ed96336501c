"""A worker files a photo together with what belongs to it, whatever happens meanwhile."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from db.ledger.ledger import Ledger
from db.schema.file_names import unescape
from pipeline.companions import late
from tests.support.installation import QUICK, Installation, run_until_idle, step_until
from tests.support.oracle import conserved, files_below

GROUP = {"IMG_1.JPG": b"1<cat>", "IMG_1.CR2": b"raw", "IMG_1.xmp": b"x", "IMG_1.JPG.xmp": b"y"}


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Installation]:
    pawsort = Installation(tmp_path, QUICK)
    yield pawsort
    pawsort.close()


def drop(pawsort: Installation, files: dict[str, bytes], folder: str = "") -> None:
    for name, data in files.items():
        pawsort.drop(folder + name, data)


def in_inbox(pawsort: Installation) -> set[str]:
    return {os.fsdecode(os.path.relpath(path, pawsort.raw_inbox)) for path in files_below(pawsort.inbox)}


def test_a_photo_is_filed_with_its_companions_and_has_one_row(pawsort: Installation) -> None:
    drop(pawsort, GROUP, "trip/")
    pawsort.run_worker()
    assert pawsort.sorted() == {f"cats/trip/{name}" for name in GROUP}
    assert pawsort.rows("name, companions") == [("IMG_1.JPG", '["IMG_1.CR2", "IMG_1.JPG.xmp", "IMG_1.xmp"]')]
    conserved(pawsort.settings, pawsort.injected)


def test_without_the_setting_each_file_is_one_of_its_own(tmp_path: Path) -> None:
    pawsort = Installation(tmp_path, QUICK + "filing: {companions: false}\n")
    drop(pawsort, GROUP)
    pawsort.run_worker()
    assert len(pawsort.rows("id", "companions IS NULL")) == len(GROUP)
    assert pawsort.sorted() != {f"cats/{name}" for name in GROUP}
    conserved(pawsort.settings, pawsort.injected)
    pawsort.close()


@pytest.mark.fault(38)
def test_names_stay_paired_where_one_is_taken(pawsort: Installation) -> None:
    cats = pawsort.settings.sorted / "cats"
    pawsort.drop("IMG_1.JPG", b"0<cat>")
    pawsort.run_worker()
    drop(pawsort, GROUP)
    drop(pawsort, {"b.jpg": b"2<cat>", "b.xmp": b"z"})
    (cats / "b.xmp").write_bytes(b"of another program")
    pawsort.run_worker()
    numbered = {name.replace("IMG_1", "IMG_1 (2)") for name in GROUP}
    assert {path.name for path in cats.iterdir()} == {
        "IMG_1.JPG",
        *numbered,
        "b.xmp",
        "b (2).jpg",
        "b (2).xmp",
    }
    assert (cats / "b.xmp").read_bytes() == b"of another program"
    assert (cats / "IMG_1 (2).JPG.xmp").read_bytes() == b"y"


@pytest.mark.fault(37)
def test_a_name_of_255_bytes_leaves_room_for_its_companions_when_it_is_numbered(
    pawsort: Installation,
) -> None:
    stem = "C" * 247
    for data in (b"1<cat>", b"2<cat>"):
        drop(pawsort, {f"{stem}.jpg": data, f"{stem}.jpg.xmp": data + b"x"})
        pawsort.run_worker()
    conserved(pawsort.settings, pawsort.injected)
    assert len(pawsort.rows("id", "outcome = 'cats'")) == 2


def test_a_sidecar_without_its_photo_stays_in_the_inbox_and_is_logged_once(
    pawsort: Installation, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    drop(pawsort, {"a.xmp": b"x", "b.JPG.json": b"y", "other.jpg": b"1<cat>"})
    worker = pawsort.run_worker()
    for _ in range(20):
        worker.step()
    assert pawsort.sorted() == {"cats/other.jpg"}
    assert in_inbox(pawsort) == {"a.xmp", "b.JPG.json"}
    assert [late.ALONE in record.getMessage() for record in caplog.records].count(True) == 2
    assert worker.idle


def test_a_companion_that_comes_later_follows_its_photo_to_where_it_is(
    pawsort: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pawsort.drop("trip/IMG_1.JPG", GROUP["IMG_1.JPG"])
    pawsort.run_worker()
    pawsort.correct(b"cats/trip/IMG_1.JPG")
    drop(pawsort, {name: data for name, data in GROUP.items() if name != "IMG_1.JPG"}, "trip/")
    drop(pawsort, {"IMG_1.xmp": b"of no photo, as it is in another folder"})
    pawsort.run_worker()
    assert pawsort.sorted() == {f"dogs/trip/{name}" for name in GROUP}
    assert in_inbox(pawsort) == {"IMG_1.xmp"}
    [(companions,)] = pawsort.rows("companions")
    assert companions == '["IMG_1.CR2", "IMG_1.JPG.xmp", "IMG_1.xmp"]'
    pawsort.undo(last=2)
    assert in_inbox(pawsort) == {"IMG_1.xmp", *(f"trip/{name}" for name in GROUP)}


@pytest.mark.fault(38)
def test_a_sidecar_that_a_scan_finds_first_waits_for_its_photo_though_one_of_this_name_was_filed(
    pawsort: Installation, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.watch.inbox.SLICE_SECONDS", 0.0)  # one name at a time, in any order
    numbers = range(12)
    drop(pawsort, {f"{n}.jpg": b"old %d<cat>" % n for n in numbers})
    pawsort.run_worker()
    drop(pawsort, {f"{n}.{kind}": b"new %d<cat>" % n for n in numbers for kind in ("jpg", "xmp")})
    worker = pawsort.worker()
    worker.start()
    step_until(worker, lambda: not in_inbox(pawsort))
    run_until_idle(worker)
    worker.stop()
    assert pawsort.sorted() == {f"cats/{n}{end}" for n in numbers for end in (".jpg", " (2).jpg", " (2).xmp")}
    conserved(pawsort.settings, pawsort.injected)


def test_one_that_comes_later_never_replaces_a_file_beside_its_photo(
    pawsort: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    pawsort.drop("a.jpg", b"1<cat>")
    pawsort.run_worker()
    beside = pawsort.settings.sorted / "cats/a.xmp"
    beside.write_bytes(b"of another program")
    pawsort.drop("a.xmp", b"late")
    pawsort.run_worker()
    assert beside.read_bytes() == b"of another program"
    assert in_inbox(pawsort) == {"a.xmp"}
    assert late.TAKEN in caplog.text
    assert pawsort.rows("companions") == [(None,)]


def test_one_whose_place_is_taken_at_the_last_moment_is_not_in_the_row(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.drop("a.jpg", b"1<cat>")
    pawsort.run_worker()
    pawsort.drop("a.xmp", b"late")
    record = Ledger.set_companions

    def meanwhile(ledger: Ledger, id: int, names: Collection[bytes]) -> None:
        record(ledger, id, names)
        (pawsort.settings.sorted / "cats/a.xmp").write_bytes(b"of another program")

    monkeypatch.setattr(Ledger, "set_companions", meanwhile)
    pawsort.run_worker()
    assert in_inbox(pawsort) == {"a.xmp"}
    assert pawsort.rows("companions") == [(None,)]


@pytest.mark.parametrize("data", [b"x", b"another version"], ids=["alike", "changed"])
def test_a_sidecar_that_is_delivered_again_stays_in_the_inbox_and_the_first_beside_its_photo(
    pawsort: Installation, data: bytes
) -> None:
    drop(pawsort, {"a.jpg": b"1<cat>", "a.xmp": b"x"})
    pawsort.run_worker()
    pawsort.drop("a.xmp", data)
    pawsort.run_worker()
    assert (pawsort.settings.sorted / "cats/a.xmp").read_bytes() == b"x"
    assert in_inbox(pawsort) == {"a.xmp"}
    assert pawsort.rows("companions") == [('["a.xmp"]',)]
    conserved(pawsort.settings, pawsort.injected)


def test_one_that_a_person_deleted_beside_its_photo_may_come_again(pawsort: Installation) -> None:
    drop(pawsort, {"a.jpg": b"1<cat>", "a.xmp": b"x"})
    pawsort.run_worker()
    (pawsort.settings.sorted / "cats/a.xmp").unlink()
    pawsort.drop("a.xmp", b"again")
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/a.jpg", "cats/a.xmp"}


def test_a_companion_waits_while_its_photo_is_put_back(pawsort: Installation) -> None:
    drop(pawsort, GROUP)
    pawsort.run_worker()
    pawsort.undo(last=1)
    pawsort.drop("IMG_1.wav", b"late")
    pawsort.run_worker()
    assert in_inbox(pawsort) == {*GROUP, "IMG_1.wav"}
    assert pawsort.sorted() == set()
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(11)
def test_a_photo_waits_for_a_companion_that_is_written_to(pawsort: Installation, impatient: None) -> None:
    drop(pawsort, GROUP)
    with (pawsort.inbox / "IMG_1.CR2").open("ab") as writer:
        worker = pawsort.worker()
        worker.start()
        for _ in range(20):
            worker.step()
        assert pawsort.rows() == []
        assert in_inbox(pawsort) == set(GROUP)
        writer.write(b"!")
    pawsort.injected[1] += b"!"
    step_until(worker, lambda: pawsort.rows("id", "state = 'filed'"))
    worker.stop()
    assert pawsort.sorted() == {f"cats/{name}" for name in GROUP}
    conserved(pawsort.settings, pawsort.injected)


def test_a_raw_alone_is_a_file_of_its_own_and_keeps_its_sidecar(pawsort: Installation) -> None:
    drop(pawsort, {"a.NEF": b"1<cat>", "a.xmp": b"x"})
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/a.NEF", "cats/a.xmp"}


def test_a_failed_photo_takes_its_companions_along_and_back(pawsort: Installation) -> None:
    drop(pawsort, {"a.jpg": b"<truncated>", "a.xmp": b"x"})
    pawsort.run_worker()
    assert pawsort.sorted() == {"failed/a.jpg", "failed/a.xmp"}
    pawsort.undo(last=1)
    assert in_inbox(pawsort) == {"a.jpg", "a.xmp"}


def test_of_duplicates_each_keeps_its_own_companions(pawsort: Installation) -> None:
    for folder in ("", "copies/"):
        drop(pawsort, {"a.jpg": b"1<cat>", "a.xmp": b"same"}, folder)
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/a.jpg", "cats/a.xmp", "cats/copies/a.jpg", "cats/copies/a.xmp"}
    conserved(pawsort.settings, pawsort.injected)


def test_a_companion_that_cannot_be_taken_leaves_its_photo_alone(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(pawsort, GROUP)
    from pipeline.companions import moving

    move = moving.moves.move

    def refusing(source: bytes, destination: bytes) -> None:
        if source.endswith(b".CR2"):
            raise PermissionError(1, "Operation not permitted", source)
        move(source, destination)

    monkeypatch.setattr(moving.moves, "move", refusing)
    pawsort.run_worker()
    assert pawsort.sorted() == {f"cats/{name}" for name in GROUP if not name.endswith("CR2")}
    assert in_inbox(pawsort) == {"IMG_1.CR2"}
    assert pawsort.rows("companions") == [('["IMG_1.JPG.xmp", "IMG_1.xmp"]',)]


def test_what_a_power_cut_left_in_the_spool_goes_back_to_its_photo(pawsort: Installation) -> None:
    from pipeline.companions import moving

    drop(pawsort, GROUP)
    pawsort.run_worker()
    [entry] = pawsort.ledger.entries([1])
    spool = os.path.join(os.fsencode(pawsort.settings.spool), os.fsencode(entry.spool_name))
    os.rename(pawsort.settings.sorted / "cats/IMG_1.xmp", moving.spooled(spool, b"IMG_1.xmp"))
    pawsort.run_worker()
    assert pawsort.sorted() == {f"cats/{name}" for name in GROUP}
    assert len(pawsort.rows()) == 1


def test_names_that_are_not_utf8_travel_too(pawsort: Installation) -> None:
    pawsort.drop(b"\xff.jpg", b"1<cat>")
    pawsort.drop(b"\xff.xmp", b"x")
    pawsort.run_worker()
    assert os.listdir(pawsort.raw_sorted + b"/cats") in (
        [b"\xff.jpg", b"\xff.xmp"],
        [b"\xff.xmp", b"\xff.jpg"],
    )
    [entry] = pawsort.ledger.entries([1])
    assert entry.companion_names == (b"\xff.xmp",)
    assert unescape(str((entry.companions or [])[0])) == b"\xff.xmp"
    run_until_idle(pawsort.worker())
