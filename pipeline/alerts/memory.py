"""What is remembered across restarts: `state/alerts.json`, so that an alert that stands is not said again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pipeline.alerts.active_alerts import ActiveAlerts, Alert
from pipeline.alerts.conditions import Condition
from pipeline.alerts.message import Message
from pipeline.alerts.outbox import Waiting
from pipeline.files.replace_file import replace_file

log = logging.getLogger(__name__)

FILE_NAME = "alerts.json"  # in the state folder
SCHEMA_VERSION = 1


@dataclass(slots=True)
class Remembered:
    """The alerts that stand, the messages that quiet hours hold or that are not delivered yet, and the last
    day whose report was said."""

    active: ActiveAlerts = field(default_factory=ActiveAlerts)
    held: list[Message] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    reported: date | None = None


class Memory:
    """Reads and writes the file in a state folder; without a place for it, messages may be repeated."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE_NAME
        self._written = ""

    def read(self) -> Remembered:
        """Return what is remembered; nothing if the file is missing or cannot be read."""
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
            if values["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"expected schema_version {SCHEMA_VERSION}")
            return _parsed(values)
        except FileNotFoundError:
            return Remembered()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s: cannot be read: %r; alerts that stand are sent again", self._path, error)
            return Remembered()

    def write(self, remembered: Remembered) -> None:
        """Write the file if anything has changed."""
        text = json.dumps(_plain(remembered), indent=2) + "\n"
        if text == self._written:
            return
        self._written = text
        try:
            replace_file(self._path, [text.encode()], durable=False)
        except OSError as error:
            log.debug("%s: cannot be written: %s", self._path, error)
            self._written = ""


def _plain(remembered: Remembered) -> dict[str, Any]:
    active = remembered.active
    return {
        "schema_version": SCHEMA_VERSION,
        "alerts": [
            {
                **asdict(alert.condition),
                "began": alert.began.isoformat(),
                "is_said": alert.is_said,
                "gone_at": _text(alert.gone_at),
            }
            for alert in active.alerts.values()
        ],
        "said": {key: [time.isoformat() for time in times] for key, times in active.said.items()},
        "held": list(map(_plain_message, remembered.held)),
        "waiting": [{"to": to, **_plain_message(message)} for to, message in remembered.waiting],
        "reported": _text(remembered.reported),
    }


def _parsed(values: dict[str, Any]) -> Remembered:
    said = {key: tuple(map(datetime.fromisoformat, times)) for key, times in values["said"].items()}
    waiting = [(each.pop("to"), _message(each)) for each in values["waiting"]]
    reported = date.fromisoformat(values["reported"]) if values["reported"] else None
    held = [_message(each) for each in values["held"]]
    return Remembered(ActiveAlerts(dict(_alerts(values["alerts"])), said), held, waiting, reported)


def _alerts(values: Iterable[dict[str, Any]]) -> Iterable[tuple[str, Alert]]:
    for each in values:
        gone_at, is_said = each.pop("gone_at"), each.pop("is_said")
        began = datetime.fromisoformat(each.pop("began"))
        condition = Condition(**each)
        gone = datetime.fromisoformat(gone_at) if gone_at else None
        yield condition.key, Alert(condition, began, is_said, gone)


def _plain_message(message: Message) -> dict[str, Any]:
    return asdict(message) | {"at": message.at.isoformat()}


def _message(values: dict[str, Any]) -> Message:
    return Message(**values | {"at": datetime.fromisoformat(values["at"])})


def _text(moment: date | None) -> str | None:
    return moment.isoformat() if moment else None
