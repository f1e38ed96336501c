"""Prevent Python files in the working folder, or in any folder of the user, from being imported.

Python puts the working folder first on the import path of `python -c` and `python -m`, by which processes are
started; an empty entry of PYTHONPATH means the working folder too. A `selectors.py` among photos would then
be imported in place of the standard library's. Python itself imports `os` and `sys` before any program runs,
so importing them here is safe.
"""

import os
import sys

SAFE_PATH = "PYTHONSAFEPATH"
"""Environment variable: Python leaves the working folder off the import path of the process."""

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The folder that holds `pipeline`, `models` and `db`."""

_LIBRARY = os.path.dirname(os.__file__)
_ZIP = f"python{sys.version_info.major}{sys.version_info.minor}.zip"


def secure() -> None:
    """Make the import path of this process, and of all processes started from it, safe; call it first."""
    entries = os.environ.pop("PYTHONPATH", "").split(os.pathsep)
    relative = {os.path.abspath(entry) for entry in entries if not os.path.isabs(entry)}
    if not sys.flags.safe_path:
        relative.update(sys.path[:1])  # the folder of the script, or the working folder of `python -m`
    sys.path[:] = safe(sys.path, FOLDER, relative)
    if absolute := [entry for entry in entries if os.path.isabs(entry)]:
        os.environ["PYTHONPATH"] = os.pathsep.join(absolute)
    secure_children()


def secure_children() -> None:
    """Make the import path with which processes started from this one begin safe."""
    os.environ[SAFE_PATH] = "1"
    if sys.flags.ignore_environment and not sys.flags.safe_path:
        _start_children_with_flag()


def _start_children_with_flag() -> None:
    """Add `-P` to the flags with which `multiprocessing` starts processes: it copies `-E` of `python -E`."""
    from multiprocessing import util  # here, since the import path is safe by now

    flags = util._args_from_interpreter_flags()  # type: ignore[attr-defined]
    if "-P" not in flags:
        util._args_from_interpreter_flags = lambda: [*flags, "-P"]  # type: ignore[attr-defined]


def interpreter(niceness: int = 0) -> list[str]:
    """Return the command that runs `pawsort` with the import path of this process, installed or not.

    `niceness` lowers its priority, before it imports anything.
    """
    path = safe(sys.path, FOLDER, set())
    # -P keeps the working folder off the path until the first statement replaces the path.
    start = f"import os, sys; os.nice({niceness}); sys.path[:] = {path!a}"
    return [sys.executable, "-P", "-c", f"{start}; from pipeline.entry import main; main()"]


def safe(path: list[str], folder: str, unsafe: set[str]) -> list[str]:
    """Return `path` without relative and `unsafe` entries, and with `folder`.

    The standard library comes first, then `folder`, so that no file beside a checkout replaces a module of
    the library, and no package elsewhere one of Pawsort's. If packages are installed in `folder`, all entries
    keep their order.
    """
    kept = [entry for entry in path if os.path.isabs(entry) and (entry not in unsafe or entry == folder)]
    if os.path.basename(folder) in ("site-packages", "dist-packages") and folder in kept:
        return kept
    standard = [entry for entry in kept if _is_standard(entry)]
    return list(dict.fromkeys([*standard, folder, *kept]))


def _is_standard(entry: str) -> bool:
    return entry in (_LIBRARY, os.path.join(_LIBRARY, "lib-dynload")) or os.path.basename(entry) == _ZIP
