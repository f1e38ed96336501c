# ruff: noqa: E501
"""Safeguards: files that arrive, in whatever way and of whatever kind."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "content that changed after the claim", "pipeline/placing.py",
        "            unchanged = filing.identity(held.spool)[2:] == held.identity[2:]\n",
        "            unchanged = os.path.lexists(held.spool)\n",
        (18,), ("pipeline/test_worker_races.py::test_writing_after_the_claim_starts_the_file_over",),
    ),
    of(
        "a scan after an overflow", "pipeline/inbox.py",
        "overflow %d: events were lost; scanning\", self.path, self._lost)\n                self.rescan()\n",
        "overflow %d: events were lost; scanning\", self.path, self._lost)\n",
        (1, 2), ("pipeline/test_inbox.py::test_an_overflow_in_the_kernel_starts_a_scan", "pipeline/test_inbox.py::test_a_burst_arrives_whole_though_hints_overflow",),
    ),
    of(
        "settle time", "pipeline/tracker.py",
        "        self._ask_at(entry, now + self._settle)\n",
        "        self._ask_at(entry, now)\n",
        (12,), ("pipeline/test_tracker.py::test_any_difference_starts_the_clock_again",),
    ),
    of(
        "the lease", "pipeline/access.py",
        "return False if error.errno == errno.EAGAIN else None",
        "return None",
        (11,), ("pipeline/test_worker_races.py::test_a_file_that_is_still_written_to_is_not_taken",),
    ),
    of(
        "a writer noticed when a file is hashed", "pipeline/answering.py",
        "!= held.identity[2:] or print_.written_to:\n",
        "!= held.identity[2:]:\n",
        (18,), ("pipeline/test_worker_races.py::test_a_file_that_is_open_for_writing_when_it_is_read_waits_for_its_writer",),
    ),
    of(
        "O_NOFOLLOW in an inbox", "pipeline/access.py",
        "_FILE = os.O_RDONLY | os.O_NOFOLLOW |",
        "_FILE = os.O_RDONLY |",
        (25,), ("pipeline/test_access.py::test_nothing_but_a_regular_file_is_opened",),
    ),
    of(
        "O_NOFOLLOW on the way", "pipeline/access.py",
        "_FOLDER | os.O_NOFOLLOW, dir_fd=fd",
        "_FOLDER, dir_fd=fd",
        (29, 30), ("pipeline/test_access.py::test_looking_does_not_follow_links_on_the_way",),
    ),
    of(
        "O_NONBLOCK in an inbox", "pipeline/access.py",
        "os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY",
        "os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY",
        (24,), ("pipeline/test_access.py::test_nothing_but_a_regular_file_is_opened",),
    ),
    of(
        "O_NOFOLLOW when a file is hashed", "pipeline/admission.py",
        "os.O_RDONLY | os.O_NOFOLLOW |",
        "os.O_RDONLY |",
        (25,), ("pipeline/test_admission.py::test_a_link_has_no_fingerprint",),
    ),
    of(
        "O_NONBLOCK when a file is hashed", "pipeline/admission.py",
        "os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY",
        "os.O_CLOEXEC | os.O_NOCTTY",
        (24,), ("pipeline/test_admission.py::test_a_fifo_is_refused_and_nobody_waits_for_it",),
    ),
    of(
        "the size limit of a file", "pipeline/admission.py",
        "        if status.st_size > limits.file_bytes:\n",
        "        if False:\n",
        (31,), ("pipeline/test_admission.py::test_a_sparse_terabyte_is_refused_without_reading_it",),
    ),
    of(
        "one line of the log for a record", "pipeline/logs.py",
        "{record.levelname} {printable(record.getMessage())}",
        "{record.levelname} {record.getMessage()}",
        (34,), ("pipeline/test_logs.py::test_a_hostile_name_stays_on_its_line",),
    ),
    of(
        "the scan of what lies there", "pipeline/inbox.py",
        "        self._walk.advance(self._clock() + SLICE_SECONDS, self._clock)\n",
        "",
        (3,), ("pipeline/test_inbox.py::test_files_that_are_there_at_the_start_arrive_from_any_depth",),
    ),
    of(
        "the walk into folders, whatever they are called", "pipeline/walk.py",
        "                self.push(path)\n                return\n",
        "                return\n",
        (27,), ("pipeline/test_inbox.py::test_files_that_are_there_at_the_start_arrive_from_any_depth",),
    ),
    of(
        "the watch before the scan", "pipeline/walk.py",
        "            self._visitor.enter(self._fd, folder)\n            self._names = os.scandir(self._fd)\n",
        "            self._names = os.scandir(self._fd)\n            next(self._names, None)\n            self._visitor.enter(self._fd, folder)\n",
        (4,), ("pipeline/test_inbox.py::test_the_watch_comes_before_the_scan_so_that_nothing_falls_in_between",),
    ),
    of(
        "polling where no inotify instance is left", "pipeline/watcher.py",
        "            self._poll(str(error), degraded=True)\n\n    def cover",
        "            self.stop()\n\n    def cover",
        (5,), ("pipeline/test_inbox.py::test_a_limit_of_inotify_is_named_and_polling_takes_over",),
    ),
    of(
        "polling where no inotify watch is left", "pipeline/watcher.py",
        "            self._poll(str(error), degraded=True)\n\n    def stop",
        "            pass\n\n    def stop",
        (6,), ("pipeline/test_inbox.py::test_a_limit_of_inotify_is_named_and_polling_takes_over",),
    ),
    of(
        "a new reader of events for one that died", "pipeline/inbox.py",
        "        if not self._watcher.dead or now < self._rebuild_at:\n",
        "        if True:\n",
        (7,), ("pipeline/test_inbox.py::test_a_handler_that_raises_is_replaced_and_nothing_is_lost",),
    ),
    of(
        "a watch on the folder that is there now", "pipeline/inbox.py",
        "        self._reset()\n        self._watcher.begin()\n",
        "        self._reset()\n",
        (8,), ("pipeline/test_inbox.py::test_an_inbox_that_is_gone_is_loud_once_and_waited_for",),
    ),
    of(
        "another folder under the inbox's name", "pipeline/inbox.py",
        "        if inode != self._inode:\n            self._adopt_root(inode)\n",
        "        if self._inode is None:\n            self._adopt_root(inode)\n",
        (9,), ("pipeline/test_inbox.py::test_an_inbox_that_is_replaced_is_watched_anew_and_nothing_taken_from_the_old",),
    ),
    of(
        "the bare folder under an inbox's disk", "pipeline/inbox.py",
        "            if inode != self._inode:\n                self._refuse_bare_mount_point()\n",
        "",
        (10,), ("pipeline/test_inbox.py::test_the_folder_under_an_unmounted_disk_is_not_taken_for_the_inbox",),
    ),
    of(
        "events of files renamed into the inbox", "pipeline/hints.py",
        "    | InotifyConstants.IN_MOVED_TO  # all that a file renamed or linked in raises\n",
        "",
        (13,), ("pipeline/test_inbox.py::test_what_is_written_moved_or_linked_in_arrives_through_events",),
    ),
    of(
        "events of files linked into the inbox", "pipeline/hints.py",
        "    InotifyConstants.IN_CREATE\n    | InotifyConstants.IN_MOVED_TO",
        "    InotifyConstants.IN_MOVED_TO",
        (14,), ("pipeline/test_inbox.py::test_what_is_written_moved_or_linked_in_arrives_through_events",),
    ),
    of(
        "a walk through a folder that came", "pipeline/hints.py",
        "(self._hints.folder if event.is_directory else self._hints.file)(path)",
        "self._hints.file(path)",
        (15,), ("pipeline/test_inbox.py::test_what_is_written_moved_or_linked_in_arrives_through_events",),
    ),
    of(
        "files that are gone when they are looked at", "pipeline/inbox.py",
        "        if status is None:\n            self._drop(path)\n        elif stat.S_ISREG(status.st_mode):\n            if not self._tracker",
        "        if stat.S_ISREG(status.st_mode):\n            if not self._tracker",
        (16,), ("pipeline/test_inbox.py::test_a_file_that_comes_and_goes_makes_no_noise",),
    ),
    of(
        "a second look at what got into the spool", "pipeline/claiming.py",
        "    if identity[2:] != held.identity[2:]:\n        ledger.reclaim(held.id, identity[2], identity[3], at)\n    return replace(held, identity=identity)\n",
        "    return held\n",
        (17,), ("pipeline/test_worker_races.py::test_a_file_replaced_at_the_moment_of_the_claim_is_recorded_as_it_is",),
    ),
    of(
        "one place for a file, however often it is named", "pipeline/tracker.py",
        "        if due < entry.queued:\n            entry.queued = due\n",
        "        if True:\n            entry.queued = due\n",
        (19,), ("pipeline/test_tracker.py::test_ten_thousand_touches_cost_one_place",),
    ),
    of(
        "names that are not final", "pipeline/inbox.py",
        "        self._ignored = ignorer(settings.ignore, self._root)\n",
        "        self._ignored = lambda _: False\n",
        (21,), ("pipeline/test_inbox.py::test_temporary_names_wait_for_their_final_name",),
    ),
    of(
        "the probe for events", "pipeline/watcher.py",
        "        if not answered:\n",
        "        if False:\n",
        (22,), ("pipeline/test_inbox.py::test_auto_polls_where_no_event_comes_back_and_says_so",),
    ),
    of(
        "the bound of files that are remembered", "pipeline/tracker.py",
        "        if path not in self._waiting and self.full:\n            return False\n",
        "",
        (23,), ("pipeline/test_tracker.py::test_a_full_tracker_says_so_and_has_room_again_when_files_are_handed_out",),
    ),
    of(
        "regular files only", "pipeline/walk.py",
        "        if stat.S_ISREG(status.st_mode):\n            self._held = ",
        "        if True:\n            self._held = ",
        (26,), ("pipeline/test_inbox.py::test_what_is_no_regular_file_is_left_alone_and_said_once",),
    ),
    of(
        "files of 0 bytes", "pipeline/admission.py",
        "        if not count:\n            return Refused(\"empty\", \"0 bytes\")\n",
        "",
        (32,), ("pipeline/test_admission.py::test_an_empty_file_has_no_fingerprint",),
    ),
    of(
        "every byte of a name", "db/names.py",
        ".decode(\"utf-8\", \"backslashreplace\")",
        ".decode(\"utf-8\", \"replace\")",
        (33,), ("db/test_names.py::test_any_bytes_come_back",),
    ),
    of(
        "names cut to 255 bytes", "pipeline/naming.py",
        "    return _cut(stem, NAME_MAX - len(mark) - len(extension)) + mark + extension\n",
        "    return stem + mark + extension\n",
        (37,), ("pipeline/test_naming.py::test_names_fit_keep_their_extension_and_differ",),
    ),
    of(
        "twins known by their content", "pipeline/answering.py",
        "        earlier = self._look_back(hashed)\n",
        "        earlier: dict[str, Earlier] = {}\n",
        (40,), ("pipeline/test_worker.py::test_the_same_content_again_is_filed_like_its_twin_without_a_look",),
    ),
    of(
        "a format known by its first bytes", "models/sniffing.py",
        "    if data[:8] == b\"\\x89PNG\\r\\n\\x1a\\n\":\n        return \"PNG\"\n",
        "",
        (41,), ("pipeline/test_admission.py::test_each_format_is_known_by_its_content",),
    ),
)  # fmt: skip
