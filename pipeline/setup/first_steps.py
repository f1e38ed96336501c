"""Say on a terminal, when the worker starts: where to drop photos, where they go, the pages, how to stop."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.settings.config import Settings

START = {True: "make run ARGS=--serve", False: "pawsort run --serve"}
"""Commands that start worker and pages, by whether `make` started this one."""


def first_steps(settings: Settings, has_pages: bool) -> str:
    """Return a few lines of text for a user who has just started the worker; `has_pages` with `--serve`."""
    host = f"[{settings.web.host}]" if ":" in settings.web.host else settings.web.host
    pages = f"http://{host}:{settings.web.port}/"
    by_make = "MAKELEVEL" in os.environ
    lines = {
        "drop photos into": ", ".join(map(_near, settings.inboxes)),
        "find them in": f"{_near(settings.sorted)}, a folder for each class",
        "pages": pages if has_pages else f"stop, then `{START[by_make]}`, and open {pages}",
        "stop": "Ctrl-C; nothing is lost",
    }
    return "\n".join(f"  {name:<18}{text}" for name, text in lines.items())


def _near(path: Path) -> str:
    """Return a path as short as it can be typed in the working folder."""
    try:
        return f"./{path.relative_to(Path.cwd())}"
    except (ValueError, OSError):
        return str(path)
