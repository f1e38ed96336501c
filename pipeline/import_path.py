"""Keep Python code in the working folder, or in any folder of the user, from being run by this program.

Python puts the working folder first on the import path of `python -c` and `python -m`, which is how
processes are started, and takes an empty entry of PYTHONPATH for it. A `selectors.py` among
photos would then be run in place of the standard library's. Both modules that this one imports are loaded
before any program begins.
"""

import os
import sys

SAFE_PATH = "PYTHONSAFEPATH"
"""Tells the Python of each process started from here to leave the working folder off its import path."""

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The folder that holds `pipeline`, `models` and `db`."""

_LIBRARY = os.path.dirname(os.__file__)
_ZIP = f"python{sys.version_info.major}{sys.version_info.minor}.zip"


def secure() -> None:
    """Make the import path of this process, and of all processes started from it, safe; call it first."""
    entries = os.environ.pop("PYTHONPATH", "").split(os.pathsep)
    relative = {os.path.abspath(entry) for entry in entries if not os.path.isabs(entry)}
    if not sys.flags.safe_path:
        relative.update(sys.path[:1])  # the folder of the script, or of whoever types `python -m`
    sys.path[:] = safe(sys.path, FOLDER, relative)
    if absolute := [entry for entry in entries if os.path.isabs(entry)]:
        os.environ["PYTHONPATH"] = os.pathsep.join(absolute)
    secure_children()


def secure_children() -> None:
    """Make the first import path of all processes started from this one safe."""
    os.environ[SAFE_PATH] = "1"


def safe(path: list[str], folder: str, unsafe: set[str]) -> list[str]:
    """Return an import path without relative and `unsafe` entries, on which `folder` stands.

    The standard library comes first, then `folder`, so that no file beside a checkout stands in for a module
    of the library, and no package elsewhere for one of Pawsort's. Where `folder` is one in which packages are
    installed, all entries keep their order.
    """
    kept = [entry for entry in path if os.path.isabs(entry) and (entry not in unsafe or entry == folder)]
    if os.path.basename(folder) in ("site-packages", "dist-packages") and folder in kept:
        return kept
    standard = [entry for entry in kept if _is_standard(entry)]
    return list(dict.fromkeys([*standard, folder, *kept]))


def _is_standard(entry: str) -> bool:
    return entry in (_LIBRARY, os.path.join(_LIBRARY, "lib-dynload")) or os.path.basename(entry) == _ZIP
