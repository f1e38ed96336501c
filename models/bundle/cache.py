"""The cache folder: converted networks, downloaded data sets, ImageNet's bundle."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return $XDG_CACHE_HOME/pawsort, by default ~/.cache/pawsort.

    A relative $XDG_CACHE_HOME is ignored, as the XDG Base Directory Specification wants.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "pawsort"
