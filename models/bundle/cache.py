"""The cache folder: converted networks, downloaded data sets, ImageNet's bundle."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return $XDG_CACHE_HOME/pawsort, by default ~/.cache/pawsort."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pawsort"
