"""Safeguards: many workers on one PostgreSQL."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_KILLED = (
    "pipeline/many_workers/test_killed_in_turn.py::test_each_file_has_one_row_and_no_worker_touches_anothers"
)
_ONE = "pipeline/many_workers/test_one_after_the_other.py"
_COMMANDS = "pipeline/many_workers/test_commands.py::test_a_command_changes_what_its_machine_has"
_LISTED = "pipeline/many_workers/test_workers_command.py"

_IDENTITY = "pipeline/many_workers/test_identity.py"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a worker that wakes does not go on where another has taken its place",
        "db/connection/postgres.py",
        "        if self._find_token() != self._token:\n",
        "        if False:\n",
        (),
        (f"{_IDENTITY}::test_a_worker_whose_place_was_taken_over_ends_also_if_it_was_asleep",),
    ),
    of(
        "a worker that starts does not take back its place",
        "db/ledger/workers.py",
        "        mine = update(workers).where(workers.c.id == id, *its)\n",
        "        mine = update(workers).where(workers.c.id == id)\n",
        (),
        (f"{_IDENTITY}::test_a_place_that_is_taken_over_while_its_worker_starts_is_not_taken_back",),
    ),
    of(
        "a reporter that is frozen leaves the reports to another",
        "pipeline/service/turns.py",
        "                end_session(self._engine, self._first, has_it)",
        "                pass",
        (),
        ("pipeline/service/test_shared_ledger.py::test_one_that_is_frozen_leaves_the_reports_to_another",),
    ),
    of(
        "a reporter that wakes looks before it reports",
        "pipeline/service/shared_ledger.py",
        "(not self._is_shared or age <= known_workers.SILENT_SECONDS)",
        "True",
        (),
        ("pipeline/service/test_shared_ledger.py::test_one_that_wakes_does_not_report_before_it_has_looked",),
    ),
    of(
        "who asks locks no file of another machine",
        "db/ledger/requests.py",
        "for row in connection.execute(rows)}",
        "for row in connection.execute(rows.with_for_update())}",
        (),
        ("pipeline/requests/test_asked_at_once.py::test_who_asks_does_not_keep_the_owner_from_its_file",),
    ),
    of(
        "a search path with temporary objects last shows no rows of others",
        "db/connection/postgres.py",
        "        cursor.execute(_TEMPORARY_FIRST)\n",
        "",
        (),
        (
            "db/connection/test_owned_rows.py::"
            "test_a_search_path_with_temporary_objects_last_shows_no_rows_of_others",
        ),
    ),
    of(
        "an upload into a divided inbox is of the part of this machine",
        "pipeline/web/services/delivery.py",
        "        while share and not share.has(_stem_of(digest).encode()):\n",
        "        while False:\n",
        (),
        (
            "pipeline/web/services/test_delivery.py::"
            "test_in_a_divided_inbox_an_upload_is_of_the_part_of_this_machine",
        ),
    ),
    of(
        "no correction of another person is undone unseen",
        "pipeline/requests/asking.py",
        "return after_request(self.engine, file, self.by)",
        "return after_request(self.engine, file)",
        (),
        (
            "pipeline/requests/test_asked_at_once.py::"
            "test_who_saw_a_photo_before_anothers_correction_does_not_undo_that",
        ),
    ),
    of(
        "machines that draw at once draw no photo twice",
        "db/ledger/spot_checks.py",
        "            lock_draws(connection)\n",
        "            pass\n",
        (),
        ("db/queries/test_spot_checks.py::test_machines_that_draw_at_once_draw_no_photo_twice",),
    ),
    of(
        "a database that a worker uses is not upgraded",
        "db/connection/versions.py",
        "        _refuse_workers(connection, where)\n",
        "        pass\n",
        (),
        ("db/connection/test_versions.py::test_a_database_that_a_worker_uses_is_not_upgraded",),
    ),
    of(
        "a lock that was taken halfway is freed",
        "db/connection/session_locks.py",
        "            self.free()  # the session may live, and have some of the locks\n",
        "",
        (),
        ("db/connection/test_owned_rows.py::test_a_session_that_ends_while_it_takes_its_lock_is_replaced",),
    ),
    of(
        "a worker recovers its own rows alone",
        "pipeline/service/service.py",
        "settings, bundle, own, model,",
        "settings, bundle, engine, model,",
        (),
        (_KILLED,),
    ),
    of(
        "the follower has its own rows alone",
        "pipeline/service/service.py",
        "Follower(own, settings",
        "Follower(engine, settings",
        (),
        (_KILLED,),
    ),
    of(
        "a new machine is no bare mount of the others",
        "pipeline/service/service.py",
        "refuse_bare_mount(settings, bundle, own)",
        "refuse_bare_mount(settings, bundle, engine)",
        (),
        (_KILLED,),
    ),
    of(
        "cut-off moves are finished by their worker alone",
        "pipeline/service/service.py",
        "finish_moves(own, settings)",
        "finish_moves(engine, settings)",
        (),
        (_KILLED,),
    ),
    of(
        "doctor of one machine",
        "pipeline/cli/doctor_command.py",
        '        with own_files(settings, "read") as (own, _):\n',
        '        with own_files(settings, "read") as (_, own):\n',
        (),
        (_COMMANDS,),
    ),
    of(
        "a repair of one machine",
        "pipeline/cli/doctor_command.py",
        "repair.repair(own, settings",
        "repair.repair(engine, settings",
        (),
        (_COMMANDS,),
    ),
    of(
        "an undo of one machine",
        "pipeline/cli/correction_commands.py",
        "        done = here(own, named.mine, name)",
        "        done = here(everyone, named.mine, name)",
        (),
        (_COMMANDS,),
    ),
    of(
        "failed files of one machine",
        "pipeline/cli/upkeep_commands.py",
        "Keeper(own, settings, everyone=everyone)",
        "Keeper(everyone, settings, everyone=everyone)",
        (),
        (_COMMANDS,),
    ),
    of(
        "rows of one machine are forgotten",
        "db/ledger/retention.py",
        "        files.c.worker_id == worker, files.c.state.in_",
        "        files.c.state.in_",
        (),
        (f"{_ONE}::test_a_row_of_which_another_machine_has_a_copy_is_kept",),
    ),
    of(
        "a first copy elsewhere keeps its row",
        "pipeline/retention/keeper.py",
        "        self._everyone = everyone or engine\n",
        "        self._everyone = engine\n",
        (),
        (f"{_ONE}::test_a_row_of_which_another_machine_has_a_copy_is_kept",),
    ),
    of(
        "a copy is held beside a first one here alone",
        "pipeline/worker/steps/classify.py",
        " and earlier.is_here",
        "",
        (),
        (f"{_ONE}::test_copies_are_held_back_only_beside_a_first_one_here",),
    ),
    of(
        "copies are looked for on all machines",
        "pipeline/service/service.py",
        " everyone=engine,",
        "",
        (),
        (_KILLED,),
    ),
    of(
        "a command of a worker that never started",
        "pipeline/cli/options.py",
        "        if not own_id(everyone, settings):\n",
        "        if False:\n",
        (),
        (f"{_LISTED}::test_a_new_machine_takes_the_place_of_one_that_is_lost",),
    ),
    of(
        "a start waits for the end of the one before",
        "pipeline/worker/identity.py",
        "                if time.monotonic() >= until:\n",
        "                if True:\n",
        (),
        (
            "pipeline/many_workers/test_identity.py::test_it_waits_until_the_server_has_noticed_the_end_of_the_one_before",
        ),
    ),
    of(
        "a worker that runs is not replaced",
        "pipeline/worker/identity.py",
        ", reserved(its, own_mode(0o644)):\n        if mine is None",
        ":\n        if mine is None",
        (),
        (f"{_LISTED}::test_a_worker_that_runs_is_not_replaced",),
    ),
    of(
        "a worker with files takes no other place",
        "db/ledger/workers.py",
        "mine is not None and _has_no_files(connection, mine.id)",
        "mine is not None",
        (),
        (f"{_LISTED}::test_only_a_worker_without_files_takes_the_place_of_another",),
    ),
    of(
        "a group in one share",
        "pipeline/companions/shares.py",
        'folder + b"/" + group(name)',
        'folder + b"/" + name',
        (),
        ("pipeline/worker/test_divided_inbox.py::test_each_file_is_taken_by_one_and_groups_stay_together",),
    ),
    of(
        "one worker for each share",
        "pipeline/worker/locks.py",
        "_locked_place(real, fcntl.LOCK_EX, share)",
        "_locked_place(real, fcntl.LOCK_SH, share)",
        (),
        (
            "pipeline/worker/test_divided_inbox.py::test_two_shares_are_locked_at_once_and_neither_twice_nor_beside_the_whole",
        ),
    ),
)
