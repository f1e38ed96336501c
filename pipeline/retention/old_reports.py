"""Reports of days that are older than `keep.reports_days`: files of names that only Pawsort gives."""

from __future__ import annotations

import os
import re
from datetime import date, timedelta
from pathlib import Path

_DAY = r"(\d{4}-\d{2}-\d{2})"
_NAME = re.compile(rf"(?:excel-)?(?:summary|images|drift)-{_DAY}\.csv|report-{_DAY}\.(?:html|xlsx)", re.ASCII)
"""The files of a day; the newest ones of each kind, months and years have other names, and stay."""


def old_reports(folder: Path, today: date, days: int) -> list[Path]:
    """Return the reports of days before the last `days`, the oldest first. Raises OSError."""
    first = today - timedelta(days=days)
    try:
        with os.scandir(folder) as entries:
            files = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    dated = [(day, entry.path) for entry in files if (day := _day(entry.name)) and day < first]
    return [Path(path) for _, path in sorted(dated)]


def _day(name: str) -> date | None:
    match = _NAME.fullmatch(name)
    try:
        return date.fromisoformat(match[1] or match[2]) if match else None
    except ValueError:
        return None
