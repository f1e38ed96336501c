# ruff: noqa: E501
"""Safeguards: connections and bodies of requests: one client does not take the server from the others."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_UPLOADS = "pipeline/web/services/test_uploads.py::"
_SERVER = "pipeline/web/test_server.py::"
_SAFETY = "pipeline/web/middleware/test_guard.py::"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a slow body is ended", "pipeline/web/middleware/body_limits.py",
        "        left = min(SILENCE_SECONDS, self._began + SILENCE_SECONDS + allowance - self._clock())\n",
        "        left = SILENCE_SECONDS\n",
        (107,), (_UPLOADS + "test_a_body_that_trickles_is_not_taken",),
    ),
    of(
        "a silent connection is closed", "pipeline/web/connections.py",
        "            return now - self.began > HEAD_SECONDS\n",
        "            return False\n",
        (107,), (_SERVER + "test_a_silent_or_incomplete_request_is_disconnected",),
    ),
    of(
        "a client that receives nothing is disconnected", "pipeline/web/connections.py",
        "        return now - self.last > WRITE_SECONDS or now",
        "        return False and now",
        (107,), ("pipeline/web/connections/test_places.py::test_a_reader_that_slows_down_or_trickles_is_late",),
    ),
    of(
        "a client that keeps the server waiting is evicted", "pipeline/web/connections.py",
        "        if len(others) < CONNECTIONS or self._replace(map(_of, others)):\n",
        "        if len(others) < CONNECTIONS:\n",
        (107,), ("pipeline/web/connections/test_places.py::test_a_waiting_connection_gives_way_to_a_new_one",),
    ),
    of(
        "one address does not take all connections", "pipeline/web/connections.py",
        "            return self._displace(candidates, count)\n",
        "            return False\n",
        (107,), ("pipeline/web/connections/test_places.py::test_an_address_that_asks_without_a_pause_does_not_keep_others_out",),
    ),
    of(
        "a few addresses do not take all connections", "pipeline/web/connections.py",
        "        if taken <= 2 * (count[_address(self)] + 1):\n",
        "        if taken <= CONNECTIONS // 2:\n",
        (107,), ("pipeline/web/connections/test_places.py::test_a_few_addresses_that_ask_without_a_pause_do_not_keep_others_out",),
    ),
    of(
        "a download that its client ends leaves no file open", "pipeline/web/routes/reports.py",
        "        with self._file:\n",
        "        if True:\n",
        (107,), ("pipeline/web/routes/test_reports.py::test_a_download_that_its_client_ends_leaves_no_file_open",),
    ),
    of(
        "a connection ends once a client that sends no more is answered", "pipeline/web/connections.py",
        "        if self.has_ended and not self._must_answer:\n",
        "        if False:\n",
        (107,), ("pipeline/web/connections/test_live_clients.py::test_requests_that_came_whole_are_answered_although_the_client_sends_no_more",),
    ),
    of(
        "a form has no right to its place, as an upload has", "pipeline/web/connections.py",
        "        return cycle.more_body and is_upload(cycle.scope[\"path\"])\n",
        "        return cycle.more_body\n",
        (107,), ("pipeline/web/connections/test_places.py::test_bodies_that_are_no_uploads_do_not_keep_others_out",),
    ),
    of(
        "one IPv6 network does not take all places", "pipeline/web/connections.py",
        "    return network_of(connection.client[0]) if",
        "    return connection.client[0] if",
        (107,), ("pipeline/web/connections/test_places.py::test_the_addresses_of_one_ipv6_network_do_not_keep_others_out",),
    ),
    of(
        "the rest of a refused body is bounded", "pipeline/web/connections.py",
        "        if self._discarded > lingering.DISCARD_BYTES:\n",
        "        if False:\n",
        (107,), ("pipeline/web/connections/test_lingering.py::test_of_a_refused_body_only_so_much_is_received",),
    ),
    of(
        "the rest of a refused body has a few seconds", "pipeline/web/connections.py",
        "            return now - self.began > lingering.DISCARD_SECONDS\n",
        "            return False\n",
        (107,), ("pipeline/web/connections/test_lingering.py::test_the_rest_of_a_refused_body_has_a_few_seconds",),
    ),
    of(
        "a refusal reaches a client that still sends", "pipeline/web/lingering.py",
        "        if self.lingers or self._transport.is_closing() or not self._must_linger():\n",
        "        if True:\n",
        (107,), ("pipeline/web/connections/test_lingering.py::test_a_client_that_sends_all_before_it_reads_receives_the_refusal",),
    ),
    of(
        "busy connections are read in short turns", "pipeline/web/short_reads.py",
        "        size = UPLOAD_BYTES if self.takes_upload else READ_BYTES\n",
        "        size = UPLOAD_BYTES\n",
        (107,), ("pipeline/web/connections/test_short_reads.py::test_a_client_that_sends_much_is_read_in_short_turns",),
    ),
    of(
        "very small chunks do not keep the server busy", "pipeline/web/small_chunks.py",
        "            if self._chunks > FREE_CHUNKS + self._bytes / CHUNK_BYTES:\n",
        "            if False:\n",
        (107,), ("pipeline/web/connections/test_small_chunks.py::test_a_body_in_chunks_of_one_byte_is_refused",),
    ),
    of(
        "a small body for a small form", "pipeline/web/middleware/body_limits.py",
        "        if self._limit is not None and self._bytes > self._limit:\n",
        "        if False:\n",
        (107,), (_SAFETY + "test_a_form_may_not_be_large",),
    ),
)  # fmt: skip
