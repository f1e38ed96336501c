"""`pawsort workers`: who there is, and a machine that takes the place of another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from db.connection.engine import reserved
from pipeline.errors import DatabaseError
from pipeline.settings import config
from pipeline.worker.identity import FILE_NAME, own_id, remembered
from pipeline.worker.locks import worker_lock
from pipeline.worker.startup import prepare_folders
from tests.pipeline.cli.conftest import Run
from tests.pipeline.many_workers.conftest import Machine
from tests.support.installation import QUICK, Installation
from tests.support.old_database import make_old
from tests.support.oracle import conserved


@pytest.fixture
def new(ann: Machine, tmp_path: Path) -> Path:
    """The settings file of a machine that has no state folder yet, and the photos of `ann`."""
    ann.drop("a.jpg", b"a<cat>")
    ann.run_worker()
    path = tmp_path / "new.yaml"
    inboxes = ", ".join(map(str, ann.settings.inboxes))
    place = f"inboxes: [{inboxes}]\nsorted: {ann.settings.sorted}\nstate: new state\n"
    path.write_text(f"{place}database: {ann.settings.database_url}\n", encoding="utf-8")
    return path


def listed(run: Run, path: Path) -> list[tuple[str, bool, bool]]:
    done = run("workers", "--json", "--config", str(path))
    assert done.code == 0, done.err
    return [(each["name"], each["runs"], each["here"]) for each in json.loads(done.out)]


def test_it_lists_the_workers_and_which_run(ann: Machine, bob: Machine, run: Run) -> None:
    with reserved(ann.engine):
        assert listed(run, bob.config) == [("ann", True, False), ("bob", False, True)]
    assert listed(run, ann.config) == [("ann", False, True), ("bob", False, False)]
    assert run("workers", "--config", str(ann.config)).out.split()[:2] == ["name", "runs"]


def test_the_only_worker_of_sqlite_is_listed_too(pawsort: Installation, run: Run) -> None:
    assert listed(run, pawsort.config) == []
    done = run("workers", "--take-over", "ann", "--config", str(pawsort.config))
    assert (done.code, "no worker 'ann'" in done.err) == (2, True)


def test_a_new_machine_takes_the_place_of_one_that_is_lost(ann: Machine, new: Path, run: Run) -> None:
    assert run("doctor", "--config", str(new)).code == DatabaseError.exit_code, "it has no files yet"
    done = run("workers", "--take-over", "ann", "--config", str(new))
    assert done.code == 0, done.err
    assert listed(run, new) == [("ann", False, True)]
    prepare_folders(config.load(new))
    doctor = run("doctor", "--hashes", "--config", str(new))
    assert (doctor.code, doctor.err) == (0, ""), doctor.out
    conserved(config.load(new), ann.injected)
    # The old machine is refused from now on: its token is not known any more.
    assert run("doctor", "--config", str(ann.config)).code == DatabaseError.exit_code


@pytest.mark.fault(76)
def test_a_worker_that_runs_is_not_replaced(ann: Machine, new: Path, run: Run) -> None:
    with reserved(ann.engine):
        done = run("workers", "--take-over", "ann", "--config", str(new))
    assert (done.code, "stop it first" in done.err) == (5, True)
    assert own_id(ann.everyone, ann.settings) == ann.id


def test_a_worker_at_work_here_takes_no_other_place(ann: Machine, bob: Machine, run: Run) -> None:
    with worker_lock(bob.settings):
        assert run("workers", "--take-over", "ann", "--config", str(bob.config)).code == 5


def test_only_a_worker_without_files_takes_the_place_of_another(
    ann: Machine,
    bob: Machine,
    run: Run,
) -> None:
    bob.file(b"b.jpg")
    ask = "workers", "--take-over", "ann", "--config", str(bob.config)
    assert run(*ask).code == 5
    with bob.everyone.begin() as connection:
        connection.exec_driver_sql("DELETE FROM files")
    assert run(*ask).code == 0
    assert listed(run, bob.config) == [("ann", False, True)], "the row of bob is free"
    third = Machine(bob.folder.parent, bob.settings.database_url, "third")
    assert third.id == bob.id
    third.close()


def test_a_damaged_identity_says_what_to_do(ann: Machine, run: Run) -> None:
    (ann.settings.state / FILE_NAME).write_text("{")
    done = run("doctor", "--config", str(ann.config))
    assert (done.code, "--take-over" in done.err) == (2, True)
    (ann.settings.state / FILE_NAME).unlink()
    assert run("workers", "--take-over", "ann", "--config", str(ann.config)).code == 0
    known = remembered(ann.settings.state)
    assert known
    assert known.name == "ann"
    assert own_id(ann.everyone, ann.settings) == ann.id


def test_rows_from_before_there_could_be_many_are_those_of_the_commands_too(
    tmp_path: Path,
    postgres_url: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the upgrade, and before the worker has started."""
    make_old(postgres_url, "0007", monkeypatch)
    path = tmp_path / "one" / "config.yaml"
    path.parent.mkdir()
    path.write_text(f"{QUICK}database: {postgres_url}\n")
    assert run("db", "upgrade", "--no-backup", "--config", str(path)).code == 0
    prepare_folders(config.load(path))
    assert run("doctor", "--config", str(path)).code == 0
    assert run("doctor", "--repair", "--config", str(path)).code == 0
