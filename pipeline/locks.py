"""One worker for each set of folders: the kernel's locks, which die with the process that holds them."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.config import Settings
from pipeline.errors import LockError

NAME = "worker.lock"
PATIENCE_SECONDS = 0.5


@contextmanager
def worker_lock(settings: Settings) -> Iterator[None]:
    """Hold the folders of `settings` for one worker.

    The state folder is locked by a file that names our process, so that a second worker can say who is
    there. Each inbox and `sorted` are locked as folders, since a worker with other settings may share them.
    Raises LockError.
    """
    with ExitStack() as stack:
        stack.enter_context(_locked_file(settings.state / NAME))
        for folder in (*settings.inboxes, settings.sorted):
            if folder.is_dir():
                stack.enter_context(_locked_folder(folder))
        yield


def holder(state: Path) -> int | None:
    """Return the process id of the worker that is at work on a state folder, None if there is none."""
    try:
        descriptor = os.open(state / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(descriptor, 32) or b"0")
    finally:
        os.close(descriptor)
    return None


@contextmanager
def _locked_file(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _try_lock(descriptor):
            pid = os.read(descriptor, 32).decode() or "unknown"
            raise LockError(f"another worker (process {pid}) is at work on {path.parent}; stop it first")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _locked_folder(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _try_lock(descriptor):
            raise LockError(f"another worker, with other settings, is at work on {path}; stop it first")
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    # `holder` takes the lock for an instant to see whether it can; that must not stop a worker.
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        except OSError as error:
            # A share that knows no locks: the lock in the state folder has to do.
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
                raise
            return True
        else:
            return True
