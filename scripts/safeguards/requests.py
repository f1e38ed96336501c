"""Safeguards: requests to other machines, and their files on the pages."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_DONE = "pipeline/requests/test_carry_out.py::"
_RETIRED = "pipeline/requests/test_retired.py::"
_PICTURES = "pipeline/web/elsewhere/test_pictures.py::"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "files of another machine are not changed here", "pipeline/requests/asking.py",
        "        theirs = [file for file in files if file.id in others]\n",
        "        theirs, mine = [], list(files)\n        done = dict(zip(mine, here(mine), strict=True))\n",
        (), (_DONE + "test_a_correction_is_sent_and_carried_out_by_the_owner",),
    ),
    of(
        "a request that a killed worker carried out", "pipeline/requests/carry_out.py",
        "        if self._is_done(request):\n",
        "        if False:\n",
        (), (_DONE + "test_a_request_that_a_killed_worker_carried_out_is_recognised",),
    ),
    of(
        "a request is held while it is carried out", "db/ledger/requests.py",
        "connection.execute(oldest.with_for_update(skip_locked=True))",
        "connection.execute(oldest)",
        (), (_DONE + "test_a_request_that_is_being_carried_out_cannot_be_taken_back",),
    ),
    of(
        "the version that a person saw of another machine's file", "db/ledger/requests.py",
        "    if version != wish.version:\n",
        "    if False:\n",
        (), (_DONE + "test_a_row_that_changed_meanwhile_is_a_problem",),
    ),
    of(
        "a worker that is alive is not retired", "db/ledger/workers.py",
        ".where(*gone).with_for_update()",
        ".where(gone[0]).with_for_update()",
        (), (_RETIRED + "test_a_worker_that_is_alive_is_not_retired",),
    ),
    of(
        "a retired worker is asked nothing", "db/ledger/requests.py",
        "                if row is not None and row.worker_id in retired:\n",
        "                if False:\n",
        (), (_RETIRED + "test_open_requests_end_and_new_ones_are_refused_with_what_to_do",),
    ),
    of(
        "a worker is not retired while it is asked", "db/ledger/requests.py",
        "owners.with_for_update(read=True, key_share=True)",
        "owners",
        (), (_RETIRED + "test_what_is_asked_while_a_worker_is_retired_does_not_stay_open",),
    ),
    of(
        "a retired worker that gives a sign of life is back", "db/ledger/workers.py",
        '"address": address, **_BACK}',
        '"address": address}',
        (), (_RETIRED + "test_a_retired_worker_that_gives_a_sign_of_life_is_back",),
    ),
    of(
        "one open request of a file", "db/ledger/requests.py",
        "    if taken:\n",
        "    if False:\n",
        (), (_DONE + "test_a_file_has_one_open_request",),
    ),
    of(
        "a photo with an open request is not asked about again", "db/queries/requests.py",
        "    return (~exists().where(",
        "    return () and (~exists().where(",
        (), (_DONE + "test_the_photo_leaves_the_queues_while_its_request_is_open",),
    ),
    of(
        "requests do not wait for a command", "pipeline/requests/carry_out.py",
        "            with moves_lock(self._settings, 0.0):\n                pass",
        "            if True:\n                pass",
        (), (_DONE + "test_a_command_that_moves_files_delays_no_step",),
    ),
    of(
        "many requests do not stop the worker", "pipeline/requests/carry_out.py",
        "            if self._clock() >= until:\n",
        "            if False:\n",
        (), (_DONE + "test_many_requests_let_the_worker_take_steps_between",),
    ),
    of(
        "a file in a shared folder is that of the row", "pipeline/web/elsewhere/shared_folders.py",
        " and self._digest(content, file) == row[\"sha256\"]:\n",
        ":\n",
        (106,), (_PICTURES + "test_another_file_at_the_path_of_a_row_is_never_shown",),
    ),
    of(
        "a shared file that changed is checked again", "pipeline/web/elsewhere/shared_folders.py",
        "status.st_size, status.st_mtime_ns, status.st_ctime_ns)\n",
        "0, 0, 0)\n",
        (), (_PICTURES + "test_a_shared_file_that_changes_is_checked_again",),
    ),
    of(
        "only pictures from another machine's pages", "pipeline/web/elsewhere/owners_pages.py",
        "            if kind not in _KINDS:\n",
        "            if False:\n",
        (110,), (_PICTURES + "test_no_redirect_is_followed_and_no_other_content_shown",),
    ),
    of(
        "a picture of another machine has a limit", "pipeline/web/elsewhere/owners_pages.py",
        "        if len(data) > MOST_BYTES or self._clock() > until or self._closing:\n",
        "        if self._clock() > until or self._closing:\n",
        (), (_PICTURES + "test_a_picture_that_is_too_large_is_not_kept",),
    ),
    of(
        "a picture that trickles is given up", "pipeline/web/elsewhere/owners_pages.py",
        "            connection.sock.shutdown(socket.SHUT_RDWR)\n",
        "            pass\n",
        (), (_PICTURES + "test_a_picture_that_trickles_is_given_up",),
    ),
    of(
        "pages that hang are left alone", "pipeline/web/elsewhere/owners_pages.py",
        "        if self._clock() < self._paused.get(owner.address, 0.0):\n",
        "        if False:\n",
        (), (_PICTURES + "test_pages_that_hang_or_are_away_are_left_alone_for_a_while",),
    ),
    of(
        "a machine that is asked for a picture asks no other", "pipeline/web/routes/thumbnails.py",
        "    if owner is not None and OWN_ONLY in request.headers:\n",
        "    if False:\n",
        (), (_PICTURES + "test_a_machine_that_is_asked_asks_no_other",),
    ),
)  # fmt: skip
