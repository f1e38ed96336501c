"""A backup holds what Pawsort remembers; a restore puts it where nothing of it is."""

from __future__ import annotations

import json
import os
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.backup import archive
from pipeline.backup.make import make
from pipeline.backup.manifest import Manifest
from pipeline.backup.restore import restore
from pipeline.doctor import check
from pipeline.errors import BackupDamagedError, DatabaseError, LockError, SettingsError
from pipeline.learning.record import Record
from pipeline.worker.locks import worker_lock
from tests.pipeline.backup.conftest import Backup, lose_state, repaired, restored
from tests.support.installation import SMALL, Installation
from tests.support.old_database import make_old


def members(file: Path) -> set[str]:
    with zipfile.ZipFile(file) as opened:
        return set(opened.namelist())


def promoted(pawsort: Installation, *versions: int) -> None:
    """Make learnt versions and put them in force, one after another; a last one is never promoted."""
    folder = pawsort.settings.state / "models" / "stub"
    record = Record()
    for version in (*versions, 9):
        (folder / str(version) / "net").mkdir(parents=True)
        (folder / str(version) / "net" / "weights").write_bytes(b"%d" % version)
        if version != 9:
            record = record.promoted(version, pawsort.now(), "ann", "better", "0" * 64)
    (folder / "in_force.json").write_bytes(record.as_json())
    (folder / "last_version").write_text("9")


def test_a_backup_holds_rows_settings_and_the_models_in_force_and_no_photo(
    pawsort: Installation, file: Path, back_up: Backup
) -> None:
    pawsort.file(b"a.jpg")
    promoted(pawsort, 3, 5)
    (pawsort.settings.state / "own_threshold.json").write_text("{}")
    made = back_up()
    assert made.database.rows["files"] == 1
    assert members(file) == {
        "manifest.json", "database/pawsort", "config.yaml", "state/own_threshold.json",
        "state/models/stub/in_force.json", "state/models/stub/last_version",
        "state/models/stub/3/net/weights", "state/models/stub/5/net/weights",
    }  # fmt: skip
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.parent) == [file.name], "nothing else is left"


def test_a_lost_state_folder_is_restored_as_it_was(
    pawsort: Installation, file: Path, back_up: Backup
) -> None:
    ids = [pawsort.file(b"a.jpg", b"1"), pawsort.file(b"trip/b\xff.jpg", b"22", outcome="dogs")]
    pawsort.correct(b"cats/a.jpg")
    promoted(pawsort, 3)
    before = pawsort.ledger.entries(ids)
    back_up()
    lose_state(pawsort)
    done, again = restored(pawsort, file)
    assert not done.migrated
    assert again.ledger.entries(ids) == before
    assert (again.settings.state / "models/stub/3/net/weights").read_bytes() == b"3"
    repaired(again)
    assert [change.problem for change in again.undo(last=1)] == [None]
    again.close()


@pytest.mark.parametrize("there", ["database", "journal", "other model", "worker"])
def test_a_restore_overwrites_nothing(pawsort: Installation, file: Path, back_up: Backup, there: str) -> None:
    pawsort.file(b"a.jpg")
    promoted(pawsort, 3)
    back_up()
    lose_state(pawsort)
    state = pawsort.settings.state
    found = {
        "database": state / "pawsort.db", "journal": state / "pawsort.db-wal",
        "other model": state / "models/stub/3/net/weights", "worker": state / "worker.lock",
    }[there]  # fmt: skip
    found.parent.mkdir(parents=True)
    found.write_bytes(b"mine")
    if there == "worker":
        with worker_lock(pawsort.settings), pytest.raises(LockError):
            restore(file, pawsort.config, None)
        return
    with pytest.raises(SettingsError, match=f"{found}.*a restore overwrites nothing"):
        restore(file, pawsort.config, None)
    assert [path for path in state.rglob("*") if path.is_file()] == [found]
    assert found.read_bytes() == b"mine"


def test_a_restore_that_was_cut_off_goes_on(pawsort: Installation, file: Path, back_up: Backup) -> None:
    promoted(pawsort, 3)
    back_up()
    lose_state(pawsort)
    restore(file, pawsort.config, None)
    (pawsort.settings.state / "pawsort.db").unlink()  # it is put in place last
    restore(file, pawsort.config, None)
    assert (pawsort.settings.state / "pawsort.db").exists()


