"""Safeguards: pages, corrections and repairs."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_ATTEMPTS = "pipeline/web/middleware/test_token_attempts.py::"
_ADDRESS = "pipeline/web/test_public_address.py::"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "the hash before a correction moves a file", "pipeline/corrections/unchanged.py",
        "    if not same:\n",
        "    if False:\n",
        (), ("pipeline/corrections/test_correct.py::test_a_file_that_is_not_what_was_filed_is_refused",),
    ),
    of(
        "the Host of a request", "pipeline/web/middleware/guard.py",
        "        if not self._hosts.know(request.headers):\n",
        "        if False:\n",
        (104,), ("pipeline/web/middleware/test_guard.py::test_a_foreign_host_is_refused_on_every_path",),
    ),
    of(
        "the Origin of a request", "pipeline/web/middleware/guard.py",
        "        if request.method not in SAFE_METHODS and is_cross_site(",
        "        if False and is_cross_site(",
        (105,), ("pipeline/web/middleware/test_guard.py::test_a_write_from_another_site_is_refused",),
    ),
    of(
        "a browser vouches for known hosts only", "pipeline/web/middleware/guard.py",
        " == [\"same-origin\"] and knows(site[0])\n",
        " == [\"same-origin\"]\n",
        (105,), (_ADDRESS + "test_posts_of_these_pages_are_accepted_whatever_host_the_proxy_passes",),
    ),
    of(
        "only a proxy says who asks", "pipeline/web/public_address.py",
        "        if scope[\"client\"] is None or not self._is_proxy(scope[\"client\"][0]):\n",
        "        if False:\n",
        (104,), (_ADDRESS + "test_what_a_visitor_says_of_itself_is_not_believed",),
    ),
    of(
        "the client that a proxy saw, not what it was told", "pipeline/web/public_address.py",
        "        for said in reversed(\",\".join(",
        "        for said in (\",\".join(",
        (113,), (_ADDRESS + "test_the_client_is_the_last_one_that_no_proxy_is",),
    ),
    of(
        "addresses that may be invented wait too", "pipeline/web/middleware/token_attempts.py",
        "            return _Record(until=now + 1.0 if many else 0.0)\n",
        "            return _Record()\n",
        (113,), (_ATTEMPTS + "test_very_many_wrong_tokens_slow_all_addresses",),
    ),
    of(
        "no prefix that leads elsewhere", "pipeline/web/public_address.py",
        "    return prefix if is_path_prefix(prefix) else \"\"\n",
        "    return prefix\n",
        (), (_ADDRESS + "test_a_path_that_leads_elsewhere_is_no_prefix",),
    ),
    of(
        "an upload below a path keeps its place", "pipeline/web/public_address.py",
        "            scope.update(self._seen(in_origin_form(scope)))\n",
        "            scope = self._seen(in_origin_form(scope))\n",
        (107,), ("pipeline/web/connections/test_places.py::test_an_upload_below_a_path_is_an_upload",),
    ),
    of(
        "a token beyond loopback", "pipeline/settings/sections.py",
        "        if self.token is None and not is_loopback_host(self.host):\n",
        "        if False:\n",
        (), ("pipeline/settings/test_config.py",),
    ),
    of(
        "no repair for an empty folder", "pipeline/doctor/repair.py",
        "        if not stable or (not identity[2] and os.fsdecode(outcome) != FAILED):\n",
        "        if False:\n",
        (), ("pipeline/doctor/test_repair.py::test_what_only_people_can_mend_is_left_with_a_reason",),
    ),
    of(
        "no class guessed by a repair", "pipeline/doctor/repair.py",
        "        if os.fsdecode(outcome) not in self._outcomes:\n",
        "        if False:\n",
        (), ("pipeline/doctor/test_repair.py::test_what_only_people_can_mend_is_left_with_a_reason",),
    ),
    of(
        "names kept out of a bundle", "pipeline/doctor/support_bundle.py",
        "    hide = _Hider(settings) if not names else _Open()\n",
        "    hide = _Open()\n",
        (), ("pipeline/doctor/test_support_bundle.py::test_no_photo_no_name_and_no_secret_is_in_it",),
    ),
    of(
        "secrets kept out of a bundle", "pipeline/settings/shown.py",
        "    values[\"web\"][\"token\"] = masked(values[\"web\"][\"token\"])\n",
        "",
        (), ("pipeline/doctor/test_support_bundle.py::test_no_photo_no_name_and_no_secret_is_in_it",),
    ),
    of(
        "no scrape that waits for a database for long", "pipeline/web/metrics/scrape.py",
        "        return call.result(max(0.0, until - time.monotonic()))\n",
        "        return call.result(15)\n",
        (), ("pipeline/web/metrics/test_scrape.py::test_a_folder_that_hangs_holds_nothing_up",
             "pipeline/web/metrics/test_scrape.py::test_without_postgresql_all_else_is_answered_soon"),
    ),
    of(
        "the question to the database beside cached counts", "pipeline/web/metrics/scrape.py",
        "            schema_version(engine)",
        "            pass",
        (), ("pipeline/web/metrics/test_scrape.py",),
    ),
    of(
        "totals that never fall", "pipeline/web/metrics/scrape.py",
        "            growth = max(0, counted - self._seen.get(name, 0))\n",
        "            growth = counted - self._seen.get(name, 0)\n",
        (), ("pipeline/web/metrics/test_scrape.py::test_rows_that_are_deleted_lower_no_total",),
    ),
    of(
        "counters that go on after a restart", "pipeline/worker/counters.py",
        "        counters = read(path) or Counters()\n",
        "        counters = Counters()\n",
        (), ("pipeline/worker/test_counters.py", "pipeline/service/test_service.py"),
    ),
)  # fmt: skip
