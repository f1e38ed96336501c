"""Prevent imports of Python files from the working folder or other folders of the user.

Python puts the working folder first on the import path of `python -c` and `python -m`, which start Pawsort's
processes, and reads an empty entry of PYTHONPATH as the working folder. It would then run a `selectors.py`
among photos instead of the standard library's. This module imports only modules that Python has already
loaded.
"""

import os
import sys

SAFE_PATH = "PYTHONSAFEPATH"
"""Environment variable that keeps the working folder off the import path of child processes."""

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The folder that contains `pipeline`, `models` and `db`."""

_LIBRARY = os.path.dirname(os.__file__)
_ZIP = f"python{sys.version_info.major}{sys.version_info.minor}.zip"


def secure() -> None:
    """Make the import paths of this process and its children safe. Must be called first."""
    entries = os.environ.pop("PYTHONPATH", "").split(os.pathsep)
    relative = {os.path.abspath(entry) for entry in entries if not os.path.isabs(entry)}
    if not sys.flags.safe_path:
        relative.update(sys.path[:1])  # the folder of the script, or the working folder for `python -m`
    sys.path[:] = safe(sys.path, FOLDER, relative)
    if absolute := [entry for entry in entries if os.path.isabs(entry)]:
        os.environ["PYTHONPATH"] = os.pathsep.join(absolute)
    secure_children()


def secure_children() -> None:
    """Keep the working folder off the import path of child processes."""
    os.environ[SAFE_PATH] = "1"


def safe(path: list[str], folder: str, unsafe: set[str]) -> list[str]:
    """Return an import path with `folder` and without relative and `unsafe` entries.

    The standard library comes first, then `folder`, so that no file beside a checkout replaces a module of
    the library, and no other package one of Pawsort's. If `folder` is a folder of installed packages, all
    entries keep their order.
    """
    kept = [entry for entry in path if os.path.isabs(entry) and (entry not in unsafe or entry == folder)]
    if os.path.basename(folder) in ("site-packages", "dist-packages") and folder in kept:
        return kept
    standard = [entry for entry in kept if _is_standard(entry)]
    return list(dict.fromkeys([*standard, folder, *kept]))


def _is_standard(entry: str) -> bool:
    return entry in (_LIBRARY, os.path.join(_LIBRARY, "lib-dynload")) or os.path.basename(entry) == _ZIP
