"""Safeguards: uploads to the inbox, from their size to their place on the disk."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_UPLOADS = "pipeline/web/services/test_uploads.py::"
_DELIVERING = "pipeline/web/services/test_delivery.py::"
_DURABLE = _DELIVERING + "test_it_is_durable_before_it_has_its_name_and_its_name_before_it_is_answered"
_SERVER = "pipeline/web/test_server.py::"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "new names for uploads", "pipeline/web/services/uploads.py",
        "        path = self._folder / f\"{PREFIX}{self._word}-{secrets.token_hex(8)}.part\"\n",
        "        path = self._folder / shown\n",
        (106,), (_UPLOADS + "test_the_clients_name_is_never_one_on_our_disk",),
    ),
    of(
        "a file of an upload is bounded", "pipeline/web/services/uploads.py",
        "                raise _too_large(self._limits)\n",
        "                pass\n",
        (107,), (_UPLOADS + "test_a_file_that_is_too_large_is_refused_while_it_comes",),
    ),
    of(
        "a declared length that is too large is refused", "pipeline/web/services/uploads.py",
        "    if expected > TOGETHER * limits.file_bytes + BESIDE_BYTES:\n",
        "    if False:\n",
        (107,), (_UPLOADS + "test_a_stated_length_that_is_too_large_is_refused_before_anything_is_read",),
    ),
    of(
        "a limit of files in a request", "pipeline/web/services/uploads.py",
        "        if len(self.files) >= MOST_FILES:\n",
        "        if False:\n",
        (107,), (_UPLOADS + "test_ten_thousand_parts_are_refused",),
    ),
    of(
        "a limit of form data besides files", "pipeline/web/services/uploads.py",
        "        if self._read - self._total > BESIDE_BYTES:\n",
        "        if False:\n",
        (107,), (_UPLOADS + "test_whatever_the_body_consists_of_it_is_not_read_for_ever",),
    ),
    of(
        "a limit of fields in a form", "pipeline/web/services/uploads.py",
        "            if self._fields > MOST_FIELDS:\n",
        "            if False:\n",
        (107,), (_UPLOADS + "test_ten_thousand_parts_are_refused",),
    ),
    of(
        "the disk reserve during an upload", "pipeline/web/services/uploads.py",
        "            if shutil.disk_usage(self._folder).free < RESERVE_BYTES:\n",
        "            if False:\n",
        (108,), (_UPLOADS + "test_a_disk_that_others_fill_meanwhile_keeps_its_reserve",),
    ),
    of(
        "an incomplete form is refused", "pipeline/web/services/uploads.py",
        "        if not receiver.whole:\n",
        "        if False:\n",
        (107,), (_UPLOADS + "test_a_form_that_is_cut_off_or_not_understood_is_refused",),
    ),
    of(
        "unaccepted uploads are removed", "pipeline/web/services/uploads.py",
        "        await asyncio.to_thread(receiver.discard)\n",
        "        pass\n",
        (107,), (_SERVER + "test_a_client_that_leaves_in_the_middle_leaves_nothing",),
    ),
    of(
        "leftovers of a killed server are removed", "pipeline/web/services/uploads.py",
        "            if name.startswith(PREFIX) and not _is_received(folder / f\"{PREFIX}{word}{LOCK}\"):\n",
        "            if False:\n",
        (107,), (_UPLOADS + "test_what_a_killed_server_left_is_swept",),
    ),
    of(
        "free space is checked before an upload", "pipeline/web/services/uploads.py",
        "    if expected + RESERVE_BYTES > free:\n",
        "    if False:\n",
        (108,), (_UPLOADS + "test_without_room_a_file_is_refused_before_it_is_read",),
    ),
    of(
        "an upload is synced before it gets its name", "pipeline/web/services/delivery.py",
        "        os.fsync(descriptor)\n",
        "        pass\n",
        (108,), (_DURABLE,),
    ),
    of(
        "the inbox is synced before the response", "pipeline/web/services/delivery.py",
        "        moves.sync_folders([os.fsencode(inbox)])\n        return Delivery(name",
        "        return Delivery(name",
        (108,), (_DURABLE,),
    ),
    of(
        "one request at a time for one key", "pipeline/web/services/delivery.py",
        "            with lock:\n                yield\n",
        "            yield\n",
        (109,), (_DELIVERING + "test_a_hundred_at_once_are_a_hundred_deliveries_or_one_with_a_key",),
    ),
    of(
        "a key is looked up in the ledger", "pipeline/web/services/delivery.py",
        "        if row is None:\n            return None\n",
        "        return None\n",
        (109,), (_DELIVERING + "test_the_same_key_brings_one_file_before_and_after_the_worker_took_it",),
    ),
)  # fmt: skip
