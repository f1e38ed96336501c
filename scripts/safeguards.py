# ruff: noqa: E501
"""The safeguards of `scripts.mutations`: where each stands, what the code is without it, who should miss it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Safeguard:
    """`text` stands once in `file`; `without` is what remains; `tests` are pytest's ids."""

    name: str
    file: str
    text: str
    without: str
    tests: tuple[str, ...]


def _of(name: str, file: str, text: str, without: str, *tests: str) -> Safeguard:
    return Safeguard(name, file, text, without, tuple(f"tests/{test}" for test in tests))


_FILING = "pipeline/test_filing.py::"
_WORKER = "pipeline/test_worker.py::"
_ENGINE = "db/test_engine.py::"
_CLASSIFIER = "pipeline/test_classifier.py::"
_IMAGES = "models/test_images.py::"
_SAFETY = "pipeline/web/test_safety.py::"
_INBOX = "pipeline/test_inbox.py::"

SAFEGUARDS: tuple[Safeguard, ...] = (
    # Nothing is lost.
    _of(
        "fsync of folders", "pipeline/folders.py", "            os.fsync(descriptor)\n", "            pass\n",
        _FILING + "test_the_copy_is_durable_before_the_source_goes", _FILING + "test_sync_folders_syncs_each_once",
    ),
    _of(
        "fsync of folders before `filed` is committed", "pipeline/placing.py",
        "            filing.sync_folders(self._unsynced)\n", "",
        _WORKER + "test_renames_are_durable_before_the_ledger_relies_on_them",
    ),
    _of(
        "fsync of folders after the claim", "pipeline/claiming.py", "        filing.sync_folders(self._unsynced)\n", "",
        _WORKER + "test_renames_are_durable_before_the_ledger_relies_on_them",
    ),
    _of(
        "fsync of a copy", "pipeline/copying.py", "        os.fsync(target)\n", "",
        _FILING + "test_the_copy_is_durable_before_the_source_goes",
    ),
    _of(
        "reading a copy back", "pipeline/copying.py",
        "if os.fstat(target).st_size != size or _digest(target) != digest.hexdigest():", "if False:",
        _FILING + "test_a_bad_copy_is_noticed",
    ),
    _of(
        "rename without overwriting", "pipeline/filing.py", "_RENAME_NOREPLACE = 1\n", "_RENAME_NOREPLACE = 0\n",
        _FILING + "test_rename_never_overwrites",
    ),
    _of(
        "a source that changes while it is copied", "pipeline/filing.py", "            if identity(source) != before:\n",
        "            if False:\n", _FILING + "test_a_file_written_to_during_the_copy_stays",
    ),
    _of(
        "a source that was replaced after the copy", "pipeline/filing.py", "        if identity(source) == copied:\n",
        "        if True:\n", _FILING + "test_a_file_replaced_after_the_copy_stays",
    ),
    _of(
        "no removal of a file's only name", "pipeline/filing.py", "    elif not _is_one_entry(source, destination):\n",
        "    else:\n", _FILING + "test_resume_never_removes_the_only_name_of_a_file",
    ),
    _of(
        "attempts counted before decoding", "pipeline/answering.py",
        "        self._ledger.begin_decoding([(held.id, sha) for sha, held in load.items()], alone, self._now())\n",
        "        self._ledger.begin_decoding([(held.id, sha) for sha, held in load.items()], False, self._now())\n",
        _WORKER + "test_poison_that_kills_the_worker_too_is_known_after_restarts",
    ),
    _of(
        "content that changed after the claim", "pipeline/placing.py", "        if not unchanged:\n", "        if False:\n",
        _WORKER + "test_writing_after_the_claim_starts_the_file_over",
    ),
    _of(
        "another disk under `sorted`", "pipeline/placing.py", "        if _folder(self._sorted) != self._root:\n",
        "        if False:\n", _WORKER + "test_another_disk_in_place_of_sorted_takes_nothing",
    ),
    _of(
        "a bare mount point", "pipeline/service.py", "    if filed and not there:\n", "    if False:\n",
        "pipeline/test_service.py::test_a_bare_mount_point_takes_no_files",
    ),
    _of(
        "recovery before anything is taken", "pipeline/worker.py",
        "            if not self._recovered:\n                return", "            if False:\n                return",
        _WORKER + "test_nothing_is_taken_before_the_recovery_is_done",
    ),
    _of(
        "the hash before a correction moves a file", "pipeline/mover.py", "    if not same:\n", "    if False:\n",
        "pipeline/test_corrections.py::test_a_file_that_is_not_what_was_filed_is_refused",
    ),
    # The database.
    _of(
        "BEGIN IMMEDIATE", "db/sqlite.py", '"BEGIN IMMEDIATE" if writes else "BEGIN"', '"BEGIN"',
        _ENGINE + "test_a_write_has_the_lock_from_its_beginning",
    ),
    _of(
        "synchronous FULL", "db/sqlite.py", "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF",
        _ENGINE + "test_sqlite_is_set_up_as_designed",
    ),
    _of(
        "foreign keys", "db/sqlite.py", "PRAGMA foreign_keys = ON", "PRAGMA foreign_keys = OFF",
        _ENGINE + "test_sqlite_is_set_up_as_designed",
    ),
    _of(
        "a database deleted or replaced while open", "db/sqlite.py", "            if _identity(name) != identity:\n",
        "            if False:\n", _ENGINE + "test_a_file_that_goes_while_open_is_noticed",
    ),
    _of(
        "quick_check at the start", "db/sqlite.py", '    if said != "ok":\n', "    if False:\n",
        _ENGINE + "test_a_damaged_page_is_found_at_start",
    ),
    _of(
        "an empty database file", "db/sqlite.py", "    if os.path.isfile(path) and os.path.getsize(path) == 0:\n",
        "    if False:\n", _ENGINE + "test_an_empty_file_is_refused",
    ),
    _of(
        "a connection in a forked child", "db/engine.py", "        if os.getpid() != owner:\n", "        if False:\n",
        _ENGINE + "test_a_forked_child_is_refused",
    ),
    _of(
        "a step only from where it starts", "db/ledger.py", "    if done.rowcount != len(ids):\n", "    if False:\n",
        "db/test_ledger.py::test_one_file_in_the_wrong_state_stops_the_whole_batch",
    ),
    # One worker.
    _of(
        "the worker's lock", "pipeline/locks.py",
        "            if time.monotonic() > until:\n                return False\n",
        "            if time.monotonic() > until:\n                return True\n",
        "pipeline/test_locks.py::test_a_second_worker_is_told_who_is_there",
        "pipeline/test_locks.py::test_a_worker_with_other_settings_on_the_same_folder_is_refused",
    ),
    _of(
        "the database reserved for one worker", "db/sqlite.py",
        "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", "            pass\n",
        _ENGINE + "test_a_database_serves_one_worker_at_a_time",
    ),
    _of(
        "folders inside each other", "pipeline/config.py", "        if inner.is_relative_to(outer):\n",
        "        if False:\n", "pipeline/test_config.py",
    ),
    # Watching.
    _of(
        "a scan after an overflow", "pipeline/inbox.py",
        "overflow %d: events were lost; scanning\", self.path, self._lost)\n                self.rescan()\n",
        "overflow %d: events were lost; scanning\", self.path, self._lost)\n",
        _INBOX + "test_an_overflow_in_the_kernel_starts_a_scan", _INBOX + "test_a_burst_arrives_whole_though_hints_overflow",
    ),
    _of(
        "settle time", "pipeline/tracker.py", "        self._ask_at(entry, now + self._settle)\n",
        "        self._ask_at(entry, now)\n", "pipeline/test_tracker.py::test_a_file_is_due_once_it_was_quiet_long_enough",
    ),
    _of(
        "the lease", "pipeline/access.py", "return False if error.errno == errno.EAGAIN else None", "return None",
        "pipeline/test_access.py::test_a_writer_is_noticed_until_it_closes",
        _WORKER + "test_a_file_that_is_still_written_to_is_not_taken",
    ),
    _of(
        "O_NOFOLLOW in an inbox", "pipeline/access.py", "_FILE = os.O_RDONLY | os.O_NOFOLLOW |", "_FILE = os.O_RDONLY |",
        "pipeline/test_access.py",
    ),
    _of(
        "O_NOFOLLOW on the way", "pipeline/access.py", "_FOLDER | os.O_NOFOLLOW, dir_fd=fd", "_FOLDER, dir_fd=fd",
        "pipeline/test_access.py",
    ),
    _of(
        "O_NONBLOCK in an inbox", "pipeline/access.py", "os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY",
        "os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY", "pipeline/test_access.py::test_nothing_but_a_regular_file_is_opened",
    ),
    _of(
        "O_NOFOLLOW when a file is hashed", "pipeline/admission.py", "os.O_RDONLY | os.O_NOFOLLOW |", "os.O_RDONLY |",
        "pipeline/test_admission.py::test_a_link_has_no_fingerprint",
    ),
    _of(
        "O_NONBLOCK when a file is hashed", "pipeline/admission.py", "os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY",
        "os.O_CLOEXEC | os.O_NOCTTY", "pipeline/test_admission.py::test_a_fifo_is_refused_and_nobody_waits_for_it",
    ),
    _of(
        "O_NOFOLLOW when a file is copied", "pipeline/copying.py", "os.O_RDONLY | os.O_NOFOLLOW |", "os.O_RDONLY |",
        _FILING + "test_sha256_and_identity_follow_no_links", _FILING + "test_only_regular_files_are_copied",
    ),
    # Hostile pictures.
    _of(
        "the pixel limit of the header", "pipeline/admission.py",
        "    if header.width * header.height * header.frames > limits.pixels:\n", "    if False:\n",
        "pipeline/test_admission.py::test_a_png_bomb_is_refused_and_costs_no_memory",
    ),
    _of(
        "the pixel limit of the decode", "models/images.py",
        "    header = read_header(data)\n    _check_pixels(header.width, header.height, pixel_limit)\n",
        "    header = read_header(data)\n", _IMAGES + "test_pillow_sees_no_bomb_and_only_the_decoder_that_is_meant",
    ),
    _of(
        "the size limit of a file", "pipeline/admission.py", "        if status.st_size > limits.file_bytes:\n",
        "        if False:\n", "pipeline/test_admission.py::test_a_sparse_terabyte_is_refused_without_reading_it",
    ),
    _of(
        "check sums of a PNG", "models/png.py", "        if name[:1].isupper() and not _is_sound(", "        if False and not _is_sound(",
        _IMAGES + "test_a_png_with_a_wrong_check_sum_is_corrupt_though_its_pixels_unpack",
    ),
    _of(
        "no metadata for the JPEG decoder", "models/images.py", "        data = jpeg.without_metadata(data)\n",
        "        pass\n", _IMAGES + "test_metadata_cannot_spoil_a_good_jpeg",
    ),
    _of(
        "no metadata for the PNG decoder", "models/images.py", "        data = png.without_metadata(data)\n",
        "        pass\n", _IMAGES + "test_text_and_profiles_cannot_spoil_a_good_png",
    ),
    _of(
        "the end marker of a JPEG", "models/jpeg.py", '            if data.find(b"\\xff\\xd9", end) < 0:\n', "            if False:\n",
        _IMAGES + "test_a_jpeg_whose_end_was_never_written_is_truncated_although_libjpeg_would_paint_it_grey",
    ),
    _of(
        "shrinking in bands", "models/shrinking.py", "BAND_PIXELS = 1 << 22\n", "BAND_PIXELS = 1 << 40\n",
        _IMAGES + "test_a_large_picture_takes_little_more_memory_than_its_pixels",
    ),
    _of(
        "the deadline of the child", "pipeline/classifier.py",
        '        if self._remaining() <= 0:\n            raise self._lost("timeout")\n', "",
        _CLASSIFIER + "test_the_clock_of_a_batch_runs_from_when_the_one_before_it_is_finished",
    ),
    _of(
        "death with the parent", "pipeline/child.py",
        "        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)\n", "        pass\n",
        _CLASSIFIER + "test_the_child_dies_with_its_parent_even_while_it_hangs",
    ),
    _of(
        "the child first when memory runs out", "pipeline/child.py", '        score.write("1000")\n', "        pass\n",
        _CLASSIFIER + "test_the_child_offers_itself_when_memory_runs_out",
    ),
    # The model.
    _of(
        "the check for NaN", "pipeline/inference.py", "    if not np.isfinite(scores).all():\n", "    if False:\n",
        _CLASSIFIER + "test_only_probabilities_are_taken_for_scores",
    ),
    _of(
        "the hash of the weights", "models/bundle.py", "    if actual != weights.sha256:\n", "    if False:\n",
        "models/test_bundle.py::test_one_flipped_bit_is_refused",
    ),
    _of(
        "the self-test of the model", "models/engines.py",
        "    if not worst <= test.tolerance:  # also true for NaN\n", "    if False:\n",
        "models/test_engines.py::test_self_test_catches_weights_of_the_right_shape",
    ),
    # Reports.
    _of(
        "reports replaced at once", "pipeline/csvfiles.py", '    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")\n',
        "    temporary = path\n", "pipeline/test_csvfiles.py",
    ),
    _of(
        "formulas in a CSV", "pipeline/cells.py", "if _DANGEROUS.match(text) else text", "if False else text",
        "pipeline/test_csvfiles.py::test_each_name_is_one_record_and_no_cell_is_a_formula",
    ),
    _of(
        "one line of the log for a record", "pipeline/logs.py", "{record.levelname} {printable(record.getMessage())}",
        "{record.levelname} {record.getMessage()}", "pipeline/test_logs.py",
    ),
    # The pages.
    _of(
        "the Host of a request", "pipeline/web/safety.py", "        if not self._hosts.know(request.headers):\n",
        "        if False:\n", _SAFETY + "test_a_foreign_host_is_refused_on_every_path",
    ),
    _of(
        "the Origin of a request", "pipeline/web/safety.py",
        "        if request.method not in SAFE_METHODS and is_cross_site(request.headers):\n", "        if False:\n",
        _SAFETY + "test_a_write_from_another_site_is_refused",
    ),
    _of(
        "a token beyond loopback", "pipeline/config.py", "        if self.token is None and self.host not in", "        if False and self.host not in",
        "pipeline/test_config.py",
    ),
    # Repairs.
    _of(
        "no repair of what is empty", "pipeline/repair.py", "        if not identity[2] or not stable:\n", "        if False:\n",
        "pipeline/test_repair.py::test_what_only_people_can_mend_is_left_with_a_reason",
    ),
    _of(
        "no class guessed by a repair", "pipeline/repair.py", "        if os.fsdecode(outcome) not in self._outcomes:\n", "        if False:\n",
        "pipeline/test_repair.py::test_what_only_people_can_mend_is_left_with_a_reason",
    ),
    _of(
        "names kept out of a bundle", "pipeline/support.py", "    hide = _Hider(settings) if not names else _Open()\n", "    hide = _Open()\n",
        "pipeline/test_support.py::test_no_photo_no_name_and_no_secret_is_in_it",
    ),
    _of(
        "secrets kept out of a bundle", "pipeline/support.py", '    values["web"]["token"] = masked(values["web"]["token"])\n', "",
        "pipeline/test_support.py::test_no_photo_no_name_and_no_secret_is_in_it",
    ),
)  # fmt: skip
