"""Allow one process at a time to do something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from pipeline.errors import LockError
from pipeline.files.permissions import own_mode


@contextmanager
def exclusive(path: Path, seconds: float, problem: str) -> Iterator[None]:
    """Hold the lock of a file, which is made if it is missing; the kernel releases that of a killed process.

    Raises LockError with `problem` if another process holds it for longer than `seconds`.
    """
    mode = own_mode()
    # A mode that is given would replace that of the umask or a default ACL.
    private = () if mode == 0o666 else (mode,)
    lock = filelock.FileLock(path, seconds, *private)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise LockError(problem) from error
    try:
        yield
    finally:
        lock.release()
