# ruff: noqa: E501
"""Safeguards: backups, moving to another place, and what is deleted after some days."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a copy of the database of one moment", "db/connection/snapshots.py",
        "        source.execute(\"BEGIN\")\n",
        "",
        (), ("db/connection/test_snapshots.py::test_a_worker_that_commits_meanwhile_is_not_waited_for",),
    ),
    of(
        "the check of a copy of the database", "db/connection/snapshots.py",
        "        if said != \"ok\":\n",
        "        if False:\n",
        (), ("db/connection/test_snapshots.py::test_a_damaged_database_gives_no_copy",),
    ),
    of(
        "passwords out of the arguments of pg_dump", "db/connection/postgres_dump.py",
        "        if address is not None:\n            service.write(_service(address))\n",
        "        if address is not None:\n            command = [*command, address.render_as_string(False)]\n            service.write(_service(address))\n",
        (), ("db/connection/test_snapshots.py::test_the_password_of_a_server_is_in_no_argument",),
    ),
    of(
        "a backup verified before it has its name", "pipeline/backup/archive.py",
        "            if found != expected:\n",
        "            if False:\n",
        (), ("pipeline/backup/test_backup.py::test_a_damaged_backup_is_noticed_before_anything_is_written",),
    ),
    of(
        "a restore overwrites nothing", "pipeline/backup/restore.py",
        "    if there:\n",
        "    if False:\n",
        (), ("pipeline/backup/test_backup.py::test_a_restore_overwrites_nothing",),
    ),
    of(
        "members of a backup stay in their folder", "pipeline/backup/manifest.py",
        "    if not known or \"\\0\" in name or \"..\" in parts or \"/\".join(parts) != name:\n",
        "    if False:\n",
        (), ("pipeline/backup/test_backup.py::test_a_member_that_leads_elsewhere_is_refused",),
    ),
    of(
        "a backup of a newer Pawsort", "db/connection/snapshots.py",
        "    if revision not in REVISIONS:\n",
        "    if False:\n",
        (), ("pipeline/backup/test_backup.py::test_a_backup_of_a_newer_pawsort_is_refused",),
    ),
    of(
        "older backups deleted only after a new one", "pipeline/backup/scheduled.py",
        "        _lower_priority()\n        made",
        "        _lower_priority()\n        prune(self.settings.backups, self.settings.backup.keep, self.config)\n        made",
        (), ("pipeline/backup/test_scheduled.py::test_a_backup_that_fails_deletes_none",),
    ),
    of(
        "the mark of a state folder that was moved", "pipeline/relocate/marker.py",
        "    if os.path.realpath(to) == os.path.realpath(state):\n",
        "    if True:\n",
        (), ("pipeline/relocate/test_relocate.py::test_all_rows_follow_and_nothing_is_taken_again",),
    ),
    of(
        "no correction where the state folder was moved away", "pipeline/cli/options.py",
        "        refuse_moved(settings.state)\n",
        "        pass\n",
        (), ("pipeline/relocate/test_relocate.py::test_all_rows_follow_and_nothing_is_taken_again",),
    ),
    of(
        "no pages where the state folder was moved away", "pipeline/cli/serve_command.py",
        "    refuse_moved(settings.state)\n",
        "",
        (), ("pipeline/relocate/test_relocate.py::"
             "test_no_pages_are_served_from_a_state_folder_that_was_moved",),
    ),
    of(
        "the old state folder marked before rows follow", "pipeline/relocate/follow.py",
        "            marker.mark(made.old_state, settings.state, now)\n",
        "",
        (), ("pipeline/relocate/test_relocate.py::test_all_rows_follow_and_nothing_is_taken_again",),
    ),
    of(
        "a worker whose rows have not followed a move", "pipeline/service/service.py",
        "        refuse_unfollowed(own, settings)\n",
        "",
        (), ("pipeline/relocate/test_relocate.py::test_a_worker_whose_rows_have_not_followed_refuses_to_start",),
    ),
    of(
        "a worker on the folders that were left", "pipeline/relocate/plan.py",
        "    if pid is None and not is_fresh:\n",
        "    if True:\n",
        (), ("pipeline/relocate/test_relocate.py::test_a_worker_at_work_stops_it",),
    ),
    of(
        "files at their old place only", "pipeline/relocate/plan.py",
        "    if left:\n",
        "    if False:\n",
        (), ("pipeline/relocate/test_relocate.py::test_a_file_that_is_only_at_the_old_place_stops_it",),
    ),
    of(
        "originals without their times", "pipeline/relocate/plan.py",
        "    if changed > kept:\n",
        "    if False:\n",
        (), ("pipeline/relocate/test_relocate.py::test_originals_without_their_times_stop_it",),
    ),
    of(
        "rows that teach", "db/ledger/retention.py",
        "        files.c.corrected_to.is_(None), files.c.original.is_(None),\n        ~same",
        "        files.c.original.is_(None),\n        ~same",
        (), ("pipeline/retention/test_retention.py::test_a_row_on_which_something_depends_stays",),
    ),
    of(
        "rows that remember originals", "db/ledger/retention.py",
        "        files.c.corrected_to.is_(None), files.c.original.is_(None),\n        ~same",
        "        files.c.corrected_to.is_(None),\n        ~same",
        (), ("pipeline/retention/test_retention.py::test_a_forgotten_original_is_not_taken_again",),
    ),
    of(
        "rows that copies and spot checks name", "db/ledger/retention.py",
        "        ~same, ~checked, ~asked, ~moving,",
        "        ~moving,",
        (), ("pipeline/retention/test_retention.py::test_a_row_on_which_something_depends_stays",),
    ),
    of(
        "rows of photos that were put back", "db/ledger/retention.py",
        "files.c.state.in_((\"vanished\", \"removed\")),",
        "files.c.state.in_((\"vanished\", \"removed\", \"undone\")),",
        (), ("pipeline/retention/test_retention.py::test_a_row_on_which_something_depends_stays",),
    ),
    of(
        "rows that no report counts yet", "pipeline/retention/keeper.py",
        "min(self._now() - timedelta(days=days), reported)",
        "self._now() - timedelta(days=days)",
        (), ("pipeline/retention/test_retention.py::test_a_row_that_no_report_counts_yet_stays",),
    ),
    of(
        "failed files that a person touched", "pipeline/retention/failed_files.py",
        "    return stat.S_ISREG(found.st_mode) and entry.looks_like(found.st_size, found.st_mtime_ns)\n",
        "    return stat.S_ISREG(found.st_mode)\n",
        (), ("pipeline/retention/test_retention.py::test_a_failed_file_that_a_person_touched_stays",),
    ),
    of(
        "failed files that a person judged or moved", "db/ledger/retention.py",
        "files.c.reason != IMPORTED, ~moved,",
        "files.c.reason != IMPORTED,",
        (), ("pipeline/retention/test_retention.py::test_a_failed_file_that_a_person_touched_stays",),
    ),
    of(
        "failed files behind a link", "pipeline/retention/failed_files.py",
        "        return False  # not in failed/",
        "        pass  # not in failed/",
        (), ("pipeline/retention/test_retention.py::test_a_failed_file_behind_a_link_stays",),
    ),
    of(
        "files that were filed after a backup", "pipeline/doctor/repair.py",
        "            may_be_filed = problem.kind == \"missing\" or entry.action is not None\n",
        "            may_be_filed = False\n",
        (), ("pipeline/backup/test_backup.py::test_rows_that_were_on_their_way_get_the_files_that_were_filed_since",),
    ),
)  # fmt: skip
