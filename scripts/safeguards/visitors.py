# ruff: noqa: E501
"""Safeguards: pages and API, faults 103 to 113."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_UPLOADS = "pipeline/web/services/test_uploads.py::"
_DELIVERING = "pipeline/web/services/test_delivery.py::"
_DURABLE = _DELIVERING + "test_it_is_durable_before_it_has_its_name_and_its_name_before_it_is_answered"
_REPORTS = "pipeline/web/routes/test_reports.py::"
_CSV = "pipeline/reports/test_csv_files.py::"
_FILE = "pipeline/web/routes/test_file_detail.py::"
_SERVER = "pipeline/web/test_server.py::"
_PRIVATE = (
    "pipeline/test_permissions.py::test_what_pawsort_makes_for_itself_is_as_private_as_the_setting_says"
)
_LOGIN = "pipeline/web/routes/test_session.py::"
_THUMBNAILS = "pipeline/web/routes/test_thumbnails.py::"
_SAFETY = "pipeline/web/middleware/test_guard.py::"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "no control character in a cell", "pipeline/reports/csv_files.py",
        "neutral(visible(text))", "neutral(text)",
        (), (_CSV + "test_a_control_character_is_written_as_what_it_is_and_comes_back",),
    ),
    of(
        "files of the worker are private", "pipeline/worker/service.py",
        "        stack.enter_context(limited(settings.permissions))\n", "",
        (), (_PRIVATE,),
    ),
    of(
        "no formula behind a semicolon", "pipeline/reports/csv_cells.py",
        "(\\A|;)(?=", "(\\A)(?=",
        (), (_CSV + "test_no_cell_is_a_formula_whatever_separates_cells_for_a_spreadsheet",),
    ),
    of(
        "no code from the working folder in children", "pipeline/import_path.py",
        "    os.environ[SAFE_PATH] = \"1\"\n", "    pass\n",
        (), ("pipeline/test_import_path.py::test_a_child_is_safe_whatever_started_it",),
    ),
    of(
        "no code from the working folder in children of python -E", "pipeline/import_path.py",
        "    if sys.flags.ignore_environment and not sys.flags.safe_path:\n",
        "    if False:\n",
        (), ("pipeline/test_import_path.py::test_a_child_is_safe_whatever_started_it",),
    ),
    of(
        "no settings of packages from the working folder", "models/networks/tf_runtime.py",
        "with working_folder.left(), _without_chatter():\n", "with _without_chatter():\n",
        (), (
            "models/test_working_folder.py::"
            "test_settings_of_matplotlib_in_the_working_folder_are_not_read",
        ),
    ),
    of(
        "a folder that cannot be listed is not left out", "pipeline/classifier/classify_files.py",
        "            yield folder  # it is `unreadable` then: what is in it is not left out in silence\n", "",
        (), (
            "pipeline/classifier/test_photos_found.py::"
            "test_a_folder_that_cannot_be_listed_counts_as_a_file_that_cannot_be_read",
        ),
    ),
    of(
        "loopback by default", "pipeline/web/server.py",
        "    host, port = settings.web.host, settings.web.port\n",
        "    host, port = \"0.0.0.0\", settings.web.port\n",
        (103,), (_SERVER + "test_only_loopback_hears_us_unless_the_settings_say_otherwise",),
    ),
    of(
        "no link followed to a picture", "pipeline/files/safe_open.py",
        "            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)\n",
        "            inner = os.open(part, _FOLDER, dir_fd=fd)\n",
        (106,), (_THUMBNAILS + "test_a_link_in_the_place_of_a_photo_leads_nowhere",),
    ),
    of(
        "pictures only from the folders of Pawsort", "pipeline/web/routes/thumbnails.py",
        "        if not inside.startswith(b\"../\") and inside not in (b\".\", b\"..\"):\n",
        "        if True:\n",
        (106,), ("pipeline/web/routes/test_thumbnails.py::test_a_path_outside_our_folders_is_not_shown",),
    ),
    of(
        "new names for uploads", "pipeline/web/services/uploads.py",
        "        path = self._folder / f\"{PREFIX}{os.getpid()}-{secrets.token_hex(8)}.part\"\n",
        "        path = self._folder / shown\n",
        (106,), (_UPLOADS + "test_the_clients_name_is_never_one_on_our_disk",),
    ),
    of(
        "only listed reports", "pipeline/web/services/report_files.py",
        "    return open_if_regular(folder, name) if NAME.fullmatch(name) else None\n",
        "    return open_if_regular(folder, name)\n",
        (106,), (_REPORTS + "test_nothing_else_in_or_outside_the_folder_is_given",),
    ),
    of(
        "no link followed to a report", "pipeline/files/safe_open.py",
        "_FILE = os.O_RDONLY | os.O_NOFOLLOW |",
        "_FILE = os.O_RDONLY |",
        (106,), (_REPORTS + "test_a_link_or_a_pipe_in_the_place_of_a_report_leads_nowhere",),
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
        "            if entry.name.startswith(PREFIX) and not _is_other_server(pid):\n",
        "            if False:\n",
        (107,), (_UPLOADS + "test_what_a_killed_server_left_is_swept",),
    ),
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
        "a form has no right to its place, as an upload has", "pipeline/web/connections.py",
        "        return cycle.more_body and is_upload(cycle.scope[\"path\"])\n",
        "        return cycle.more_body\n",
        (107,), ("pipeline/web/connections/test_places.py::test_bodies_that_are_no_uploads_do_not_keep_others_out",),
    ),
    of(
        "no foreign cookie reaches Python's slow parser", "pipeline/web/middleware/guard.py",
        "            own = {**scope, \"headers\": without_foreign(scope[\"headers\"])}\n",
        "            own = scope\n",
        (107,),
        ("pipeline/web/middleware/test_guard.py::test_no_cookie_reaches_the_slow_parser_of_python",),
    ),
    of(
        "a cookie of another program is not worked through", "pipeline/web/services/recent_answers.py",
        "        if len(text) <= LONGEST and _WRITTEN_HERE.fullmatch(text):\n",
        "        if True:\n",
        (107,),
        ("pipeline/web/routes/test_review.py::test_cookies_of_other_programs_cost_no_time_and_hide_no_answer",),
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
        "a connection for health checks", "pipeline/web/middleware/guard.py",
        "        return local and request.scope[\"path\"] in HEALTH_PATHS\n",
        "        return False\n",
        (107,), ("pipeline/web/connections/test_live_clients.py::test_when_all_places_are_taken_this_machine_may_ask_how_it_is",),
    ),
    of(
        "a small body for a small form", "pipeline/web/middleware/body_limits.py",
        "        if self._limit is not None and self._bytes > self._limit:\n",
        "        if False:\n",
        (107,), (_SAFETY + "test_a_form_may_not_be_large",),
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
    of(
        "all text is escaped", "pipeline/web/views/rendering.py",
        "    autoescape=True,\n",
        "    autoescape=False,\n",
        (110,), (
            "pipeline/web/routes/test_file_detail.py::test_a_hostile_name_is_escaped_everywhere",
            "pipeline/web/test_app.py::test_what_a_visitor_gives_is_escaped",
        ),
    ),
    of(
        "the headers of every response", "pipeline/web/middleware/guard.py",
        "            _add(headers, HEADERS)\n",
        "",
        (110,), (_SAFETY + "test_every_answer_tells_the_browser_what_it_may_not_do",),
    ),
    of(
        "the pages are restarted", "pipeline/worker/web_process.py",
        "            self._stopping.wait(pause)\n",
        "            return\n",
        (111,), ("pipeline/worker/test_web_process.py::test_it_is_started_again_after_a_kill",),
    ),
    of(
        "pages in the order of an index", "db/queries/browse.py",
        "    return chosen.order_by(files.c.seen_at.desc(), files.c.id.desc())\n",
        "    return chosen.order_by(files.c.mtime_ns.desc(), files.c.id.desc())\n",
        (112,), ("db/test_large.py::test_what_a_page_asks_is_answered_by_an_index",),
    ),
    of(
        "one line for each request", "pipeline/logs.py",
        "{record.levelname} {printable(record.getMessage())}\"\n",
        "{record.levelname} {record.getMessage()}\"\n",
        (113,), (_SAFETY + "test_a_path_with_a_newline_is_one_line_of_the_log",),
    ),
    of(
        "no query in the log", "pipeline/web/middleware/request_log.py",
        "    path = request.scope[\"path\"]\n",
        "    path = str(request.url)\n",
        (113,), (_SAFETY + "test_a_wrong_token_is_refused_and_appears_nowhere",),
    ),
    of(
        "a short line for each request", "pipeline/web/middleware/request_log.py",
        "    shown = path if len(path) <= PATH_LETTERS else",
        "    shown = path if True else",
        (113,), (_SAFETY + "test_a_line_of_the_log_is_short_whatever_is_asked_for",),
    ),
    of(
        "few lines for requests without a token", "pipeline/web/middleware/request_log.py",
        "        return self._written <= LINES\n",
        "        return True\n",
        (113,), (_SAFETY + "test_requests_that_need_no_token_do_not_fill_the_log",),
    ),
    of(
        "a wait after wrong tokens", "pipeline/web/middleware/token_attempts.py",
        "            waits = record.until > now\n",
        "            waits = False\n",
        (113,), ("pipeline/web/middleware/test_token_attempts.py::test_wrong_tokens_of_an_address_are_slowed_more_and_more",),
    ),
    of(
        "a separate wait for each address", "pipeline/web/middleware/token_attempts.py",
        "            now, key = self._clock(), network_of(address)\n",
        "            now, key = self._clock(), \"\"\n",
        (113,), ("pipeline/web/middleware/test_token_attempts.py::test_a_flood_of_guesses_is_not_compared",),
    ),
    of(
        "a flood of guesses is not compared", "pipeline/web/middleware/token_attempts.py",
        "            if not record.may_compare(now):\n",
        "            if False:\n",
        (113,), ("pipeline/web/middleware/test_token_attempts.py::test_a_flood_of_guesses_is_not_compared",),
    ),
    of(
        "a refused token is answered late", "pipeline/web/middleware/guard.py",
        "            if self.status == 429:",
        "            if False:",
        (113,), ("pipeline/web/middleware/test_token_attempts.py::test_each_refusal_is_held_back_and_the_right_token_is_not",),
    ),
    of(
        "sessions that end on the server", "pipeline/web/routes/session.py",
        "        context.sessions.end(cookie)\n",
        "        pass\n",
        (), (_LOGIN + "test_a_sign_out_ends_the_session_on_the_server",),
    ),
    of(
        "cookies read leniently", "pipeline/web/middleware/cookies.py",
        "    return list(islice(found, MOST))\n",
        "    return [m.value for m in __import__(\"http.cookies\").cookies.SimpleCookie("
        "headers.get(\"cookie\", \"\")).values() if m.key == name]\n",
        (), ("pipeline/web/middleware/test_cookies.py::test_a_cookie_of_another_program_does_not_lock_out_a_visitor",),
    ),
    of(
        "no redirect to another site", "pipeline/web/middleware/redirects.py",
        "    return path.startswith(\"/\") and \"//\" not in path and",
        "    return path.startswith(\"/\") and",
        (), ("pipeline/web/middleware/test_redirects.py::test_the_form_leads_to_no_other_place",),
    ),
    of(
        "one origin only", "pipeline/web/middleware/guard.py",
        "    return len(origins) > 1 or any(",
        "    return any(",
        (105,), (_SAFETY + "test_an_origin_that_is_ours_twice_is_refused_too",),
    ),
    of(
        "one end of a request", "pipeline/web/middleware/guard.py",
        "        if is_ambiguous(request.scope, request.headers):\n",
        "        if False:\n",
        (107,), (_SAFETY + "test_a_request_with_two_ends_is_refused",),
    ),
    of(
        "a correction only of the version that was seen", "pipeline/corrections/correct_undo_retry.py",
        "        if (moves[-1].id if moves else 0) != file.version:\n",
        "        if False:\n",
        (), (
            "pipeline/web/routes/test_api.py::test_a_correction_of_an_old_version_changes_nothing",
            "pipeline/web/routes/test_file_detail.py::test_a_stale_page_changes_nothing_and_names_the_first_person",
        ),
    ),
    of(
        "the file in the URL is the file in the form", "pipeline/web/services/correct_files.py",
        "    if [file.id for file in files] != [id]:\n",
        "    if False:\n",
        (), (_FILE + "test_the_file_of_the_address_and_that_of_the_form_must_be_one",),
    ),
    of(
        "If-Match is compared", "pipeline/web/routes/api.py",
        "    if not matches_strongly(tags, current):\n",
        "    if False:\n",
        (), (
            "pipeline/web/routes/test_api.py::"
            "test_if_match_is_compared_always_even_for_a_file_that_was_never_moved",
        ),
    ),
    of(
        "times within the calendar", "pipeline/ranges.py",
        "    within(moment.date())\n",
        "",
        (), ("pipeline/web/test_ranges.py::test_a_number_or_time_beyond_its_range_is_answered_422",),
    ),
    of(
        "a report that is not sent is closed", "pipeline/web/routes/reports.py",
        "        os.close(descriptor)\n",
        "",
        (), ("pipeline/web/middleware/test_conditional.py::test_a_report_that_is_not_sent_is_closed",),
    ),
)  # fmt: skip
