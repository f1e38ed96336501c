"""An engine of one worker on PostgreSQL: it sees and makes rows of its own files alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, event, select

from db.connection.engine import DatabaseReserved, DatabaseUnavailable, owned_by, reading, reserved, writing
from db.connection.session_locks import REPORTER, lock_of_one
from db.ledger import workers
from db.ledger.ledger import Ledger, LedgerError
from db.queries import browse, listing
from db.queries.browse import Choice
from db.queries.workers import all_workers
from db.schema.tables import files
from tests.db.conftest import NOON, SPOOL, claim, filed, later, verdict


@pytest.fixture
def server(engine: Engine) -> Engine:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one worker")
    return engine


@pytest.fixture
def two(server: Engine) -> Iterator[tuple[Engine, Engine]]:
    ids = [workers.register(server, name, name * 8) for name in ("ann", "bob")]
    owned = [owned_by(server, id) for id in ids]
    yield owned[0], owned[1]
    for engine in owned:
        engine.dispose()


def test_rows_of_another_are_neither_seen_nor_changed(two: tuple[Engine, Engine], server: Engine) -> None:
    ann, bob = (Ledger(engine, SPOOL) for engine in two)
    mine, other = filed(ann), filed(bob)  # the same path, dev and inode
    assert [entry.id for entry in ann.entries([mine, other])] == [mine]
    with pytest.raises(LedgerError, match="0 of 1"):
        ann.relocate({other: b"/elsewhere"}, NOON)
    with pytest.raises(LedgerError):
        ann.begin_move(other, "correct", b"/x", "dogs", "dog", "ann", NOON)
    rows = [(row["id"], row["worker"]) for row in listing.results(server, listing.ResultFilter())]
    assert sorted(rows) == [(mine, "ann"), (other, "bob")]


def test_unfinished_files_and_moves_are_those_of_the_worker(two: tuple[Engine, Engine]) -> None:
    ann, bob = (Ledger(engine, SPOOL) for engine in two)
    [ticket] = ann.claim([claim()], NOON)
    assert bob.unfinished() == []
    ann.decide([verdict(ticket.id)], later(1))
    ann.file([ticket.id], later(2))
    move = ann.begin_move(ticket.id, "correct", b"/sorted/dogs/a.jpg", "dogs", "dog", "ann", later(3))
    assert bob.pending_moves() == []
    assert [found.id for found in ann.pending_moves()] == [move.id]
    with pytest.raises(LedgerError):
        bob.finish_move(move.id, later(4))
    ann.finish_move(move.id, later(4))
    assert bob.moves(ticket.id) == []


def test_a_session_that_only_reads_sees_its_own_rows(two: tuple[Engine, Engine], server: Engine) -> None:
    filed(Ledger(two[0], SPOOL))
    reader = owned_by(server, 2, "read")
    with reading(reader) as connection:
        assert connection.execute(select(files.c.id)).all() == []
        assert connection.exec_driver_sql("SHOW default_transaction_read_only").scalar() == "on"
    reader.dispose()


def test_the_server_soon_notices_a_machine_that_is_gone(two: tuple[Engine, Engine]) -> None:
    """Its lock would keep it from starting again."""
    for engine in two:
        with reading(engine) as connection:
            shown = [
                connection.exec_driver_sql(f"SHOW tcp_keepalives_{name}").scalar()
                for name in ("idle", "interval", "count")
            ]
        assert shown == ["20", "5", "4"]


def test_two_workers_hold_their_locks_at_once_and_one_of_them_not_twice(
    two: tuple[Engine, Engine], server: Engine
) -> None:
    again = owned_by(server, 1)
    with reserved(two[0]), reserved(two[1]), pytest.raises(DatabaseReserved, match="same name"):
        reserved(again).__enter__()
    again.dispose()


def test_the_first_worker_gets_the_rows_of_before_and_a_name_stays_its_owners(server: Engine) -> None:
    old = filed(Ledger(server, SPOOL))
    assert workers.register(server, "ann", "a" * 32) == 1
    assert workers.register(server, "bob", "b" * 32) == 2
    assert workers.register(server, "carl", "a" * 32) == 1  # renamed
    with pytest.raises(DatabaseReserved, match="take-over bob"):
        workers.register(server, "bob", "c" * 32)
    assert workers.register(server, "bob", "c" * 32, take_over=True) == 2
    assert [worker.name for worker in all_workers(server)] == ["ann", "bob"]  # until it starts
    owned = owned_by(server, 1)
    assert [entry.id for entry in Ledger(owned, SPOOL).entries([old])] == [old]
    owned.dispose()


def test_a_worker_that_has_files_takes_over_no_others(server: Engine) -> None:
    workers.register(server, "ann", "a" * 32)
    workers.register(server, "bob", "b" * 32)
    filed(Ledger(server, SPOOL))  # of the first
    with pytest.raises(DatabaseReserved, match="has files of its own"):
        workers.register(server, "bob", "a" * 32, take_over=True)


def test_a_role_with_an_empty_schema_of_its_own_uses_the_tables_of_the_next(server: Engine) -> None:
    with writing(server) as connection:
        connection.exec_driver_sql("CREATE SCHEMA pawsort")  # "$user" of the search path
    try:
        bob = owned_by(server, workers.register(server, "bob", "b" * 8))
        assert Ledger(bob, SPOOL).unfinished() == []
        bob.dispose()
    finally:
        with writing(server) as connection:
            connection.exec_driver_sql("DROP SCHEMA pawsort")


def test_a_session_that_ends_while_it_takes_its_lock_is_replaced(server: Engine) -> None:
    locks, pids = lock_of_one(server, REPORTER, 1), []

    def end_once(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "pg_try_advisory_lock" in statement and not pids:
            pids.append(connection.connection.dbapi_connection.info.backend_pid)  # type: ignore[union-attr]
            with reading(other) as killer:
                killer.exec_driver_sql("SELECT pg_terminate_backend(%s, 5000)", (pids[0],))

    other = owned_by(server, 1)
    event.listen(server, "before_cursor_execute", end_once)
    with pytest.raises(DatabaseUnavailable):
        locks.hold()
    assert not locks.is_held
    assert locks.hold()
    locks.free()
    other.dispose()
    event.remove(server, "before_cursor_execute", end_once)


def test_a_worker_that_comes_to_the_database_keeps_no_other_from_its_sign_of_life(server: Engine) -> None:
    """Else one that falls asleep then would make all others silent."""
    ann = workers.register(server, "ann", "a" * 8)
    seen: list[str] = []

    def beat(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO workers"):
            workers.beat(connection.engine, ann, {}, None)
            seen.append(statement)

    event.listen(server, "after_cursor_execute", beat)
    try:
        assert workers.register(server, "bob", "b" * 8) == 2
    finally:
        event.remove(server, "after_cursor_execute", beat)
    assert seen


def test_the_rows_of_a_worker_are_found_by_an_index_and_not_among_those_of_others(
    two: tuple[Engine, Engine], server: Engine
) -> None:
    """Also those of the first worker: it follows its files page by page while the worker runs."""
    for owner in two:
        filed(Ledger(owner, SPOOL))
        with reading(owner) as connection:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            newest = connection.exec_driver_sql("EXPLAIN SELECT max(id) FROM files").scalars().all()
        assert any("using ix_files_worker on files" in step for step in newest), newest
    with reading(server) as connection:
        found = [browse.rarest(connection, Choice(worker=name)) for name in ("ann", "bob", "eve")]
    assert found == [[1], [2], []]


def test_a_search_path_with_temporary_objects_last_shows_no_rows_of_others(
    two: tuple[Engine, Engine], server: Engine
) -> None:
    """So guides to PostgreSQL advise it; then the tables would hide the views of own rows."""
    filed(Ledger(two[0], SPOOL))
    with writing(server) as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {server.url.database} SET search_path = public, pg_temp")
    try:
        bob = owned_by(server, 2)
        with reading(bob) as connection:
            assert connection.execute(select(files.c.id)).all() == []
        bob.dispose()
    finally:
        with writing(server) as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {server.url.database} RESET search_path")
