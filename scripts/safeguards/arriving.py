# ruff: noqa: E501
"""Safeguards: files that arrive, in whatever way and of whatever kind."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "content that changed after the claim", "pipeline/worker/place.py",
        "            unchanged = moves.identity(file.spool)[2:] == file.identity[2:]\n",
        "            unchanged = os.path.lexists(file.spool)\n",
        (18,), ("pipeline/worker/test_races.py::test_writing_after_the_claim_starts_the_file_over",),
    ),
    of(
        "a scan after an overflow", "pipeline/watch/inbox.py",
        "overflow %d: events were lost; scanning\", self.path, self._lost)\n                self.rescan()\n",
        "overflow %d: events were lost; scanning\", self.path, self._lost)\n",
        (1, 2), ("pipeline/watch/test_inbox_events.py::test_an_overflow_in_the_kernel_starts_a_scan", "pipeline/watch/test_inbox_events.py::test_a_burst_arrives_complete_though_events_overflow",),
    ),
    of(
        "settle time", "pipeline/watch/stability.py",
        "        self._schedule(entry, now + self._settle)\n",
        "        self._schedule(entry, now)\n",
        (12,), ("pipeline/watch/test_stability.py::test_any_difference_starts_the_clock_again",),
    ),
    of(
        "the kernel lease on a file that is open for writing", "pipeline/files/safe_open.py",
        "return False if error.errno == errno.EAGAIN else None",
        "return None",
        (11,), ("pipeline/worker/test_races.py::test_a_file_that_is_still_written_to_is_not_taken",),
    ),
    of(
        "a writer noticed when a file is hashed", "pipeline/worker/classify.py",
        "!= file.identity[2:] or print_.written_to:\n",
        "!= file.identity[2:]:\n",
        (18,), ("pipeline/worker/test_races.py::test_a_file_that_is_open_for_writing_when_it_is_read_waits_for_its_writer",),
    ),
    of(
        "O_NOFOLLOW in an inbox", "pipeline/files/safe_open.py",
        "_FILE = os.O_RDONLY | os.O_NOFOLLOW |",
        "_FILE = os.O_RDONLY |",
        (25,), (
            "pipeline/files/test_safe_open.py::test_nothing_but_a_regular_file_is_opened",
            "pipeline/classifier/test_file_checks.py::test_a_link_has_no_fingerprint",
        ),
    ),
    of(
        "O_NOFOLLOW on the way", "pipeline/files/safe_open.py",
        "_FOLDER | os.O_NOFOLLOW, dir_fd=fd",
        "_FOLDER, dir_fd=fd",
        (29, 30), ("pipeline/files/test_safe_open.py::test_a_check_does_not_follow_links_on_the_way",),
    ),
    of(
        "O_NONBLOCK in an inbox", "pipeline/files/safe_open.py",
        "os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY",
        "os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY",
        (24,), (
            "pipeline/files/test_safe_open.py::test_nothing_but_a_regular_file_is_opened",
            "pipeline/classifier/test_file_checks.py::test_a_fifo_is_refused_without_waiting",
        ),
    ),
    of(
        "the size limit of a file", "pipeline/classifier/file_checks.py",
        "        if status.st_size > limits.file_bytes:\n",
        "        if False:\n",
        (31,), ("pipeline/classifier/test_file_checks.py::test_a_sparse_terabyte_is_refused_without_reading_it",),
    ),
    of(
        "one log line for each record", "pipeline/logs.py",
        "{record.levelname} {printable(record.getMessage())}",
        "{record.levelname} {record.getMessage()}",
        (34,), ("pipeline/test_logs.py::test_a_hostile_name_stays_on_its_line",),
    ),
    of(
        "the scan for files that are there already", "pipeline/watch/inbox.py",
        "        self._scanner.advance(self._clock() + SLICE_SECONDS, self._clock)\n",
        "",
        (3,), ("pipeline/watch/test_inbox.py::test_files_that_are_there_at_the_start_arrive_from_any_depth",),
    ),
    of(
        "the scan of folders of any name", "pipeline/watch/scanner.py",
        "                self.push(path)\n                return\n",
        "                return\n",
        (27,), ("pipeline/watch/test_inbox.py::test_files_that_are_there_at_the_start_arrive_from_any_depth",),
    ),
    of(
        "the watch before the scan", "pipeline/watch/scanner.py",
        "            self._callbacks.enter(self._fd, folder)\n            self._names = os.scandir(self._fd)\n",
        "            self._names = os.scandir(self._fd)\n            next(self._names, None)\n            self._callbacks.enter(self._fd, folder)\n",
        (4,), ("pipeline/watch/test_inbox_events.py::test_the_watch_comes_before_the_scan_so_that_nothing_falls_in_between",),
    ),
    of(
        "polling where no inotify instance is left", "pipeline/watch/mode.py",
        "            self._poll(in_words(error), degraded=True)\n\n    def cover",
        "            self.stop()\n\n    def cover",
        (5,), ("pipeline/watch/test_mode.py::test_a_limit_of_inotify_is_named_and_polling_takes_over",),
    ),
    of(
        "polling where no inotify watch is left", "pipeline/watch/mode.py",
        "            self._poll(in_words(error), degraded=True)\n\n    def stop",
        "            pass\n\n    def stop",
        (6,), ("pipeline/watch/test_mode.py::test_a_limit_of_inotify_is_named_and_polling_takes_over",),
    ),
    of(
        "a new reader of events for one that died", "pipeline/watch/inbox.py",
        "        if not self._watcher.dead or now < self._rebuild_at:\n",
        "        if True:\n",
        (7,), ("pipeline/watch/test_inbox_events.py::test_a_handler_that_raises_is_replaced_and_nothing_is_lost",),
    ),
    of(
        "a watch on the current folder", "pipeline/watch/inbox.py",
        "        if change is FolderChange.NEW:\n            self._watcher.begin()\n",
        "        if change is FolderChange.NEW:\n",
        (8,), ("pipeline/watch/test_inbox_folder.py::test_an_inbox_that_is_gone_is_loud_once_and_waited_for",),
    ),
    of(
        "an inbox replaced by another folder", "pipeline/watch/inbox_folder.py",
        "        if inode == self._inode:\n            return FolderChange.NONE\n",
        "        if self._inode is not None:\n            return FolderChange.NONE\n",
        (9,), ("pipeline/watch/test_inbox_folder.py::test_an_inbox_that_is_replaced_is_watched_anew_and_nothing_taken_from_the_old",),
    ),
    of(
        "an inbox whose disk is not mounted", "pipeline/watch/inbox_folder.py",
        "        if inode != self._inode:\n            self._refuse_bare_mount_point()\n",
        "",
        (10,), ("pipeline/watch/test_inbox_folder.py::test_the_folder_under_an_unmounted_disk_is_not_taken_for_the_inbox",),
    ),
    of(
        "events of files renamed into the inbox", "pipeline/watch/inotify.py",
        "    | InotifyConstants.IN_MOVED_TO  # the only event of a file renamed into the folder\n",
        "",
        (13,), ("pipeline/watch/test_inbox_events.py::test_what_is_written_moved_or_linked_in_arrives_through_events",),
    ),
    of(
        "events of files linked into the inbox", "pipeline/watch/inotify.py",
        "    InotifyConstants.IN_CREATE\n    | InotifyConstants.IN_MOVED_TO",
        "    InotifyConstants.IN_MOVED_TO",
        (14,), ("pipeline/watch/test_inbox_events.py::test_what_is_written_moved_or_linked_in_arrives_through_events",),
    ),
    of(
        "a scan of a folder that arrived", "pipeline/watch/inotify.py",
        "(self._events.folder if event.is_directory else self._events.file)(path)",
        "self._events.file(path)",
        (15,), ("pipeline/watch/test_inbox_events.py::test_what_is_written_moved_or_linked_in_arrives_through_events",),
    ),
    of(
        "files that are gone when they are checked", "pipeline/watch/inbox.py",
        "        if status is None:\n            self._drop(path)\n        elif stat.S_ISREG(status.st_mode):\n            if not self._tracker",
        "        if stat.S_ISREG(status.st_mode):\n            if not self._tracker",
        (16,), ("pipeline/watch/test_inbox_events.py::test_a_file_that_comes_and_goes_makes_no_noise",),
    ),
    of(
        "a second check of a file in the spool", "pipeline/worker/claim.py",
        "    if identity[2:] != file.identity[2:]:\n        ledger.reclaim(file.id, identity[2], identity[3], at)\n    return replace(file, identity=identity)\n",
        "    return file\n",
        (17,), ("pipeline/worker/test_races.py::test_a_file_replaced_at_the_moment_of_the_claim_is_recorded_as_it_is",),
    ),
    of(
        "one entry for a file with several events", "pipeline/watch/stability.py",
        "        if due < entry.queued:\n            entry.queued = due\n",
        "        if True:\n            entry.queued = due\n",
        (19,), ("pipeline/watch/test_stability.py::test_ten_thousand_touches_cost_one_place",),
    ),
    of(
        "temporary names", "pipeline/watch/inbox.py",
        "        self._ignored = ignorer(settings.ignore, self._root)\n",
        "        self._ignored = lambda _: False\n",
        (21,), ("pipeline/watch/test_inbox.py::test_temporary_names_wait_for_their_final_name",),
    ),
    of(
        "the probe for events", "pipeline/watch/mode.py",
        "        if not answered:\n",
        "        if False:\n",
        (22,), ("pipeline/watch/test_mode.py::test_auto_polls_where_no_event_comes_back_and_says_so",),
    ),
    of(
        "the bound on remembered files", "pipeline/watch/stability.py",
        "        if path not in self._waiting and self.full:\n            return False\n",
        "",
        (23,), ("pipeline/watch/test_stability.py::test_a_full_tracker_says_so_and_has_room_again_when_files_are_handed_out",),
    ),
    of(
        "regular files only", "pipeline/watch/scanner.py",
        "        if stat.S_ISREG(status.st_mode):\n            self._held = ",
        "        if True:\n            self._held = ",
        (26,), ("pipeline/watch/test_inbox.py::test_what_is_no_regular_file_is_left_alone_and_said_once",),
    ),
    of(
        "files of 0 bytes", "pipeline/classifier/file_checks.py",
        "        if not count:\n            raise UnreadableImage(\"empty\", \"0 bytes\")\n",
        "",
        (32,), ("pipeline/classifier/test_file_checks.py::test_an_empty_file_has_no_fingerprint",),
    ),
    of(
        "all bytes of a name", "db/schema/file_names.py",
        ".decode(\"utf-8\", \"backslashreplace\")",
        ".decode(\"utf-8\", \"replace\")",
        (33,), ("db/schema/test_file_names.py::test_any_bytes_come_back",),
    ),
    of(
        "names cut to 255 bytes", "pipeline/files/naming.py",
        "    return _cut(stem, NAME_MAX - len(mark) - len(extension)) + mark + extension\n",
        "    return stem + mark + extension\n",
        (37,), ("pipeline/files/test_naming.py::test_names_fit_keep_their_extension_and_differ",),
    ),
    of(
        "an earlier answer only under the same answer key", "pipeline/worker/duplicates.py",
        "    return entry.answer_key == key and (entry.scores is not None or entry.reason in OF_THE_CONTENT)\n",
        "    return entry.scores is not None or entry.reason in OF_THE_CONTENT\n",
        (), ("pipeline/worker/test_duplicates.py::test_a_copy_is_classified_again_where_its_answer_could_be_another",),
    ),
    of(
        "no earlier answer without its file", "pipeline/worker/duplicates.py",
        "        answer=next((entry for entry in kept if _answers(entry, key) and is_present(entry)), None),\n",
        "        answer=next((entry for entry in kept if _answers(entry, key)), None),\n",
        (), ("pipeline/worker/test_duplicates.py::test_a_failed_file_that_comes_back_is_classified_again",),
    ),
    of(
        "the only copy is never held", "pipeline/worker/duplicates.py",
        "        original=next(filter(is_present, kept), None),\n",
        "        original=next(iter(kept), None),\n",
        (), ("pipeline/worker/test_duplicates.py::test_the_only_copy_is_never_held",),
    ),
    of(
        "a row ends when its file arrives again", "pipeline/worker/classify.py",
        "            self._ledger.end(ending, self._now())\n",
        "            pass\n",
        (), ("pipeline/worker/test_duplicates.py::test_a_photo_that_was_deleted_and_is_dropped_again_is_counted_once",),
    ),
    of(
        "a row stays while its file is moved", "db/ledger/ledger.py",
        "    ending -= set(connection.execute(moving).scalars())\n",
        "",
        (), ("db/ledger/test_ledger.py::test_a_row_that_changed_or_is_being_moved_does_not_end", "pipeline/worker/test_duplicates.py::test_a_photo_that_a_correction_is_moving_keeps_its_row"),
    ),
    of(
        "one row for each path", "db/ledger/ledger.py",
        "            _end(connection, before, at)\n",
        "",
        (), ("pipeline/worker/test_duplicates.py::test_another_photo_under_the_path_of_one_that_is_gone_ends_the_row_of_that",),
    ),
    of(
        "no row ended because another disk is under `sorted`", "pipeline/worker/classify.py",
        "        if known and folder_id(self._sorted) != self._root:\n",
        "        if False:\n",
        (70,), ("pipeline/worker/test_duplicates.py::test_another_disk_in_place_of_sorted_ends_no_row_and_holds_nothing",),
    ),
    of(
        "no row ended for a disk that is not mounted", "pipeline/doctor/superseded.py",
        "    if any(True for _ in files_below(folder, lambda _: None)):\n",
        "    if True:\n",
        (), ("pipeline/doctor/test_superseded.py::test_rows_of_a_folder_whose_disk_may_be_missing_do_not_end",),
    ),
    of(
        "two spellings of one name are one file", "pipeline/doctor/check_files.py",
        "        lambda left: respelled(engine, root, left),\n",
        "",
        (), ("pipeline/doctor/test_superseded.py::test_a_file_system_that_takes_two_spellings_for_one",),
    ),
    of(
        "duplicates found by content", "pipeline/worker/classify.py",
        "        earlier = self._look_back(hashed)\n",
        "        earlier: dict[str, Earlier] = {}\n",
        (40,), ("pipeline/worker/test_loop.py::test_the_same_content_again_is_filed_like_the_first_without_classifying_it",),
    ),
    of(
        "a format recognised by its first bytes", "models/images/formats/sniff.py",
        "    if data[:8] == b\"\\x89PNG\\r\\n\\x1a\\n\":\n        return \"PNG\"\n",
        "",
        (41,), ("pipeline/classifier/test_file_checks.py::test_each_format_is_known_by_its_content",),
    ),
    of(
        "no row ends while a disk is not mounted", "pipeline/worker/duplicates.py",
        "    return len(paths) <= 2 * sum(map(os.path.lexists, paths))\n",
        "    return True\n",
        (), ("pipeline/worker/test_duplicates.py::"
             "test_a_copy_ends_no_row_while_the_disk_of_a_class_is_not_mounted",),
    ),
    of(
        "no row ends whose folder is missing", "pipeline/worker/duplicates.py",
        " and _is_reached(entry.path)\n", "\n",
        (), ("pipeline/worker/test_duplicates.py::test_a_copy_ends_no_row_whose_whole_folder_is_missing",),
    ),
    of(
        "what undo put back stays after a move", "pipeline/worker/claim.py",
        "        return here | {path for path, before in moved.items() if not os.path.lexists(before)}\n",
        "        return here\n",
        (), ("pipeline/worker/test_duplicates.py::"
             "test_what_undo_put_back_is_left_alone_after_the_installation_was_moved",),
    ),
)  # fmt: skip
