"""Say why a child process cannot start, and what to do, from the last that it printed."""

from __future__ import annotations

import getpass
import multiprocessing.spawn
import os
import re
import subprocess

from models.errors import in_words
from models.installation import PROJECT

_ADVICE = {
    "failed to map segment": (
        "That folder is mounted noexec, or memory is short: install Pawsort where programs may run"
    ),
    "cannot open shared object": (
        "Install the package of the system that has this library; on Debian, `apt-file search` names it"
    ),
    "No module named|cannot import name": "The installation is incomplete: install it again{again}",
    "Permission denied": "Let the user {user} read and enter it; the cache is in {cache}",
    "Operation not permitted|SIGSYS": (
        "A sandbox forbids it: see SystemCallFilter= of the unit, or the seccomp profile of the container"
    ),
    "No such file or directory": "It was moved or removed: install Pawsort again{again}, or start it again",
    "SIGKILL|out of memory|annot allocate memory|bad_alloc": (
        "Memory is short: raise the limit of the service or container, or end other programs"
    ),
    "temporarily unavailable|start new thread": (
        "No more processes or threads may be started: raise TasksMax= of the unit, or ulimit -u"
    ),
    "No space left": "Free some space",
    "SIGILL": "This processor has not an instruction that a library uses; try engine: tensorflow",
    "SIGSEGV|SIGABRT|SIGBUS|SIGFPE": "A library crashed: install Pawsort again{again}",
    r"exit code \d+$": "It printed no reason; the lines of the log before this one may have it",
}
"""By patterns of what a failure says, what to do; the first that fits counts."""


def advice(failure: str) -> str:
    """Return a sentence with what to do about a failure, or nothing where nothing is known."""
    found = next((text for pattern, text in _ADVICE.items() if re.search(pattern, failure)), "")
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    again = f" (make -C {PROJECT} clean setup)" if (PROJECT / "Makefile").is_file() else ""
    return found.format(again=again, user=_user(), cache=cache)


def not_started(error: OSError) -> str:
    """Return why the system refused to start a process, and what to do."""
    said = in_words(error)
    return ". ".join(filter(None, (f"no process can be started: {said}", advice(said))))


def why_no_python_starts() -> str | None:
    """Return why the system starts no Python; None if it does. `multiprocessing` gives only a code."""
    python = os.fsdecode(multiprocessing.spawn.get_executable())
    try:
        subprocess.run([python, "-S", "-c", ""], check=False, capture_output=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        return f"{python} cannot be started: {in_words(error)}"
    return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in containers
        return str(os.getuid())