def test_into_a_folder_its_settings_come_too_and_are_not_overwritten(
    pawsort: Installation, file: Path, back_up: Backup, tmp_path: Path
) -> None:
    pawsort.config.write_text("web: {token: 0123456789abcdef}\n", encoding="utf-8")
    back_up()
    into = tmp_path / "new"
    done = restore(file, pawsort.config, into)
    assert done.settings.state == into / "state"
    assert (into / "config.yaml").read_bytes() == pawsort.config.read_bytes()
    assert (into / "config.yaml").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(into)) == ["config.yaml", "state"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text("mine")
    with pytest.raises(SettingsError, match=r"other/config\.yaml"):
        restore(file, pawsort.config, other)
    assert os.listdir(other) == ["config.yaml"]


def test_a_backup_is_not_written_over_a_file(pawsort: Installation, file: Path, back_up: Backup) -> None:
    back_up()
    before = file.read_bytes()
    with pytest.raises(SettingsError, match="exists already"):
        back_up()
    assert file.read_bytes() == before


@pytest.mark.parametrize("damage", ["cut off", "a byte", "not one", "other content"])
def test_a_damaged_backup_is_noticed_before_anything_is_written(
    pawsort: Installation, file: Path, back_up: Backup, damage: str
) -> None:
    back_up()
    raw = bytearray(file.read_bytes())
    raw[500] ^= 1
    if damage == "other content":
        other = {"bytes": 0, "sha256": "0" * 64}
        manifest_with(file, files={"config.yaml": other, "database/pawsort": other})
        raw = bytearray(file.read_bytes())
    file.write_bytes({"cut off": file.read_bytes()[:-100], "not one": b"mine"}.get(damage, bytes(raw)))
    lose_state(pawsort)
    with pytest.raises(BackupDamagedError, match="damaged"):
        restore(file, pawsort.config, None)
    assert not pawsort.settings.state.exists()


def test_a_disk_that_writes_something_else_gives_no_backup(
    pawsort: Installation, file: Path, back_up: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = archive.verified

    def spoiled(path: Path, *rest: object) -> Manifest:
        raw = bytearray(path.read_bytes())
        raw[500] ^= 1
        path.write_bytes(raw)
        return real(path)

    monkeypatch.setattr(archive, "verified", spoiled)
    with pytest.raises(BackupDamagedError):
        back_up()
    assert os.listdir(file.parent) == []


def manifest_with(file: Path, **changes: object) -> None:
    """Write a backup again with another manifest."""
    with zipfile.ZipFile(file) as opened:
        contents = {name: opened.read(name) for name in opened.namelist()}
    values = json.loads(contents["manifest.json"])
    values["database"] |= changes.pop("database", {})  # type: ignore[arg-type]
    contents["manifest.json"] = json.dumps(values | changes).encode()
    with zipfile.ZipFile(file, "w") as opened:
        for name, content in contents.items():
            opened.writestr(name, content)


def test_a_backup_of_a_newer_pawsort_is_refused(pawsort: Installation, file: Path, back_up: Backup) -> None:
    back_up()
    manifest_with(file, database={"revision": "9999"})
    lose_state(pawsort)
    with pytest.raises(DatabaseError, match="made by a newer Pawsort"):
        restore(file, pawsort.config, None)
    assert not pawsort.settings.state.exists()


@pytest.mark.parametrize("name", ["state/../../escaped", "/etc/escaped", "state//x", "other"])
def test_a_member_that_leads_elsewhere_is_refused(
    pawsort: Installation, file: Path, back_up: Backup, name: str
) -> None:
    back_up()
    manifest_with(file, files={name: {"bytes": 0, "sha256": "0" * 64}})
    with pytest.raises(BackupDamagedError, match="expected the name of a member"):
        archive.verified(file)


def test_an_older_database_is_backed_up_restored_and_migrated(
    pawsort: Installation, file: Path, back_up: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pawsort.settings.state / "pawsort.db").unlink()
    make_old(pawsort.settings.database_url, "0004", monkeypatch)
    assert back_up().database.revision == "0004"
    lose_state(pawsort)
    done, again = restored(pawsort, file)
    assert done.migrated
    assert again.rows() == []
    again.close()


@pytest.mark.parametrize("state", ["claimed", "decoding", "decided"])
def test_rows_that_were_on_their_way_get_the_files_that_were_filed_since(
    tmp_path: Path, file: Path, state: str
) -> None:
    """The backup is of a moment between two steps of a file; that was filed after it."""
    pawsort = Installation(tmp_path, SMALL)
    pawsort.file(b"before.jpg", b"before")
    pawsort.claim(b"a.jpg", decided=state == "decided")
    if state == "decoding":
        pawsort.ledger.begin_decoding([(2, sha256(b"cat").hexdigest())], False, pawsort.now())
    make(pawsort.settings, pawsort.config, file)
    pawsort.run_worker()
    pawsort.drop("c.jpg", b"<cat> later")
    pawsort.run_worker()
    there = pawsort.sorted()
    lose_state(pawsort)
    _, again = restored(pawsort, file)
    repaired(again)
    again.run_worker()
    rows = again.rows("name, state, path")
    assert [row[:2] for row in rows] == [("before.jpg", "filed"), ("a.jpg", "filed"), ("c.jpg", "filed")]
    assert {str(Path(row[2]).relative_to(again.settings.sorted)) for row in rows} == there
    assert again.sorted() == there and len(again.rows()) == 3
    assert list(check.examine(again.engine, again.settings)) == []
    again.close()


def test_what_killed_restores_left_is_deleted(
    pawsort: Installation, file: Path, back_up: Backup, tmp_path: Path
) -> None:
    back_up()
    state = tmp_path / "again/state"
    (state / ".restore-killed").mkdir(parents=True)
    (state / ".restore-killed/database").write_text("half")
    (state / "pawsort.db.999999999.new").write_text("half")
    restore(file, pawsort.config, tmp_path / "again")
    assert sorted(os.listdir(state)) == ["pawsort.db", "worker.lock"]
