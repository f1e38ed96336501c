"""The mark in a state folder that was moved: `moved.json` says where to, and nothing is changed there."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.files.replace_file import replace_file
from pipeline.logs import printable

NAME = "moved.json"


def mark(old: Path, new: Path, at: datetime) -> None:
    """Mark the state folder `old` as moved to `new`. Raises OSError."""
    values = {"to": os.fspath(new), "at": at.isoformat()}
    replace_file(old / NAME, [json.dumps(values, indent=2).encode()])


def unmark(state: Path) -> None:
    """Take the mark off a state folder, if it has one. Raises OSError."""
    (state / NAME).unlink(missing_ok=True)


def refuse_moved(state: Path) -> None:
    """Raise SettingsError if a state folder was moved away, and is not the one that it was moved to."""
    if moved := moved_away(state):
        raise SettingsError(f"{state}: {moved}")


def moved_away(state: Path) -> str | None:
    """Say where a state folder was moved to, and what to do; None if it is where it belongs."""
    path = state / NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        to, at = str(values["to"]), str(values["at"])[:16].replace("T", " ")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        to, at = "another place", "some time"
    if os.path.realpath(to) == os.path.realpath(state):
        return None
    return (
        f"was moved to {printable(to)} at {at} UTC, and photos must not be recorded twice; "
        f"use Pawsort there. If this folder is in use again, delete {path}"
    )
