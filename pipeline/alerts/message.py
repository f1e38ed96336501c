"""Messages to people: their titles and texts."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from pipeline.alerts.conditions import CRASH_LOOP, REFUSED_VERSION, Condition
from pipeline.logs import printable_lines
from pipeline.settings.sections import Event

if TYPE_CHECKING:
    from pipeline.reports.daily import DayReport

Kind = Literal["failure", "warning", "success", "info"]
"""Apprise's kinds of messages, which choose a colour or a sign."""

_BEGUN: dict[str, str] = {
    "paused": "the worker is paused",
    "folder_gone": "a folder is missing or refuses files",
    "disk_low": "a disk is nearly full",
    "refused": "the worker has ended",
    "child_restarts": "the classifier crashes often",
    "failures": "many files fail",
    "drift": "photos are no longer as usual",
    "report_failed": "reports cannot be written",
    "backup_failed": "no backup can be made",
    "back": "the worker is back",
    "worker_silent": "a worker is silent",
    "report": "a report was written",
    CRASH_LOOP: "the classifier crashes with every photo",
    REFUSED_VERSION: "a version of the model is refused",
}
"""Titles of what begins, by the event, or by the key of a condition that has another."""

_OVER: dict[str, str] = {
    "paused": "the worker goes on",
    "folder_gone": "the folder is back",
    "disk_low": "the disk has space again",
    "refused": "the worker runs again",
    "child_restarts": "the classifier runs without crashes",
    "failures": "files no longer fail",
    "drift": "photos are as usual again",
    "report_failed": "reports are written again",
    "backup_failed": "backups are made again",
    "worker_silent": "the worker is no longer silent",
    CRASH_LOOP: "the classifier works again",
    REFUSED_VERSION: "the version in force is at work",
}

_FAILURES = {"paused", "folder_gone", "refused", "worker_silent", CRASH_LOOP}
"""Events, or keys, with which no photo, or not all, are filed."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `key` is that of its condition, empty without one; `over` says that this has ended."""

    event: Event
    kind: Kind
    title: str
    body: str
    at: datetime
    key: str = ""
    over: bool = False


def begun(condition: Condition, began: datetime, now: datetime, zone: ZoneInfo) -> Message:
    """Return the message that something is wrong since `began`."""
    kind: Kind = "failure" if {condition.event, condition.key} & _FAILURES else "warning"
    body = condition.sentence if condition.event == "back" else f"{condition.sentence}\n{_since(began, zone)}"
    kind = "info" if condition.event == "back" else kind
    return _message(condition.event, kind, _title(_BEGUN, condition), body, now, condition.key)


def over(condition: Condition, began: datetime, ended: datetime, now: datetime, zone: ZoneInfo) -> Message:
    """Return the message that what was wrong from `began` to `ended` is over."""
    body = f"Over since {_shown(ended, zone)}. {_since(began, zone)}: {condition.sentence}"
    return _message(condition.event, "success", _title(_OVER, condition), body, now, condition.key, True)


def has_end(event: Event) -> bool:
    """Return whether an event has a message when it is over."""
    return event in _OVER


def of_reports(reports: Sequence[DayReport], now: datetime) -> Message:
    """Return the message that the reports of some days were written, with the figures of the last."""
    last = max(reports, key=lambda report: report.day)
    parts = ", ".join(f"{count:,} {outcome}" for outcome, count in last.counts.items() if count)
    more = f" The reports of {len(reports) - 1} days before were written too." if len(reports) > 1 else ""
    body = f"{last.day}: {last.arrived:,} photos arrived{': ' if parts else ''}{parts}.{more}"
    return _message("report", "info", f"report of {last.day}", body, now)


def merged(held: Sequence[Message], now: datetime) -> Message:
    """Return one message for those that quiet hours held back; an end replaces its begin."""
    ended = {(message.key, message.at) for message in held if message.over}
    told = [m for m in held if m.over or not any(k == m.key and at >= m.at for k, at in ended)]
    if len(told) == 1:
        return told[0]
    body = "\n\n".join(f"{message.title.partition(': ')[2]}\n{message.body}" for message in told)
    kind: Kind = "warning" if any(not message.over for message in told) else "success"
    return _message(told[-1].event, kind, f"{len(told)} messages of the quiet hours", body, now)


def of_user(text: str, now: datetime) -> Message:
    """Return a message with a text of the user."""
    return _message("report", "info", "a message", text, now)


def _message(
    event: Event, kind: Kind, what: str, body: str, now: datetime, key: str = "", over: bool = False
) -> Message:
    # Services take UTF-8 alone, and names of files may be any bytes.
    plain = printable_lines(body).encode("utf-8", "backslashreplace").decode()
    title = f"Pawsort on {platform.node() or 'this machine'}: {what}"
    return Message(event, kind, title, plain, now, key, over)


def _title(titles: Mapping[str, str], condition: Condition) -> str:
    return titles.get(condition.key) or titles[condition.event]


def _since(began: datetime, zone: ZoneInfo) -> str:
    return f"Since {_shown(began, zone)}"


def _shown(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
