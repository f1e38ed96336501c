# ruff: noqa: E501
"""Safeguards: the worker as a service: what the service manager hears, and when it starts the worker again."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_UNIT = "pipeline/service/test_watchdog.py::"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a worker whose classifier crashes for ever gives no sign of life", "pipeline/service/watchdog.py",
        '*(() if stuck else ("WATCHDOG=1",))',
        '"WATCHDOG=1"',
        (50,), ("faults/test_watchdog.py::test_a_worker_whose_classifier_crashes_for_ever_is_silent_and_red",),
    ),
    of(
        "photos wait while the classifier crashes with a sample photo too", "pipeline/worker/steps/classify.py",
        "        if self._crash_loop.sample_is_due:\n",
        "        if False:\n",
        (50, 53), ("pipeline/worker/test_poison.py::test_photos_wait_while_the_classifier_crashes_with_the_sample_too",),
    ),
    of(
        "an answer of the classifier ends the count of its losses", "pipeline/worker/steps/crash_loop.py",
        "        self._losses, self._detail = 0, None\n        self._remove",
        "        self._remove",
        (50,), ("pipeline/worker/test_poison.py::test_many_poisons_in_a_row_fail_and_are_no_fault_of_the_classifier",),
    ),
    of(
        "once ends where the classifier crashes with every photo", "pipeline/service/worker_run.py",
        "                    if once and (problem :=",
        "                    if False and (problem :=",
        (53,), ("pipeline/service/test_service.py::test_once_ends_where_the_classifier_crashes_with_every_photo",),
    ),
    of(
        "beats come as often as the watchdog asks", "pipeline/service/watchdog.py",
        'watched / 3 if watched else float("inf")',
        "1.0",
        (), (_UNIT + "test_beats_come_three_times_in_the_time_of_the_watchdog",),
    ),
    of(
        "no child speaks to the service manager", "pipeline/service/notify_socket.py",
        'environment.pop(name, "")',
        'environment.get(name, "")',
        (), (_UNIT + "test_the_socket_is_taken_out_of_the_environment_of_children",),
    ),
    of(
        "a watchdog of another process is not answered", "pipeline/service/notify_socket.py",
        'pid in ("", str(os.getpid()))',
        "True",
        (), (_UNIT + "test_a_watchdog_of_another_process_or_none_is_not_answered",),
    ),
    of(
        "a READY that was not sent is sent again", "pipeline/service/watchdog.py",
        'self._is_ready = self._socket.send(status, "READY=1", "WATCHDOG=1")',
        'self._is_ready = self._socket.send(status, "READY=1", "WATCHDOG=1") or True',
        (), (_UNIT + "test_a_ready_that_was_not_sent_is_sent_with_the_next_beat",),
    ),
    of(
        "a service manager that does not listen does not stop the worker", "pipeline/service/notify_socket.py",
        "                notify.settimeout(SEND_SECONDS)\n",
        "",
        (), (_UNIT + "test_a_service_manager_that_is_gone_or_busy_does_not_hinder",),
    ),
    of(
        "a service waits for its database", "pipeline/service/database_start.py",
        "            if once or not watchdog.has_manager:\n",
        "            if True:\n",
        (79,), (_UNIT + "test_a_service_waits_for_a_database_that_cannot_be_used_now",),
    ),
    of(
        "a service is started again after what another start may end", "pipeline/service/database_start.py",
        "    except (DatabaseUnavailable, LedgerError) as error:\n",
        "    except () as error:\n",
        (), (_UNIT + "test_a_service_is_started_again_after_what_another_start_may_end",),
    ),
)  # fmt: skip
