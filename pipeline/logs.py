"""Write the log to stderr, one line a record, as text or JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from pipeline.control_characters import ESCAPED


def set_up(format: str = "text", level: str = "info", stream: TextIO | None = None) -> None:
    """Send the log of this process to `stream` (default: stderr) only, as `log` in the settings has it."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Details of libraries only help to debug these libraries; those after watchdog may log URLs with tokens.
    quiet = ("sqlalchemy", "alembic", "apscheduler", "PIL", "watchdog", "apprise", "urllib3", "oauthlib")
    for name in (*quiet, "requests_oauthlib"):
        logging.getLogger(name).setLevel(logging.WARNING)


def printable(text: str) -> str:
    """Escape control characters; see `control_characters`."""
    return ESCAPED.sub(lambda match: ascii(match[0])[1:-1], text)


def printable_lines(text: str) -> str:
    """Escape control characters in a text, but keep its lines."""
    return "\n".join(map(printable, text.split("\n")))


class TextFormatter(logging.Formatter):
    """`2026-11-21 06:52:51 INFO filed 64 in 0.31 s: 40 cats, 24 dogs`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line for a record, followed by the traceback of an unexpected error."""
        moment = datetime.fromtimestamp(record.created).astimezone()
        line = f"{moment:%Y-%m-%d %H:%M:%S} {record.levelname} {printable(record.getMessage())}"
        return line + (
            f"\n{printable_lines(self.formatException(record.exc_info))}" if record.exc_info else ""
        )


class JsonFormatter(logging.Formatter):
    """One object with `at` (ISO 8601, UTC), `level`, `logger`, `message`, and perhaps `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object for a record."""
        moment = datetime.fromtimestamp(record.created, UTC)
        fields = {
            "at": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class LineHandler(logging.Handler):
    """Pass each formatted line to a function, so that a progress bar and the log share the terminal."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self._write(self.format(record))
