"""Safeguards: originals that are copied or linked stay as they are, and each is taken once."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_ACTIONS = "pipeline/originals/test_actions.py::test_"
_COPIES = "pipeline/originals/test_copies.py::test_"
_UNDO = "pipeline/originals/test_undo.py::test_"
_REFUSED = "pipeline/originals/test_refused.py::test_"
_MEMORY = "pipeline/originals/test_memory.py::test_"
_LEFT = "pipeline/worker/test_left_failures.py::test_"
_ELSEWHERE = "pipeline/originals/test_elsewhere.py::test_"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "an original beside its copy is no half claim",
        "pipeline/worker/recovery.py",
        "        elif in_spool and not file.action and self._is_half_claimed(file):\n",
        "        elif in_spool and self._is_half_claimed(file):\n",
        (),
        (f"{_ACTIONS}killed_after_the_claim_the_original_stays",),
    ),
    of(
        "a copy is synced before its row has its identity",
        "pipeline/worker/steps/claim.py",
        "        self._sync_copies()\n",
        "",
        (),
        (f"{_COPIES}a_copy_is_synced_before_its_row_has_its_identity",),
    ),
    of(
        "a copy that could not be synced is made again",
        "pipeline/originals/taking.py",
        "    except OSError:\n        os.unlink(spool)\n        raise\n",
        "    except OSError:\n        raise\n",
        (),
        (f"{_COPIES}a_copy_that_the_disk_cannot_write_is_made_again",),
    ),
    of(
        "a copy that may not be durable is made again",
        "pipeline/worker/recovery.py",
        "        elif in_spool and self._may_be_unsynced(entry, file):\n",
        "        elif False:\n",
        (),
        (f"{_COPIES}a_copy_that_may_not_be_durable_is_made_again_after_a_power_cut",),
    ),
    of(
        "a link in the spool that was made is not put back",
        "pipeline/worker/recovery.py",
        "        elif in_spool and not file.action and put_back_irregular(file):\n",
        "        elif in_spool and put_back_irregular(file):\n",
        (),
        (f"{_ACTIONS}killed_after_the_claim_the_original_stays",),
    ),
    of(
        "an original that was taken is known",
        "pipeline/watch/inbox.py",
        "        return self._known(seen) or self._tracker.observe(seen, self._now)\n",
        "        return self._tracker.observe(seen, self._now)\n",
        (),
        (f"{_ACTIONS}what_was_taken_is_not_taken_again_in_this_run_or_the_next",),
    ),
    of(
        "an original that was renamed is known",
        "pipeline/originals/memory.py",
        "    return hash((inbox, source, size, mtime_ns)), hash((dev, ino, size, mtime_ns))\n",
        "    return hash((inbox, source, size, mtime_ns)), hash((inbox, source, size, mtime_ns))\n",
        (),
        (f"{_ACTIONS}a_changed_original_is_taken_again_and_a_renamed_one_is_not",),
    ),
    of(
        "an original on a disk that was mounted again is known",
        "pipeline/originals/memory.py",
        "    return hash((inbox, source, size, mtime_ns)), hash((dev, ino, size, mtime_ns))\n",
        "    return hash((dev, ino, size, mtime_ns)), hash((dev, ino, size, mtime_ns))\n",
        (),
        (f"{_MEMORY}an_original_is_known_by_its_path_or_by_its_inode_until_it_changes",),
    ),
    of(
        "what commands gave up is noticed",
        "pipeline/originals/memory.py",
        "                    self.forget(row.inbox, row.source, row.identity, row.companions)\n",
        "                    pass\n",
        (),
        (f"{_UNDO}retry_makes_the_original_a_new_arrival_also_for_a_running_worker",),
    ),
    of(
        "an original that changed since it was claimed",
        "pipeline/originals/taking.py",
        "        _refuse_changed(identity(original.fd), expected, source)\n",
        "",
        (),
        (f"{_REFUSED}an_original_that_changed_since_it_was_claimed_is_not_taken",),
    ),
    of(
        "an original that changes while it is copied",
        "pipeline/originals/taking.py",
        "                lambda _: _refuse_changed(identity(original.fd), expected, source),\n",
        "                lambda _: None,\n",
        (),
        (f"{_REFUSED}an_original_that_changes_while_it_is_copied_is_copied_again_later",),
    ),
    of(
        "no probe file among originals",
        "pipeline/watch/mode.py",
        '            if self._mode == "auto" and self._probes:\n',
        '            if self._mode == "auto":\n',
        (),
        (f"{_REFUSED}nothing_is_written_into_an_inbox_from_which_nothing_moves",),
    ),
    of(
        "a folder of originals need not be writable",
        "pipeline/watch/groups.py",
        "movable=file.action is None)",
        "movable=True)",
        (),
        (f"{_REFUSED}a_read_only_disk_is_enough_for_an_inbox_from_which_nothing_moves",),
    ),
    of(
        "an inbox on another file system is not hard-linked",
        "pipeline/worker/startup.py",
        "    refuse_unlinkable(settings)\n",
        "",
        (),
        (f"{_REFUSED}an_inbox_on_another_file_system_cannot_be_hard_linked",),
    ),
    of(
        "the only copy is not removed",
        "pipeline/corrections/recorded_move.py",
        "        made_files.refuse_only_copy(entry, original)\n",
        "",
        (),
        (f"{_UNDO}the_only_copy_is_not_removed",),
    ),
    of(
        "the only copy is not removed after an interruption",
        "pipeline/corrections/recorded_move.py",
        "                made_files.refuse_only_copy(entry, move.destination)\n",
        "",
        (),
        (f"{_UNDO}an_interrupted_undo_is_given_up_if_the_original_is_gone_meanwhile",),
    ),
    of(
        "an undo removes no other link",
        "pipeline/corrections/unchanged.py",
        "        if not made_files.is_link_of(entry):\n",
        "        if False:\n",
        (),
        (f"{_UNDO}another_link_in_its_place_is_not_removed",),
    ),
    of(
        "a link is followed to its own original only",
        "pipeline/files/links.py",
        "    if target_of(path) != target:\n",
        "    if False:\n",
        (),
        (f"{_ELSEWHERE}doctor_names_a_link_whose_original_is_gone_and_one_that_names_another",),
    ),
    of(
        "a thumbnail of the original of a link only",
        "pipeline/thumbnails/content.py",
        "        return original if is_link and target_of(path) == original else path\n",
        "        return original if is_link else path\n",
        (),
        (f"{_ELSEWHERE}a_thumbnail_is_drawn_of_the_original_below_its_inbox",),
    ),
    of(
        "a failed file on its way back is not taken",
        "db/ledger/statements.py",
        '.where(text(IS_UNFINISHED), files.c.verdict == "failed")',
        '.where(text("1 = 0"))',
        (58,),
        (f"{_LEFT}a_file_on_its_way_back_is_not_taken_before_its_row_says_that_it_is_there",),
    ),
    of(
        "the only copy of a failed file is not removed",
        "pipeline/originals/companions.py",
        "    if not all(is_made(action, path, original) for path, original in pairs):\n",
        "    if False:\n",
        (),
        (f"{_LEFT}an_original_that_changed_meanwhile_goes_to_failed",),
    ),
    of(
        "a failed file that its inbox does not take back goes to failed",
        "pipeline/worker/steps/place.py",
        "            if not os.path.lexists(file.spool):\n",
        "            if True:\n",
        (),
        (f"{_LEFT}an_inbox_that_does_not_take_its_file_back_does_not_stop_the_worker",),
    ),
)
