# ruff: noqa: E501
"""Safeguards: pages and API, faults 103 to 113, but for uploads and connections."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_REPORTS = "pipeline/web/routes/test_reports.py::"
_CSV = "pipeline/reports/test_csv_files.py::"
_FILE = "pipeline/web/routes/test_file_detail.py::"
_SERVER = "pipeline/web/test_server.py::"
_PRIVATE = (
    "pipeline/files/test_permissions.py::test_what_pawsort_makes_for_itself_is_as_private_as_the_setting_says"
)
_LOGIN = "pipeline/web/routes/test_session.py::"
_TWO = "pipeline/web/routes/test_two_installations.py::"
_THUMBNAILS = "pipeline/web/routes/test_thumbnails.py::"
_LEARNING = "pipeline/web/routes/learning/test_learning.py::"
_VERSIONS = "pipeline/web/routes/learning/test_versions.py::"
_SAFETY = "pipeline/web/middleware/test_guard.py::"

_DOWNLOADS = "pipeline/web/routes/browse/test_downloads.py::"
_ACTIONS = "pipeline/web/routes/browse/test_actions.py::"
_ARCHIVE = "pipeline/web/downloads/test_photo_archive.py::"
_EXCEL = "pipeline/web/downloads/test_excel.py::"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "names in an archive stay below the folder where it is unpacked", "pipeline/web/downloads/photo_archive.py",
        "_REFUSED_BY_SYSTEMS.sub(\"_\", part)", "part",
        (106,), (_ARCHIVE + "test_no_name_leads_out_of_the_folder_where_the_archive_is_unpacked",),
    ),
    of(
        "no two files of an archive under one name", "pipeline/web/downloads/photo_archive.py",
        " and not keys & self._taken", "",
        (), (_ARCHIVE + "test_names_that_differ_by_case_or_that_a_system_refuses_are_kept_apart_with_their_companions",),
    ),
    of(
        "a photo that is gone is named in an archive", "pipeline/web/downloads/photo_archive.py",
        "                self._miss(readable(path), why(error))\n", "",
        (), (_ARCHIVE + "test_a_photo_that_is_gone_is_left_out_and_named_with_the_reason",),
    ),
    of(
        "an archive leads to originals of links only", "pipeline/web/downloads/originals.py",
        "    with opened(*found) as file:\n", "    with open(path, 'rb') as x, contextlib.suppress(ZeroDivisionError):\n        file = Opened(x.fileno(), os.fstat(x.fileno()))\n",
        (106,), (_ARCHIVE + "test_a_link_leads_to_its_own_original_only",),
    ),
    of(
        "a limit of rows for Excel", "pipeline/web/downloads/excel.py",
        " > MOST_ROWS:\n", " > 10**9:\n",
        (), (_EXCEL + "test_a_list_that_is_too_long_is_refused_before_anything_is_written",),
    ),
    of(
        "a limit of workbooks at once", "pipeline/web/downloads/excel.py",
        "            with _slot():\n", "            with ExitStack():\n",
        (), (_EXCEL + "test_only_some_workbooks_are_written_at_once",),
    ),
    of(
        "a workbook without a reader ends", "pipeline/web/downloads/excel.py",
        "            if gone.is_set() or has_ended():\n", "            if False:\n",
        (), (_EXCEL + "test_a_workbook_whose_client_has_left_is_not_written_to_its_end",),
    ),
    of(
        "a client that leaves before a long answer begins is noticed", "pipeline/web/connections.py",
        "HAS_ENDED: lambda: of.has_ended", "HAS_ENDED: lambda: False",
        (), ("pipeline/web/connections/test_live_clients.py::test_a_client_that_leaves_before_a_long_answer_begins_is_noticed",),
    ),
    of(
        "a list for Excel says what is not installed", "pipeline/web/downloads/excel.py",
        "    if (problem := packages.missing_for_excel()) is not None:\n", "    if problem := \"\":\n",
        (), (_EXCEL + "test_without_openpyxl_a_list_for_excel_says_what_to_install",),
    ),
    of(
        "a failed query is said before a list begins", "pipeline/web/routes/browse/many.py",
        "    first = next(chosen, None)\n", "    first = None\n",
        (), (_DOWNLOADS + "test_a_database_that_cannot_be_read_is_said_before_a_list_begins",),
    ),
    of(
        "a photo that is gone has no dead buttons", "pipeline/web/routes/file_detail.py",
        "    is_filed = entry.state == \"filed\" and not problem\n", "    is_filed = entry.state == \"filed\"\n",
        (), (_DOWNLOADS + "test_a_photo_that_is_gone_says_so_and_offers_nothing_that_cannot_work",),
    ),
    of(
        "a limit of files in an archive", "pipeline/web/routes/browse/many.py",
        "    if len(found) > MOST_ZIPPED:\n", "    if False:\n",
        (), (_ACTIONS + "test_too_many_none_and_unknown_ones_are_refused",),
    ),
    of(
        "a service leaves the folder it was started in", "pipeline/cli/app.py",
        "        working_folder.leave()\n", "        pass\n",
        (), ("pipeline/cli/test_app.py::test_a_service_leaves_the_folder_that_it_is_started_in",),
    ),
    of(
        "a child reads nothing from the folder of its parent", "pipeline/child_process.py",
        "    working_folder.leave()  # a request has absolute paths\n", "",
        (), ("pipeline/test_child_process.py::test_a_child_reads_nothing_from_the_folder_of_its_parent",),
    ),
    of(
        "a picture of the photo that has the id now", "pipeline/web/routes/thumbnails.py",
        "    key = id, headers[\"ETag\"]\n", "    key = id, size\n",
        (), (_THUMBNAILS + "test_a_picture_is_of_the_photo_that_has_its_id_now",),
    ),
    of(
        "a session cookie of this token", "pipeline/web/middleware/sessions.py",
        "f\"{COOKIE}_{hmac.digest(self._key, b'name', 'sha256').hex()[:10]}\"", "COOKIE",
        (), (_TWO + "test_signing_in_to_one_installation_does_not_sign_out_of_another",),
    ),
    of(
        "recent answers of this installation", "pipeline/web/services/recent_answers.py",
        "    return f\"{COOKIE}_{hashlib.sha256(os.fsencode(place)).hexdigest()[:10]}\", COOKIE\n",
        "    return f\"{COOKIE}_{place and ''}\", COOKIE\n",
        (), (_TWO + "test_an_answer_given_to_one_installation_is_not_undone_in_another",),
    ),
    of(
        "a version is promoted only in place of the one that the page showed", "pipeline/learning/record.py",
        "        if seen is None or seen == self.version:\n", "        if seen is None or seen != -1:\n",
        (), (_VERSIONS + "test_a_click_on_a_page_that_is_out_of_date_is_refused",),
    ),
    of(
        "one learning at a time from the pages", "pipeline/learning/learning_process.py",
        "            if self._is_alive() or learn_status.is_learning(self._state):\n", "            if False:\n",
        (), (
            _LEARNING + "test_two_learnings_at_a_time_are_refused",
            _LEARNING + "test_a_second_click_while_the_process_still_starts_is_refused",
        ),
    ),
    of(
        "a learning that was killed does not seem to go on", "pipeline/learning/learn_status.py",
        '    return replace(found, state="stopped", reason=ENDED_SILENTLY)\n', "    return found\n",
        (), (_LEARNING + "test_a_learning_that_ended_badly_says_why",),
    ),
    of(
        "no control character in a cell", "pipeline/reports/csv_files.py",
        "neutral(visible(text))", "neutral(text)",
        (), (_CSV + "test_a_control_character_is_written_as_what_it_is_and_comes_back",),
    ),
    of(
        "files of the worker are private", "pipeline/service/service.py",
        "        stack.enter_context(limited(settings.permissions))\n", "",
        (), (_PRIVATE,),
    ),
    of(
        "no Python from the folder for temporary files", "models/networks/tf_runtime.py",
        "_conversion.Status.DISABLED", "_conversion.Status.UNSPECIFIED",
        (), (
            "models/networks/test_tf_runtime.py::"
            "test_tensorflow_imports_no_python_from_the_folder_for_temporary_files",
        ),
    ),
    of(
        "private files under a default ACL", "pipeline/files/permissions.py",
        "    return mode & ~(_umasks[-1][1] if _umasks else 0)\n",
        "    return mode\n",
        (), (
            "pipeline/files/test_permissions.py::"
            "test_a_default_acl_of_pawsorts_own_folders_opens_no_new_file",
        ),
    ),
    of(
        "private folders under a default ACL", "pipeline/files/permissions.py",
        "        folder.chmod(own_mode(_mode(folder)))\n", "        pass\n",
        (), (
            "pipeline/files/test_permissions.py::"
            "test_a_default_acl_that_lets_everyone_in_opens_no_folder_of_pawsorts_own",
        ),
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
        "    with working_folder.left(), uncollected():\n        import keras\n", "    import keras\n",
        (), (
            "models/test_working_folder.py::"
            "test_settings_of_matplotlib_in_the_working_folder_are_not_read",
        ),
    ),
    of(
        "no libraries of TensorFlow from the working folder", "models/networks/tf_runtime.py",
        '    get_registered_kernels_for_op("NoOp")\n', "",
        (), ("models/test_working_folder.py::test_tensorflow_loads_no_library_of_the_working_folder",),
    ),
    of(
        "no weights from the working folder", "models/inference/openvino_engine.py",
        "    with working_folder.left():\n        return _core()", "    if True:\n        return _core()",
        (), ("models/inference/test_detector.py::test_weights_in_the_working_folder_are_not_read",),
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
        "pictures only from the folders of Pawsort", "pipeline/thumbnails/content.py",
        "        if not inside.startswith(b\"../\") and inside not in (b\".\", b\"..\"):\n",
        "        if True:\n",
        (106,), ("pipeline/web/routes/test_thumbnails.py::test_a_path_outside_our_folders_is_not_shown",),
    ),
    of(
        "only listed reports", "pipeline/web/services/report_files.py",
        "    if not NAME.fullmatch(name):\n",
        "    if False:\n",
        (106,), (_REPORTS + "test_nothing_else_in_or_outside_the_folder_is_given",),
    ),
    of(
        "no link followed to a report", "pipeline/files/safe_open.py",
        "_FILE = os.O_RDONLY | os.O_NOFOLLOW |",
        "_FILE = os.O_RDONLY |",
        (106,), (_REPORTS + "test_a_link_or_a_pipe_in_the_place_of_a_report_leads_nowhere",),
    ),
    of(
        "no foreign cookie reaches Python's slow parser", "pipeline/web/middleware/guard.py",
        "            own = {**scope, \"headers\": without_foreign(scope[\"headers\"])}\n",
        "            own = scope\n",
        (107,),
        ("pipeline/web/middleware/test_guard.py::test_no_cookie_reaches_the_slow_parser_of_python",),
    ),
    of(
        "no form without files reaches the parser of forms with files",
        "pipeline/web/middleware/guard.py",
        "        if is_foreign_form(request.scope[\"path\"], request.headers.get(\"content-type\")):\n",
        "        if False:\n",
        (107,),
        ("pipeline/web/middleware/test_body_limits.py::"
         "test_a_form_without_files_never_reaches_the_parser_of_forms_with_files",),
    ),
    of(
        "a cookie of another program is not worked through", "pipeline/web/services/recent_answers.py",
        "        if len(text) <= LONGEST and _WRITTEN_HERE.fullmatch(text):\n",
        "        if True:\n",
        (107,),
        ("pipeline/web/routes/test_review.py::test_cookies_of_other_programs_cost_no_time_and_hide_no_answer",),
    ),
    of(
        "a connection for health checks", "pipeline/web/middleware/guard.py",
        "        return local and request.scope[\"path\"] in HEALTH_PATHS\n",
        "        return False\n",
        (107,), ("pipeline/web/connections/test_live_clients.py::test_when_all_places_are_taken_this_machine_may_ask_how_it_is",),
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
        "the pages are restarted", "pipeline/web/web_process.py",
        "            self._stopping.wait(pause)\n",
        "            return\n",
        (111,), ("pipeline/web/test_web_process.py::test_it_is_started_again_after_a_kill",),
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
        "    return len(origins) > 1 or not all(",
        "    return not all(",
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
        "times within the calendar", "pipeline/settings/ranges.py",
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
