# ruff: noqa: E501
"""Safeguards: reports, and the time."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "no alarm of half a day", "pipeline/reports/daily.py",
        "        if self.state and bounds(day, self.zone)[1] <= now:",
        "        if self.state:",
        (), ("pipeline/reports/test_drift_report.py::test_a_day_that_is_not_over_raises_no_alarm",),
    ),
    of(
        "one odd day is no drift", "pipeline/reports/drift_rule.py",
        "            if other / change > 0 and abs(other) >= max(least / 2, _OTHERS * error):\n",
        "            if other:\n",
        (), ("pipeline/reports/test_drift_rule.py::test_one_odd_day_is_no_alarm_however_odd",),
    ),
    of(
        "days of an alarm are not usual", "pipeline/reports/drift_rule.py",
        "            self._left_out |= set(range(shift.since, recent[-1]))\n",
        "            pass\n",
        (), ("pipeline/reports/test_drift_rule.py::test_an_alarm_ends_when_the_figure_is_back_and_its_days_are_not_usual",),
    ),
    of(
        "the pattern of weekdays", "pipeline/reports/drift_rule.py",
        "        return _nearer(sample.value - self.center, self.offsets[day % 7])\n",
        "        return sample.value - self.center\n",
        (), ("pipeline/reports/test_drift_rule.py::test_a_pattern_of_weekdays_is_no_alarm",),
    ),
    of(
        "a file that is being written is not removed", "pipeline/files/in_progress.py",
        "    except BlockingIOError:\n        return False\n",
        "    except BlockingIOError:\n        return True\n",
        (), ("pipeline/files/test_replace_file.py::test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays",),
    ),
    of(
        "a new file removed before its lock", "pipeline/files/in_progress.py",
        "        if not _is_at(descriptor, place):\n",
        "        if False:\n",
        (), ("pipeline/files/test_replace_file.py::test_a_file_taken_for_abandoned_before_it_is_locked_is_made_again",),
    ),
    of(
        "a young file without locks stays", "pipeline/files/in_progress.py",
        "st_mtime > ABANDONED_SECONDS",
        "st_mtime > -1",
        (), ("pipeline/files/test_replace_file.py::test_where_there_are_no_locks_only_what_is_old_is_taken_for_abandoned",),
    ),
    of(
        "uploads of another server stay", "pipeline/web/services/uploads.py",
        "        return not is_abandoned(lock)\n",
        "        return False\n",
        (), ("pipeline/web/services/test_uploads.py::test_what_a_request_receives_is_not_swept_by_another_server",),
    ),
    of(
        "reports replaced at once", "pipeline/files/replace_file.py",
        "    temporary, file = create_in(path.parent, f\".{path.name}.\", \".tmp\")\n",
        "    temporary, file = path, path.open(\"wb\")\n",
        (94,), ("pipeline/files/test_replace_file.py::test_the_old_file_stays_whole_until_the_new_one_is",),
    ),
    of(
        "formulas in a CSV", "pipeline/reports/csv_cells.py",
        "    return _DANGEROUS.sub(r\"\\1'\", text)\n",
        "    return text\n",
        (35, 96), ("pipeline/reports/test_csv_files.py::test_each_name_is_one_record_and_no_cell_is_a_formula",),
    ),
    of(
        "days that do not exist", "pipeline/reports/calendar_days.py",
        "    return [day for day in days if start_of(day, zone) < start_of(day + _DAY, zone)]\n",
        "    return days\n",
        (89,), ("pipeline/reports/test_calendar_days.py::test_hour_by_hour_through_a_year_each_day_falls_due_once_and_after_it_ended",),
    ),
    of(
        "a check at the start", "pipeline/nightly/schedule.py",
        "            if self._agenda.is_due(now):\n",
        "            if self._agenda.looked_at and self._agenda.is_due(now):\n",
        (90,), ("pipeline/nightly/test_schedule.py::test_days_missed_while_the_process_was_down_are_written_at_start",),
    ),
    of(
        "a late wake-up", "pipeline/nightly/ticker.py",
        "\"misfire_grace_time\": None, ",
        "",
        (91,), ("pipeline/nightly/test_schedule.py::test_a_late_wake_still_counts_and_counts_once",),
    ),
    of(
        "one check at a time", "pipeline/nightly/schedule.py",
        "        self._working = threading.Lock()\n",
        "        self._working = threading.Semaphore(2)\n",
        (92,), ("pipeline/nightly/test_schedule.py::test_two_checks_never_run_at_once",),
    ),
    of(
        "a clock that was set back", "pipeline/nightly/agenda.py",
        "self.looked_at is None or now < self.looked_at or",
        "self.looked_at is None or",
        (93,), ("pipeline/nightly/test_schedule.py::test_a_clock_set_back_gives_one_check_at_once",),
    ),
    of(
        "a clock that was set back while APScheduler waits", "pipeline/nightly/ticker.py",
        "            self._scheduler.modify_job(_JOB, next_run_time=now)\n",
        "            pass\n",
        (93,), ("pipeline/nightly/test_schedule.py::test_a_clock_set_back_while_the_thread_waits_gives_a_check_at_once",),
    ),
    of(
        "a day that could not be written", "pipeline/reports/daily.py",
        "                failed[day] = error\n",
        "                pass\n",
        (95,), ("pipeline/reports/test_daily.py::test_a_missing_disk_is_an_error_and_the_day_stays_due",),
    ),
    of(
        "a header without rows", "pipeline/reports/daily.py",
        "    yield csv_files.header(_versioned(frame_of([])))\n",
        "",
        (97,), ("pipeline/reports/test_daily.py::test_an_empty_day_has_headers_only",),
    ),
    of(
        "no export of changed content", "pipeline/files/exact_copy.py",
        "    if expected is not None and sha256(path) != expected:\n",
        "    if False:\n",
        (), (
            "pipeline/export/test_export.py::test_a_copy_that_differs_from_the_row_leaves_nothing",
            "pipeline/export/test_export.py::test_a_photo_that_is_missing_or_changed_is_named_and_the_others_are_exported",
        ),
    ),
    of(
        "no second copy after an export was cut off", "pipeline/export/export.py",
        "            return path in refused or listed or (os.path.lexists(path) and not self._is_ours(path, row))\n",
        "            return path in refused or listed or os.path.lexists(path)\n",
        (), ("pipeline/export/test_export.py::test_an_export_that_was_interrupted_anywhere_completes",),
    ),
    of(
        "no photo under two labels in an export", "pipeline/export/export.py",
        "            return self._relabelled(row, known.path, label or \"\")\n",
        "            return self._kept(row, known.path, known.label, label)\n",
        (), ("pipeline/export/test_export.py::test_a_second_export_adds_what_is_new_and_moves_what_has_another_label",),
    ),
    of(
        "a torn line of an export", "pipeline/export/manifest.py",
        "        self._cut_off_torn_line()\n", "",
        (), ("pipeline/export/test_export.py::test_an_export_that_was_interrupted_anywhere_completes",),
    ),
    of(
        "an export that was killed at its beginning", "pipeline/export/export.py",
        "    foreign = {name for name in names - {LOCK_NAME} if not name.startswith(f\".{NAME}.\")}\n",
        "    foreign = names - {LOCK_NAME}\n",
        (), ("pipeline/export/test_export.py::test_an_export_that_dies_or_fails_at_any_change_of_a_file_completes",),
    ),
    of(
        "weights by the chance over all draws", "pipeline/spot_checks/estimate.py",
        "        weight = 1 / missed.chance_of_drawing(photo.outcome, photo.seen_at)\n",
        "        weight = photo.weight\n",
        (), ("pipeline/spot_checks/test_estimate.py::test_the_estimate_is_unbiased_where_draws_look_at_some_photos_more_often",),
    ),
    of(
        "fewer effective answers where wrong ones weigh much", "pipeline/spot_checks/intervals.py",
        "    return min(by_weights, share * (1 - share) * total * total / spread) if spread else by_weights\n",
        "    return by_weights\n",
        (), ("pipeline/spot_checks/test_estimate.py::test_the_interval_covers_the_truth_in_at_least_93_of_100_of_a_thousand_runs",),
    ),
    of(
        "a part of a draw is a random sample", "pipeline/spot_checks/draw.py",
        "        rng.shuffle(chosen)\n", "",
        (), ("pipeline/spot_checks/test_spot_checks.py::test_the_order_of_the_questions_is_random_so_that_a_part_is_a_sample",),
    ),
    of(
        "mistakes that were found before a draw", "pipeline/spot_checks/estimate.py",
        "        right=sum(judged),\n        count=len(judged),\n",
        "        right=0,\n        count=0,\n",
        (), ("pipeline/spot_checks/test_estimate.py::test_mistakes_that_people_found_before_a_draw_count_one_by_one",),
    ),
    of(
        "an unproven step ends the search for a threshold", "pipeline/spot_checks/own_threshold.py",
        "            break\n", "            continue\n",
        (), ("pipeline/spot_checks/test_own_threshold.py::test_it_stops_at_the_first_step_that_is_not_proven",),
    ),
    of(
        "photos that were not reviewed prove no threshold", "pipeline/spot_checks/own_threshold.py",
        "    counted = cohort or list(doubted)\n",
        "    counted = [each for each in doubted if each.label is not None]\n",
        (), ("pipeline/spot_checks/test_own_threshold.py::test_doubtful_photos_that_had_their_turn_and_no_answer_count_as_wrong",),
    ),
    of(
        "an own threshold is of one model", "pipeline/classifier/own_threshold.py",
        "    if record is None or record.model_sha256 != model_sha256:\n",
        "    if record is None:\n",
        (), ("pipeline/spot_checks/test_spot_checks.py::test_an_own_threshold_is_of_one_model_one_promise_and_the_setting",),
    ),
    of(
        "an undo takes the answer of a spot check back", "db/queries/spot_checks.py",
        "    return case((text(f\"files.{IS_FILED}\"), standing), else_=spot_checks.c.label)\n",
        "    return func.coalesce(spot_checks.c.label, standing).label(\"label\")\n",
        (), ("db/queries/test_spot_checks.py::test_a_judgement_made_elsewhere_is_the_answer_and_an_undo_takes_it_back",),
    ),
)  # fmt: skip
