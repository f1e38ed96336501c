"""Read the version of Pawsort, which only pyproject.toml declares."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

_PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def version() -> str:
    """Return the version of this code.

    A checkout's pyproject.toml comes first, because the metadata of an editable install keep the version of
    the day of the install, and an uninstalled checkout has none.
    """
    try:
        project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    except (OSError, KeyError, ValueError):
        project = {}
    if project.get("name") == "pawsort":
        return str(project["version"])
    return importlib.metadata.version("pawsort")
