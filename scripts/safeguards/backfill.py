"""Safeguards: backfills. Their tests need PyArrow, which the environment for development has."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_TESTS = "pipeline/backfill"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a part is on the disk before it has its name", "pipeline/backfill/parts.py",
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
        "        if len(results) >= _ENOUGH and all(_is_missing(result) for result in results):\n",
        "        if False:\n",
        (), (f"{_TESTS}/test_work.py::test_a_part_without_any_of_its_files_is_not_done",),
    ),
    of(
        "a file that changes while it is read", "pipeline/backfill/work.py",
        "                if part.photos[n].etag or (seen.version == versions[n] and _agree(seen, result)):\n",
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
        "the order of a list", "pipeline/backfill/source.py",
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
)  # fmt: skip
