"""Safeguards: backfills. Their tests need PyArrow, which the environment for development has."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_TESTS = "pipeline/backfill"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a part is on the disk before it has its name", "pipeline/backfill/storage/run_path.py",
        "            os.fsync(file.fileno())\n        temporary.replace(path)\n",
        "        temporary.replace(path)\n",
        (), (f"{_TESTS}/test_parts.py::test_a_write_that_fails_leaves_what_was_there",),
    ),
    of(
        "finished parts are not asked for again", "pipeline/backfill/run.py",
        "    left = [number for number in range(planned.parts) if number not in finished]\n",
        "    left = list(range(planned.parts))\n",
        (), (f"{_TESTS}/test_run.py::test_finished_parts_are_never_done_again",),
    ),
    of(
        "a part that is done is not done again", "pipeline/backfill/work.py",
        "        if (finished := self._finished(number)) is not None:\n",
        "        if (finished := None) is not None:\n",
        (), (f"{_TESTS}/test_work.py::test_a_part_that_a_lost_machine_has_done_is_not_done_again",),
    ),
    of(
        "results of another run", "pipeline/backfill/run.py",
        "        if mark != (planned.digest, number) or number >= planned.parts:\n",
        "        if False:\n",
        (), (f"{_TESTS}/test_run.py::test_results_of_another_run_are_left_alone",),
    ),
    of(
        "a run that does not fit", "pipeline/backfill/plan.py",
        "    if found := run_file.differences(planned, now):\n",
        "    if found := []:\n",
        (), (
            f"{_TESTS}/test_plan.py::test_a_run_that_does_not_fit_says_what_differs",
            f"{_TESTS}/test_plan.py::test_a_run_whose_lists_have_changed_does_not_fit",
        ),
    ),
    of(
        "a machine that would answer otherwise", "pipeline/backfill/work.py",
        "            self._refuse_other_installation()\n            photos",
        "            photos",
        (), (f"{_TESTS}/test_work.py::test_a_machine_that_would_answer_otherwise_does_no_part",),
    ),
    of(
        "answers of an attempt that failed", "pipeline/backfill/work.py",
        "            self._classifier.stop()  # it has batches",
        "            pass  # it has batches",
        (), (f"{_TESTS}/test_work.py::test_an_attempt_that_fails_leaves_no_answers_to_the_next",),
    ),
    of(
        "errors of the share are no answers", "pipeline/backfill/work.py",
        "        if error.errno in AWAY_ERRNOS or (error.errno == errno.EIO and not is_last):\n",
        "        if False:\n",
        (), (f"{_TESTS}/test_work.py::test_an_error_of_the_share_is_no_answer",),
    ),
    of(
        "a part without any of its files", "pipeline/backfill/work.py",
        "        if is_away(sum(map(_is_missing, results)), len(results)):\n",
        "        if False:\n",
        (), (f"{_TESTS}/test_work.py::test_a_part_without_any_of_its_files_is_not_done",),
    ),
    of(
        "a file that changes while it is read", "pipeline/backfill/work.py",
        "                if seen.version == versions[n] and _agree(seen, result):\n",
        "                if True:\n",
        (), (f"{_TESTS}/test_work.py::test_a_file_that_changes_while_it_is_read_is_read_again",),
    ),
    of(
        "an empty source", "pipeline/backfill/source.py",
        "            if next(entries, None) is None:\n",
        "            if False:\n",
        (), (f"{_TESTS}/test_source.py::test_a_source_that_is_away_fails_its_check",),
    ),
    of(
        "the watchdog of a run", "pipeline/backfill/run.py",
        "        elif clock() - last > seconds:\n",
        "        elif False:\n",
        (), (
            f"{_TESTS}/test_run.py::test_a_run_in_which_nothing_finishes_ends",
            f"{_TESTS}/test_run.py::test_parts_that_fail_are_no_progress",
        ),
    ),
    of(
        "the order of a list", "pipeline/backfill/tree.py",
        '    return name if listed else name + b"/"\n',
        "    return name\n",
        (), (
            f"{_TESTS}/test_source.py::test_photos_are_listed_in_the_order_of_the_bytes_of_their_paths",
            f"{_TESTS}/test_source.py::test_names_in_the_order_of_a_folder_are_paths_in_order",
        ),
    ),
    of(
        "threads that are not pinned below all cores", "models/inference/openvino_engine.py",
        "    if streams < cores:\n",
        "    if False:\n",
        (), ("models/inference/test_engines.py::test_fewer_threads_than_cores_are_not_pinned",),
    ),
    of(
        "a part is loaded once", "db/ledger/backfill.py",
        "        if not _mark(connection, mark, len(noted), at):\n            return False\n",
        "        _mark(connection, mark, len(noted), at)\n",
        (), (
            "db/ledger/test_backfill.py::test_a_part_is_noted_once",
            f"{_TESTS}/test_load.py::test_a_part_that_another_load_has_done_meanwhile_is_not_done_again",
        ),
    ),
    of(
        "a run that is filed is not noted", "pipeline/backfill/load.py",
        "    _refuse_filed(loading, everyone)\n",
        "",
        (), (f"{_TESTS}/test_load_files.py::test_a_run_that_is_filed_is_not_noted",),
    ),
    of(
        "a noted run that is filed has one row a photo", "pipeline/backfill/load_files.py",
        "        backfill.unnote(self._everyone, *noted, self._now())\n",
        "",
        (), (f"{_TESTS}/test_load_files_again.py::test_a_noted_run_is_filed_later",),
    ),
    of(
        "a photo that was refused is tried again", "pipeline/backfill/load_files.py",
        "            if self._intake.refused.keys().isdisjoint(map(escape, sources)):\n",
        "            if True:\n",
        (), (
            f"{_TESTS}/test_load_files_again.py::test_a_photo_that_was_refused_is_taken_by_a_later_load",
        ),
    ),
    of(
        "what was taken of a part is not taken again", "pipeline/backfill/load_files.py",
        "            taken = backfill.taken(self._everyone, begun, str(self._inbox), sources)\n",
        "",
        (), (
            f"{_TESTS}/test_load_files_again.py::test_a_photo_that_was_refused_is_taken_by_a_later_load",
            f"{_TESTS}/test_load_files_again.py::test_a_photo_that_was_put_back_since_is_not_taken_again",
        ),
    ),
    of(
        "a place that a worker has promised is not given away by a load", "pipeline/backfill/load_files.py",
        "        self._resume(entry for entry in self._ledger.unfinished() if entry.state == \"decided\")\n",
        "",
        (), (
            f"{_TESTS}/test_load_files_again.py"
            "::test_a_photo_that_the_worker_has_promised_a_place_is_not_lost",
        ),
    ),
    of(
        "results of other photos are not loaded", "pipeline/backfill/load.py",
        "        if mark != (self.planned.digest, number) or "
        "listed != [(one.id, one.path) for one in results]:\n",
        "        if False:\n",
        (), (f"{_TESTS}/test_load.py::test_results_of_other_photos_are_refused",),
    ),
    of(
        "a photo that was changed gets no answer of before", "pipeline/backfill/recorded_answers.py",
        "        return read if read.sha256 == result.sha256 else _UNKNOWN\n",
        "        return read\n",
        (),
        (f"{_TESTS}/test_load_files.py::test_a_photo_that_was_changed_since_is_classified_by_the_worker",),
    ),
    of(
        "a source that is not mounted marks no part", "pipeline/backfill/load_files.py",
        "        self._refuse_absent(number, len(photos), len(settled) + len(taken))\n",
        "",
        (), (f"{_TESTS}/test_load_files.py::test_a_source_that_is_not_mounted_marks_nothing",),
    ),
    of(
        "no worker beside `load --file`", "pipeline/backfill/load_files.py",
        "        stack.enter_context(worker_lock(as_inbox))\n",
        "",
        (), (f"{_TESTS}/test_load_files.py::test_nothing_is_filed_while_a_worker_runs",),
    ),
    of(
        "noted photos are not reviewed", "db/schema/tables.py",
        "IS_UNREVIEWED = \"state = 'filed' AND outcome",
        "IS_UNREVIEWED = \"outcome",
        (), ("db/queries/test_noted.py::test_no_person_is_asked_about_them",),
    ),
    of(
        "noted photos are counted apart", "db/queries/overview.py",
        "count - noted.get(outcome, 0)",
        "count",
        (), ("db/queries/test_noted.py::test_they_are_counted_apart",),
    ),
    of(
        "an object that ends too early", "pipeline/backfill/s3_source.py",
        "        if left:\n            raise",
        "        if False:\n            raise",
        (), (f"{_TESTS}/test_s3_source.py::test_an_object_that_ends_too_early_is_an_error",),
    ),
    of(
        "an object is fetched again after an error", "pipeline/backfill/storage/s3_connection.py",
        "    for pause in (*PAUSES, None):\n",
        "    for pause in (None,):\n",
        (), (f"{_TESTS}/test_s3_source.py::test_a_run_goes_through_errors_of_each_kind",),
    ),
    of(
        "a file of a run on S3 is one PUT", "pipeline/backfill/storage/s3_connection.py",
        "        allow_delayed_open=True,  # an object below 10 MiB is one PUT\n",
        "",
        (), (f"{_TESTS}/test_run_path.py::test_a_file_is_one_put",),
    ),
    of(
        "a file of a run on S3 that ends too early", "pipeline/backfill/storage/run_path.py",
        "    if len(content) < size - first:\n",
        "    if False:\n",
        (), (f"{_TESTS}/test_run_path.py::test_a_file_that_ends_too_early_is_an_error",),
    ),
    of(
        "a store that is away does not make a part damaged", "pipeline/backfill/parts.py",
        "    if isinstance(error, OSError) and error.errno is not None:\n",
        "    if False:\n",
        (), (f"{_TESTS}/test_run_path.py::test_a_list_that_cannot_be_read_now_is_not_called_damaged",),
    ),
    of(
        "a run on S3 lies outside its source", "pipeline/backfill/plan.py",
        "        return isinstance(run, S3Path) and source.address.contains(run.address)\n",
        "        return False\n",
        (), (f"{_TESTS}/test_run_path.py::test_a_plan_is_never_replaced_and_its_source_has_no_run_inside",),
    ),
    of(
        "what an undo puts back lies in no inbox", "pipeline/backfill/s3_source.py",
        "            for name in folders:\n",
        "            for name in (*folders, inside):\n",
        (), (f"{_TESTS}/test_load_files.py::test_a_filed_photo_of_s3_is_undone_into_state",),
    ),
    of(
        "bounded room in memory", "pipeline/backfill/storage/s3_staging.py",
        "            if top is not disk and not self._fits(folder, size):\n",
        "            if False:\n",
        (), (f"{_TESTS}/test_s3_source.py::test_what_does_not_fit_into_memory_is_on_the_disk",),
    ),
)  # fmt: skip
