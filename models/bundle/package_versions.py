"""The versions of the installed packages, recorded in each new bundle."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version


def package_versions() -> dict[str, str]:
    """Return the versions of the installed packages that influence a training."""
    packages = ("tensorflow", "keras", "numpy", "pillow", "cykooz-resizer")
    return {"python": platform.python_version()} | {
        name: found for name in packages if (found := _version(name))
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # no wheel of it on this platform
        return None
