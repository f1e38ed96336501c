# ruff: noqa: E501
"""Safeguards: alerts."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_ALERTS = "pipeline/alerts/test_alerts.py"
_THREE = "pipeline/service/test_three_workers.py"
_SHARED = "pipeline/service/test_shared_ledger.py"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a pause of seconds is no alert", "pipeline/alerts/active_alerts.py",
        "        due = now - began >= FOR.get(condition.event, timedelta())\n",
        "        due = True\n",
        (), (f"{_ALERTS}::test_a_pause_of_seconds_is_not_worth_a_message",),
    ),
    of(
        "flapping alerts end later and later", "pipeline/alerts/active_alerts.py",
        "        return min(CLEAR * (1 << (times - 1)), LONGEST_CLEAR)\n",
        "        return CLEAR\n",
        (), ("pipeline/alerts/test_active_alerts.py::test_what_flaps_all_day_is_said_a_few_times",),
    ),
    of(
        "alerts over only after minutes", "pipeline/alerts/active_alerts.py",
        "        if now - gone_at < self._clear(key):\n",
        "        if False:\n",
        (), ("pipeline/alerts/test_active_alerts.py::test_what_flaps_all_day_is_said_a_few_times",),
    ),
    of(
        "a disk at its limit is one alert", "pipeline/alerts/conditions.py",
        "(DISK_ENOUGH if key in before else 1.0)",
        "1.0",
        (), (f"{_ALERTS}::test_a_full_disk_is_said_once_though_its_space_hovers_at_the_limit",),
    ),
    of(
        "alerts that stand are remembered", "pipeline/alerts/memory.py",
        "            for alert in active.alerts.values()\n",
        "            for alert in ()\n",
        (), (f"{_ALERTS}::test_an_alert_that_stands_is_not_said_again_after_a_restart",),
    ),
    of(
        "undelivered messages are remembered", "pipeline/alerts/alerts.py",
        "            kept.waiting,\n",
        "            (),\n",
        (), (f"{_ALERTS}::test_a_message_that_was_not_taken_is_sent_again_also_after_a_restart",),
    ),
    of(
        "a dead channel is tried less and less often", "pipeline/alerts/outbox.py",
        "        queue.retry_at = seconds + BACKOFF_SECONDS[min(queue.failures, len(BACKOFF_SECONDS) - 1)]\n",
        "        queue.retry_at = seconds + 1\n",
        (), ("pipeline/alerts/test_sender.py::test_a_dead_server_is_tried_less_and_less_often_and_holds_up_no_other",),
    ),
    of(
        "a refused worker says so", "pipeline/alerts/alerts.py",
        "[_refused(error)] if isinstance(error, Exception) else []",
        "[]",
        (), ("pipeline/service/test_alerts.py::test_a_model_that_is_refused_is_said_once_though_systemd_tries_again",),
    ),
    of(
        "quiet hours hold no end of a worker", "pipeline/alerts/quiet_hours.py",
        "        if self._is_quiet(now) and not at_once:\n",
        "        if self._is_quiet(now):\n",
        (), ("pipeline/service/test_alerts.py::test_a_worker_that_ends_says_so_in_quiet_hours_too",),
    ),
    of(
        "an error of the alerts stops no worker", "pipeline/alerts/alerts.py",
        "        except Exception:  # an alert that fails must not stop the worker\n",
        "        except OSError:\n",
        (), (f"{_ALERTS}::test_an_error_in_the_alerts_does_not_stop_the_worker",),
    ),
    of(
        "no sign of life of a worker that hangs", "pipeline/alerts/heartbeat_ping.py",
        "        well = self._healthy_at is not None and seconds - self._healthy_at < FRESH_SECONDS\n",
        "        well = self._healthy_at is not None\n",
        (), (f"{_ALERTS}::test_the_sign_of_life_is_given_each_minute_and_only_while_the_worker_is_well",),
    ),
    of(
        "Apprise logs no URL", "pipeline/alerts/channels.py",
        "    logger.propagate = False\n",
        "",
        (), ("pipeline/alerts/test_sender.py::test_a_url_that_apprise_does_not_know_is_named_by_its_place",),
    ),
    of(
        "addresses of alerts masked", "pipeline/settings/shown.py",
        '    notify["urls"] = [masked_service_url(url) for url in notify["urls"]]\n',
        "",
        (), ("pipeline/cli/test_app.py::test_a_token_is_never_shown", "pipeline/doctor/test_support_bundle.py::test_a_password_of_the_database_is_not_in_it"),
    ),
    of(
        "no secret in a message on settings", "pipeline/settings/messages.py",
        ' or keys[0] == "notify":  # a log',
        ":  # a log",
        (), ("pipeline/settings/test_config.py::test_a_wrong_setting_of_alerts_is_named_without_its_secret",),
    ),
    of(
        "no line of the settings in a message", "models/plain_yaml.py",
        "        return yaml.Mark(self.name, self.index, self.line, self.column, None, 0)\n",
        "        return super().get_mark()\n",
        (), ("pipeline/settings/test_config.py::test_a_wrong_setting_of_alerts_is_named_without_its_secret",),
    ),
    of(
        "a server that hangs holds up its own messages alone", "pipeline/alerts/sender.py",
        "for step in steps]",
        "for step in [self.step]]",
        (), ("pipeline/alerts/test_sender.py::test_a_server_that_never_answers_holds_up_no_other_channel_and_no_ping",),
    ),
    of(
        "a worker that hangs looks not alive to others", "pipeline/service/shared_ledger.py",
        "        if beat is not None and (beat is not self._written or self._is_starting):\n",
        "        if beat is not None:\n",
        (), (f"{_SHARED}::test_an_old_heartbeat_is_no_sign_of_life",),
    ),
    of(
        "a worker that hangs does not report", "pipeline/service/shared_ledger.py",
        "        if time.monotonic() - self._followed_at > known_workers.SILENT_SECONDS:\n",
        "        if False:\n",
        (), (f"{_SHARED}::test_one_that_takes_no_steps_leaves_the_reports_to_another",),
    ),
    of(
        "the lock of who reports is checked", "db/connection/session_locks.py",
        "        if self.is_held:\n            return True\n",
        "        if self._session:\n            return True\n",
        (), (f"{_SHARED}::test_one_whose_session_the_server_has_ended_reports_only_if_no_other_does",),
    ),
    of(
        "a reporter that is restarted goes on", "pipeline/service/turns.py",
        "        return now - self._vacant_since >= known_workers.SILENT_SECONDS\n",
        "        return True\n",
        (), (f"{_SHARED}::test_one_that_is_restarted_goes_on_reporting",),
    ),
    of(
        "drift is said by the reporter alone", "pipeline/alerts/alerts.py",
        "            leave_drift(self._active)\n",
        "            pass\n",
        (), (f"{_SHARED}::test_drift_is_said_by_the_reporter_alone_and_another_says_no_end",),
    ),
    of(
        "nightly work of the reporter alone", "pipeline/service/shared_ledger.py",
        "            if not self.shared.reports:\n",
        "            if False:\n",
        (), (f"{_SHARED}::test_nightly_work_is_done_by_the_reporter_alone_and_stops_when_it_is_none",),
    ),
    of(
        "only a worker that sends alerts says who is silent", "pipeline/service/shared_ledger.py",
        "watches = self._watching is not None and self._watching.take()",
        "watches = reports",
        (), (f"{_SHARED}::test_silence_is_said_by_a_worker_with_addresses_if_the_reporter_has_none",),
    ),
    of(
        "a retired worker is not silent", "db/queries/workers.py",
        "        if self.retired_at is not None:\n",
        "        if False:\n",
        (), (f"{_SHARED}::test_the_alert_of_a_worker_that_is_retired_is_over",),
    ),
    of(
        "a silence that was said is not said again", "pipeline/alerts/silences.py",
        "        if worker.said_at:\n",
        "        if False:\n",
        (), (f"{_SHARED}::test_one_says_that_a_worker_is_silent_and_that_it_is_back_whoever_reports_then",),
    ),
    of(
        "one worker says that others are silent", "pipeline/alerts/silences.py",
        "for worker in self.workers if self.watches and worker.is_silent)",
        "for worker in self.workers if worker.is_silent)",
        (), (f"{_THREE}::test_a_killed_reporter_is_silent_and_replaced_and_said_once_until_it_is_back",),
    ),
    of(
        "a silence of seconds is no alert", "pipeline/alerts/active_alerts.py",
        '    "worker_silent": timedelta(seconds=30),\n',
        "",
        (), (f"{_SHARED}::test_a_short_silence_is_not_said",),
    ),
    of(
        "a sign of life does not hold up the worker", "pipeline/service/shared_ledger.py",
        "            self._thread.join(STOP_SECONDS)",
        "            self._thread.join()",
        (), (f"{_SHARED}::test_a_slow_database_holds_up_no_heartbeat_and_no_end",),
    ),
)  # fmt: skip
