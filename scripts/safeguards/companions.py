# ruff: noqa: E501
"""Safeguards: files that belong to a photo stay with it."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_STAY = "pipeline/originals/test_companions.py::test_"

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
        "a late companion waits where another photo of its name has come", "pipeline/companions/late.py",
        "        if file.action is None and _is_in_inbox(file, photo):\n",
        "        if False:\n",
        (38,), ("pipeline/companions/test_worker.py::test_a_sidecar_that_a_scan_finds_first_waits_for_its_photo_though_one_of_this_name_was_filed",),
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
        "    if photo != name and entry and _belongs(path, entry):\n        return True\n",
        "",
        (), ("pipeline/companions/test_worker.py::test_what_a_power_cut_left_in_the_spool_goes_back_to_its_photo",),
    ),
    of(
        "catalogues of other programs are left alone", "pipeline/watch/ignore_rules.py",
        '    r".+\\.lrcat(-data|-journal|-shm|-wal|\\.lock)?",',
        '    r"#",',
        (21,), ("pipeline/watch/test_ignore_rules.py::test_catalogues_and_all_in_them_are_left_alone",),
    ),
    of(
        "a companion that was edited in sorted is not removed", "pipeline/corrections/made_files.py",
        '        if not is_made(entry.action or "", path, source):\n',
        "        if False:\n",
        (), (f"{_STAY}a_companion_that_was_edited_or_added_in_sorted_is_never_removed", f"{_STAY}the_only_copy_of_a_companion_is_not_removed"),
    ),
    of(
        "a companion that was edited while its undo was interrupted is not removed", "pipeline/corrections/made_files.py",
        '    made = [path for path, source in there if is_made(entry.action or "", path, source)]\n',
        "    made = [path for path, source in there]\n",
        (), (f"{_STAY}after_an_interrupted_undo_a_companion_that_was_edited_meanwhile_stays",),
    ),
    of(
        "companions that were taken are known", "pipeline/originals/memory.py",
        "(*_keys(inbox, source, identity), _key(inbox, source))",
        "_keys(inbox, source, identity)",
        (), (f"{_STAY}a_companion_whose_original_changed_is_not_taken_again",),
    ),
    of(
        "companions of a changed photo", "pipeline/worker/steps/intake.py",
        "for file in self._with_earlier_companions(left) if",
        "for file in left if",
        (), (f"{_STAY}a_changed_photo_is_taken_again_with_the_companions_that_are_known",),
    ),
    of(
        "copies of companions are synced", "pipeline/worker/steps/claim.py",
        "                for path in (file.spool, *(moving.spooled(file.spool, name) for name in file.companions)):\n",
        "                for path in (file.spool,):\n",
        (68,), (f"{_STAY}copies_of_companions_that_may_not_be_durable_are_made_again_and_synced",),
    ),
    of(
        "a copy of a companion that may not be durable is made again", "pipeline/originals/companions.py",
        "            os.unlink(target)\n        if not os.path.lexists(target):\n",
        "            pass\n        if not os.path.lexists(target):\n",
        (68,), (f"{_STAY}copies_of_companions_that_may_not_be_durable_are_made_again_and_synced",),
    ),
    of(
        "a companion whose copy could not be synced is copied again, and its photo is not", "pipeline/worker/steps/claim.py",
        "(self._incomplete if os.path.lexists(file.spool) else self._outside).append(file)",
        "self._outside.append(file)",
        (), (f"{_STAY}a_copy_of_a_companion_that_the_disk_cannot_write_is_made_again",),
    ),
    of(
        "companions in the spool whose photo is gone", "pipeline/worker/recovery.py",
        "                companions.discard(file.action, file.inbox, file.source, file.spool, file.companions)\n",
        "                pass\n",
        (58,), (f"{_STAY}what_was_made_of_companions_is_removed_if_their_photo_cannot_be_taken_after_all",),
    ),
    of(
        "companions in the spool whose photo is refused", "pipeline/worker/steps/claim.py",
        "            self._discard(file)\n            self._refused.append((file, error))\n",
        "            self._refused.append((file, error))\n",
        (), (f"{_STAY}what_was_made_of_companions_is_removed_if_their_photo_cannot_be_taken_after_all",),
    ),
    of(
        "companions in the spool that their row does not need", "pipeline/worker/recovery.py",
        "    return entry.action is not None and companions.discard_stray(path, entry)\n",
        "    return False\n",
        (), (f"{_STAY}what_a_power_cut_left_in_the_spool_goes_beside_its_photo_or_away",),
    ),
    of(
        "a RAW whose picture was taken waits for no picture", "pipeline/watch/groups.py",
        "                if is_file and not self._known(snapshot(picture, status)):\n",
        "                if is_file:\n",
        (), (f"{_STAY}one_that_comes_later_is_taken_once_to_where_its_photo_is_now",),
    ),
    of(
        "a RAW whose picture was taken is no photo", "pipeline/companions/late.py",
        "            elif file.action is not None and is_companion(file.path):\n",
        "            elif False:\n",
        (), (f"{_STAY}a_raw_whose_photo_was_deleted_in_sorted_is_not_taken_as_a_photo",),
    ),
    of(
        "no other file for a companion that comes later", "pipeline/originals/companions.py",
        "    return is_made(action, goal, os.path.join(inbox, source))\n",
        "    return True\n",
        (), (f"{_STAY}one_that_comes_later_never_replaces_another_file_and_stays_where_its_photo_was_undone",),
    ),
    of(
        "the photo of a lonely sidecar is looked up once", "pipeline/companions/late.py",
        "None if self._alone.get(key) == self._claims else self._photo_of(file, name)",
        "self._photo_of(file, name)",
        (), (f"{_STAY}sidecars_without_a_photo_are_looked_up_once_until_files_are_claimed",),
    ),
    of(
        "a link moved back to another disk", "pipeline/companions/moving.py",
        "            _move(destination, source, target)\n",
        "            moves.move(destination, source)\n",
        (), (f"{_STAY}links_get_another_name_on_another_disk_where_one_is_taken_meanwhile",),
    ),
    of(
        "a companion of another photo left with that", "pipeline/corrections/groups.py",
        "names = distinct(arrived, {*kept, *(name for name in beside if paths[name] not in photos | companions)})",
        "names = distinct(arrived, {*kept, *beside})",
        (), ("pipeline/companions/test_elsewhere.py::test_a_photo_leaves_the_sidecar_of_one_with_its_stem_that_was_filed_before",),
    ),
    of(
        "a renamed photo takes no files of another group", "pipeline/corrections/groups.py",
        "    kept = tuple(name for name in before if paths[name] not in lost)\n",
        "    kept = before\n",
        (), ("pipeline/companions/test_elsewhere.py::test_a_photo_that_a_person_gave_the_name_of_another_group_leaves_that_alone",),
    ),
    of(
        "keywords past a sidecar that cannot be written", "pipeline/keywords/step.py",
        "                self._pass_by(entry, error)\n",
        "                raise\n",
        (), ("pipeline/keywords/test_step.py::test_a_sidecar_that_cannot_be_written_does_not_delay_those_of_later_photos",),
    ),
    of(
        "a keyword taken out of a photo's other sidecars", "pipeline/keywords/sidecar.py",
        '            names = _write(entry, path, "", names)\n',
        "            pass\n",
        (), ("pipeline/keywords/test_step.py::test_of_two_sidecars_only_the_one_with_all_of_the_name_has_it",),
    ),
    of(
        "an empty list of keywords as it was", "pipeline/keywords/packet.py",
        '        if data.endswith(_WAS_EMPTY, 0, container.end):\n            return [(container.content - 1, container.end, b"/>")]\n',
        "",
        (), ("pipeline/keywords/test_packet.py::test_an_empty_list_is_filled_and_no_second_one_made_and_is_empty_again",),
    ),
    of(
        "the ledger before a keyword is taken out", "pipeline/keywords/step.py",
        '    book.write(entry.id, "")  # first: if its move is given up, the keyword is due again\n',
        "",
        (), ("pipeline/keywords/test_step.py::test_a_kill_within_an_undo_does_not_lose_it",),
    ),
    of(
        "a word of a person is left to them", "pipeline/keywords/packet.py",
        "    if keyword in _words(lists.get(_SUBJECT, ())):\n",
        "    if False:\n",
        (), ("pipeline/keywords/test_packet.py::test_a_word_of_a_person_is_theirs_before_and_after",),
    ),
    of(
        "no entities in a sidecar", "pipeline/keywords/elements.py",
        "        parser.StartDoctypeDeclHandler = self._doctype  # entities may grow without limit; XMP has none\n",
        "",
        (), ("pipeline/keywords/test_packet.py::test_a_sidecar_that_is_not_understood_is_refused",),
    ),
    of(
        "a corrected photo has its new keyword at once", "pipeline/corrections/recorded_move.py",
        "        write_keyword(move.file_id, self._engine)\n",
        "",
        (), ("pipeline/keywords/test_step.py::test_a_correction_changes_it_at_once_and_its_undo_changes_it_back",),
    ),
)  # fmt: skip
