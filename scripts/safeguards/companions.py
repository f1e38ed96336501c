# ruff: noqa: E501
"""Safeguards: files that belong to a photo stay with it."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a whole group moved back after an error", "pipeline/companions/moving.py",
        "        _move_back(done)\n        raise\n",
        "        raise\n",
        (), (
            "pipeline/companions/test_interrupted.py::test_where_the_name_of_a_companion_is_taken_meanwhile_all_get_another",
            "pipeline/companions/test_interrupted.py::test_a_worker_gives_a_group_another_name_where_one_is_taken_meanwhile",
        ),
    ),
    of(
        "room for the companions of a long name", "pipeline/companions/moving.py",
        "        reserve=rules.longest_rest(companions, arrived) if companions else 0,\n",
        "",
        (37,), ("pipeline/companions/test_worker.py::test_a_name_of_255_bytes_leaves_room_for_its_companions_when_it_is_numbered",),
    ),
    of(
        "companions after a kill between photo and companion", "pipeline/worker/recovery.py",
        "        if file.companions:\n            self._claim.enqueue_incomplete(file)\n        else:\n            self._classify",
        "        if True:\n            self._classify",
        (58,), ("pipeline/companions/test_interrupted.py::test_killed_at_every_step_a_worker_separates_nothing", "faults/test_sweep.py::test_killed_at_a_move_of_a_companion_it_stays_with_its_photo"),
    ),
    of(
        "the row of a late companion before its move", "pipeline/companions/late.py",
        "        if not is_known:\n            self._ledger.set_companions(photo.id, after)\n",
        "",
        (), (
            "pipeline/companions/test_worker.py::test_a_companion_that_comes_later_follows_its_photo_to_where_it_is",
            "pipeline/companions/test_interrupted.py::test_killed_while_a_companion_follows_later_it_is_moved_by_the_next_worker",
        ),
    ),
    of(
        "a late companion that did not follow is not in the row", "pipeline/companions/late.py",
        "                self._ledger.set_companions(photo.id, before)\n",
        "                pass\n",
        (), ("pipeline/companions/test_worker.py::test_one_whose_place_is_taken_at_the_last_moment_is_not_in_the_row",),
    ),
    of(
        "a lease on companions", "pipeline/watch/groups.py",
        "    return not any(is_written_to(inbox, path) for path in beside(file.source, file.companions))\n",
        "    return True\n",
        (11,), ("pipeline/companions/test_worker.py::test_a_photo_waits_for_a_companion_that_is_written_to",),
    ),
    of(
        "a photo waits until its companions have settled", "pipeline/watch/groups.py",
        "            self._tracker.hold(path, until)\n            return None\n",
        "            pass\n",
        (12,), ("pipeline/watch/test_groups.py::test_a_photo_waits_until_its_companions_have_settled",),
    ),
    of(
        "a sidecar is never a file of its own", "pipeline/companions/late.py",
        '            return of != "sidecar"\n',
        "            return True\n",
        (), ("pipeline/companions/test_worker.py::test_a_sidecar_without_its_photo_stays_in_the_inbox_and_is_logged_once",),
    ),
    of(
        "a RAW waits a moment for its picture", "pipeline/watch/groups.py",
        "            if now < due.first_seen + self._patience:\n",
        "            if False:\n",
        (), ("pipeline/watch/test_groups.py::test_a_raw_waits_a_moment_for_its_picture",),
    ),
    of(
        "companions by hand are no additions", "pipeline/by_hand/comparison.py",
        "            if self._together and path not in known and is_companion(path):\n                continue\n",
        "",
        (), ("pipeline/companions/test_elsewhere.py::test_a_companion_in_sorted_is_not_recorded_as_added_by_hand",),
    ),
    of(
        "companions left in the spool by a power cut", "pipeline/worker/recovery.py",
        "    if photo != name and entry and put_beside(path, entry):\n        return True\n",
        "",
        (), ("pipeline/companions/test_worker.py::test_what_a_power_cut_left_in_the_spool_goes_back_to_its_photo",),
    ),
    of(
        "catalogues of other programs are left alone", "pipeline/watch/ignore_rules.py",
        '    r".+\\.lrcat(-data|-journal|-shm|-wal|\\.lock)?",',
        '    r"#",',
        (21,), ("pipeline/watch/test_ignore_rules.py::test_catalogues_and_all_in_them_are_left_alone",),
    ),
)  # fmt: skip
