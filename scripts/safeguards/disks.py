# ruff: noqa: E501
"""Safeguards: kills, disks, rights and file systems: nothing is lost."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "no file opened as a stream that was closed", "pipeline/entry.py",
        "    _open_standard_streams()\n",
        "",
        (), ("pipeline/cli/test_standard_streams.py::test_closed_streams_lead_nowhere_in_children_too",),
    ),
    of(
        "fsync of folders", "pipeline/files/folders.py",
        "            os.fsync(descriptor)\n",
        "            pass\n",
        (63, 68), ("pipeline/files/test_moves.py::test_the_copy_is_durable_before_the_source_goes",),
    ),
    of(
        "fsync of folders before `filed` is committed", "pipeline/worker/steps/place.py",
        "        moves.sync_folders(self._unsynced)\n",
        "",
        (63,), ("pipeline/worker/test_storage.py::test_renames_are_durable_before_the_ledger_relies_on_them",),
    ),
    of(
        "fsync of folders after the claim", "pipeline/worker/steps/claim.py",
        "        moves.sync_folders(self._unsynced)\n",
        "",
        (63,), ("pipeline/worker/test_storage.py::test_renames_are_durable_before_the_ledger_relies_on_them",),
    ),
    of(
        "fsync of a copy", "pipeline/files/copy.py",
        "        os.fsync(target)\n",
        "",
        (68,), ("pipeline/files/test_moves.py::test_the_copy_is_durable_before_the_source_goes",),
    ),
    of(
        "reading a copy back", "pipeline/files/copy.py",
        "if os.fstat(target).st_size != size or _digest(target) != digest.hexdigest():",
        "if False:",
        (68,), ("pipeline/files/test_moves.py::test_a_bad_copy_is_noticed",),
    ),
    of(
        "rename without overwriting", "pipeline/files/renames.py",
        "_RENAME_NOREPLACE = 1\n",
        "_RENAME_NOREPLACE = 0\n",
        (38,), ("pipeline/files/test_renames.py::test_rename_never_overwrites",),
    ),
    of(
        "a correction that was neither made nor reverted stays open", "pipeline/corrections/recorded_move.py",
        "                if not left_nothing(pairs(entry, move)):\n",
        "                if False:\n",
        (), ("pipeline/corrections/test_interrupted_moves.py::test_whatever_fails_no_file_is_there_twice",),
    ),
    of(
        "a source that changes while it is copied", "pipeline/files/moves.py",
        "            if identity(source) != before:\n",
        "            if False:\n",
        (), ("pipeline/files/test_moves.py::test_a_file_written_to_during_the_copy_stays",),
    ),
    of(
        "a source that was replaced after the copy", "pipeline/files/moves.py",
        "        if identity(source) == copied:\n",
        "        if True:\n",
        (), ("pipeline/files/test_moves.py::test_a_file_replaced_after_the_copy_stays",),
    ),
    of(
        "no removal of a file's only name", "pipeline/files/moves.py",
        "    elif not _is_one_entry(source, destination):\n",
        "    else:\n",
        (), ("pipeline/files/test_moves.py::test_resume_never_removes_the_only_name_of_a_file",),
    ),
    of(
        "another disk under `sorted`", "pipeline/worker/steps/place.py",
        "        self._root.check()\n",
        "",
        (70,), ("pipeline/worker/test_storage.py::test_another_disk_in_place_of_sorted_takes_nothing",),
    ),
    of(
        "another disk mounted in place of that of `sorted`", "pipeline/files/known_folder.py",
        " or not self._parts or not all(map(is_folder, self._parts)):\n",
        ":\n",
        (70,), ("pipeline/files/test_known_folder.py::test_an_empty_folder_on_another_disk_is_another",),
    ),
    of(
        "a bare mount point", "pipeline/worker/startup.py",
        "    if filed:\n",
        "    if False:\n",
        (), ("pipeline/service/test_service.py::test_a_bare_mount_point_takes_no_files",),
    ),
    of(
        "recovery before any claim", "pipeline/worker/loop.py",
        "            if not self._recovered:\n                return",
        "            if False:\n                return",
        (), ("pipeline/worker/test_storage.py::test_nothing_is_taken_before_the_recovery_is_done",),
    ),
    of(
        "the worker's lock", "pipeline/worker/locks.py",
        "            if time.monotonic() > until:\n                return False\n",
        "            if time.monotonic() > until:\n                return True\n",
        (76,), ("pipeline/worker/test_locks.py::test_a_second_worker_is_refused_with_the_process_of_the_first",),
    ),
    of(
        "folders inside each other", "pipeline/settings/overlapping_folders.py",
        "        if inner.is_relative_to(outer):\n",
        "        if False:\n",
        (78,), ("pipeline/settings/test_config.py::test_a_layout_that_would_feed_on_itself_is_refused",),
    ),
    of(
        "`%` and `?` in the path of the database", "db/connection/paths_in_urls.py",
        '    return str(path).replace("%", "%25").replace("?", "%3F")\n',
        "    return str(path)\n",
        (), ("pipeline/settings/test_config.py::test_the_database_lies_in_the_state_whatever_the_folder_is_called",),
    ),
    of(
        "photos of the installation that was copied", "pipeline/corrections/recorded_move.py",
        '        if not (entry.path or b"").startswith(sorted_) or not os.path.lexists(entry.path or b""):\n',
        '        if not os.path.lexists(entry.path or b""):\n',
        (), ("pipeline/corrections/test_relocation.py::test_a_copied_installation_moves_no_photo_of_the_first",),
    ),
    of(
        "O_NOFOLLOW when a file is copied", "pipeline/files/safe_open.py",
        "_FILE = os.O_RDONLY | os.O_NOFOLLOW |",
        "_FILE = os.O_RDONLY |",
        (), ("pipeline/files/test_moves.py::test_sha256_and_identity_follow_no_links", "pipeline/files/test_moves.py::test_only_regular_files_are_copied",),
    ),
    of(
        "recovery of unfinished files", "pipeline/worker/recovery.py",
        "            self._enqueue_or_retry(entry, at)\n        return len(entries)",
        "            pass\n        return len(entries)",
        (58, 59), ("faults/test_sweep.py::test_killed_at_any_system_call_nothing_is_lost", "faults/test_sweep.py::test_killed_again_in_recovery_nothing_is_lost",),
    ),
    of(
        "an orderly end on SIGTERM", "pipeline/processes.py",
        "STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)\n",
        "STOP_SIGNALS = (signal.SIGINT, signal.SIGHUP)\n",
        (60,), ("faults/test_disks.py::test_a_signal_at_any_moment_ends_it_in_time",),
    ),
    of(
        "an end at once on the second signal", "pipeline/processes.py",
        "        if received:\n            os._exit(128 + number)\n",
        "",
        (61,), ("faults/test_disks.py::test_a_second_signal_ends_it_at_once",),
    ),
    of(
        "commits that survive a power cut", "db/connection/sqlite.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        (62,), ("faults/test_disks.py::test_a_power_cut_loses_nothing_that_was_accepted",),
    ),
    of(
        "retries after system errors", "pipeline/worker/loop.py",
        "        except (OSError, DatabaseUnavailable) as error:\n            self._back_off",
        "        except DatabaseUnavailable as error:\n            self._back_off",
        (64, 66, 74), ("pipeline/worker/test_storage.py::test_a_full_disk_pauses_and_the_work_goes_on_by_itself", "faults/test_disks.py::test_a_small_disk_in_trouble_under_the_folders",),
    ),
    of(
        "a full disk is no damaged database", "db/connection/errors.py",
        "    sqlite3.SQLITE_FULL: (DatabaseUnavailable,",
        "    sqlite3.SQLITE_FULL: (DatabaseError,",
        (65,), ("db/connection/test_engine.py::test_a_full_disk_is_a_passing_trouble",),
    ),
    of(
        "a database gets its name when it is complete", "db/connection/engine.py",
        "            with translated(path):\n                sqlite.refuse_unfinished(scratch, path)\n",
        "",
        (67,), ("db/connection/test_engine.py::test_a_database_that_is_not_whole_never_gets_its_name",),
    ),
    of(
        "a copy if a rename is impossible", "pipeline/files/moves.py",
        "        if error.errno != errno.EXDEV:\n            raise\n        _copy_across(source, destination)\n",
        "        raise\n",
        (68, 69), ("pipeline/files/test_moves.py::test_the_copy_is_durable_before_the_source_goes", "faults/test_disks.py::test_a_bind_mount_is_filed_into_by_copy",),
    ),
    of(
        "one log line for a repeated error", "pipeline/watch/skipped_entries.py",
        "        if path in self._logged or len(self._logged) >= MOST:\n            return\n",
        "",
        (71,), ("pipeline/watch/test_inbox.py::test_a_file_that_cannot_be_had_is_reported_once_and_offered_again",),
    ),
    of(
        "a link removed if its source stays", "pipeline/files/renames.py",
        "    with undone_on_error(destination):\n        os.unlink(source)\n",
        "    os.unlink(source)\n",
        (72,), ("pipeline/files/test_renames.py::test_a_link_is_taken_back_when_the_source_cannot_go",),
    ),
    of(
        "one file that cannot be moved", "pipeline/worker/steps/claim.py",
        "            if error.errno in SYSTEM_ERRNOS - {errno.EROFS}:\n                raise\n",
        "            raise\n",
        (73,), ("pipeline/worker/test_storage.py::test_a_file_that_cannot_be_moved_has_no_row_and_delays_no_other",),
    ),
    of(
        "folders closed after use", "pipeline/files/safe_open.py",
        "        raise\n    finally:\n        os.close(folder)\n\n\ndef refuse",
        "        raise\n    finally:\n        pass\n\n\ndef refuse",
        (75,), ("faults/test_disks.py::test_no_descriptor_is_leaked",),
    ),
    of(
        "a place of its own for each waiting file", "pipeline/worker/steps/place.py",
        "        files = (*self._decided, *self._retries)\n",
        "        files = self._decided\n",
        (72,), ("pipeline/worker/test_refused_folders.py::test_files_of_one_name_that_wait_have_a_place_each",),
    ),
    of(
        "a plain name if a disk refuses the name", "pipeline/files/folders.py",
        "            raise\n        return -len(parts)\n",
        "            raise\n        return None\n",
        (), ("pipeline/worker/test_refused_names.py::test_each_part_that_is_refused_becomes_plain_and_no_other",),
    ),
    of(
        "an unwritable folder detected before the claim", "pipeline/watch/groups.py",
        "file.source, movable=file.action is None) as now:",
        "file.source) as now:",
        (72,), ("pipeline/worker/test_refused_inboxes.py::test_a_closed_folder_is_logged_once_claims_nothing_and_is_taken_from_when_it_is_open_again",),
    ),
    of(
        "a refused claim given back", "pipeline/worker/steps/claim.py",
        "            self._ledger.unclaim(self._to_unclaim)\n",
        "",
        (72,), ("pipeline/worker/test_refused_inboxes.py::test_a_move_that_is_refused_gives_its_claim_back",),
    ),
    of(
        "an unwritable folder under `sorted` delays only its own files", "pipeline/worker/steps/place.py",
        "        if self._is_for_all(error, root):\n            raise error\n",
        "        raise error\n",
        (72,), ("pipeline/worker/test_refused_folders.py::test_only_the_files_of_a_folder_that_refuses_wait_and_keep_their_names",),
    ),
    of(
        "folders with long paths synced", "pipeline/files/folders.py",
        "    if len(folder) <= PATH_MAX:\n        return",
        "    if True:\n        return",
        (), ("faults/test_deep.py::test_a_file_at_the_end_of_a_long_way_is_filed_and_so_are_its_neighbours",),
    ),
)  # fmt: skip
