# ruff: noqa: E501
"""Safeguards: the database."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a lock that a server has lost", "db/connection/postgres.py",
        "        self._refuse_another(self._locks.hold())\n",
        "        pass\n",
        (76,), ("db/connection/test_engine.py::test_a_worker_notices_that_a_server_has_lost_its_lock",),
    ),
    of(
        "BEGIN IMMEDIATE", "db/connection/sqlite.py",
        "\"BEGIN IMMEDIATE\" if writes else \"BEGIN\"",
        "\"BEGIN\"",
        (80,), ("db/connection/test_engine.py::test_a_write_has_the_lock_from_its_beginning",),
    ),
    of(
        "synchronous FULL", "db/connection/sqlite.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        (), ("db/connection/test_engine.py::test_sqlite_is_set_up_as_designed",),
    ),
    of(
        "foreign keys", "db/connection/sqlite.py",
        "PRAGMA foreign_keys = ON",
        "PRAGMA foreign_keys = OFF",
        (), ("db/connection/test_engine.py::test_sqlite_is_set_up_as_designed",),
    ),
    of(
        "a database deleted or replaced while open", "db/connection/sqlite.py",
        "            if _identity(name) != identity:\n",
        "            if False:\n",
        (84,), ("db/connection/test_refused_databases.py::test_a_file_that_goes_while_open_is_noticed",),
    ),
    of(
        "quick_check at the start", "db/connection/sqlite.py",
        "    if said != \"ok\":\n",
        "    if False:\n",
        (83,), ("db/connection/test_refused_databases.py::test_a_damaged_page_is_found_at_start",),
    ),
    of(
        "the ledger read again after an unclear commit", "pipeline/worker/loop.py",
        "            if isinstance(error, CommitUnclear):\n",
        "            if False:\n",
        (67,), ("pipeline/worker/test_storage.py::test_a_commit_that_may_be_done_or_not_is_looked_up",),
    ),
    of(
        "an empty database file", "db/connection/sqlite.py",
        "    if os.path.isfile(path) and os.path.getsize(path) == 0:\n",
        "    if False:\n",
        (83,), ("db/connection/test_refused_databases.py::test_an_empty_file_is_refused",),
    ),
    of(
        "a connection in a forked child", "db/connection/engine.py",
        "        if os.getpid() != owner:\n",
        "        if False:\n",
        (87,), ("db/connection/test_processes.py::test_a_forked_child_is_refused",),
    ),
    of(
        "a transition only from its own state", "db/ledger/ledger.py",
        "    if done.rowcount != len(ids):\n",
        "    if False:\n",
        (), ("db/ledger/test_ledger.py::test_one_file_in_the_wrong_state_stops_the_whole_batch",),
    ),
    of(
        "the database reserved for one worker", "db/connection/sqlite.py",
        "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            pass\n",
        (76,), ("db/connection/test_engine.py::test_a_database_serves_one_worker_at_a_time",),
    ),
    of(
        "waiting for a locked database", "db/connection/errors.py",
        "    sqlite3.SQLITE_BUSY: (\n        DatabaseUnavailable,",
        "    sqlite3.SQLITE_BUSY: (\n        DatabaseError,",
        (79,), ("db/connection/test_engine.py::test_a_lock_that_stays_is_a_passing_trouble",),
    ),
    of(
        "the bound of the -wal", "db/connection/sqlite.py",
        "            connection.execute(f\"PRAGMA journal_size_limit = {WAL_BYTES}\")\n",
        "",
        (81,), ("faults/test_database.py::test_a_long_reader_does_not_stop_filing_and_the_wal_shrinks_after_it",),
    ),
    of(
        "new connections after an error", "pipeline/worker/loop.py",
        "            forget_connections(self._engine)\n",
        "",
        (82,), ("pipeline/worker/test_storage.py::test_a_database_that_may_be_written_again_is_written_again",),
    ),
    of(
        "the version of an older database", "db/connection/versions.py",
        "    if found != REVISIONS[-1]:\n        raise DatabaseError",
        "    if False:\n        raise DatabaseError",
        (85,), ("db/connection/test_refused_databases.py::test_an_older_database_is_refused_with_the_command",),
    ),
    of(
        "the version of a newer database", "db/connection/versions.py",
        "    if version not in REVISIONS:\n",
        "    if False:\n",
        (85,), ("db/connection/test_refused_databases.py::test_a_newer_database_is_refused",),
    ),
    of(
        "no partial database left behind", "db/connection/sqlite.py",
        "        _discard(scratch)\n        os.close",
        "        os.close",
        (86,), ("db/connection/test_versions.py::test_an_upgrade_that_fails_leaves_what_was",),
    ),
    of(
        "files without a row", "pipeline/doctor/check_files.py",
        "    elif not is_temporary(name):\n",
        "    elif False:\n",
        (88,), ("pipeline/doctor/test_check.py::test_a_file_without_a_row_is_unrecorded_unless_a_program_left_it",),
    ),
)  # fmt: skip
