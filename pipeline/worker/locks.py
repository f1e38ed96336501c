"""One worker for each set of folders, by kernel locks that end with the process that holds them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipeline.errors import LockError
from pipeline.files.permissions import own_mode
from pipeline.settings.config import Settings

NAME = "worker.lock"
LOCK_SECONDS = 0.5


@contextmanager
def worker_lock(settings: Settings) -> Iterator[None]:
    """Lock the folders of `settings` for one worker.

    The state folder is locked by a file with the id of this process, so that a second worker can name it.
    Inboxes and `sorted` are locked too, since a worker with other settings may share them, or have folders
    inside or around them. Of an inbox that is divided, only the share is this worker's. Raises LockError.
    """
    with ExitStack() as stack:
        stack.enter_context(locked_state(settings.state / NAME))
        for folder in (*settings.inboxes, settings.sorted):
            real = Path(os.path.realpath(folder))
            share = settings.share_of(folder)
            stack.enter_context(_locked_place(real, fcntl.LOCK_SH if share else fcntl.LOCK_EX))
            if share:
                stack.enter_context(_locked_place(real, fcntl.LOCK_EX, share))
            for ancestor in real.parents:
                stack.enter_context(_locked_place(ancestor, fcntl.LOCK_SH))
        yield


def holder(state: Path) -> int | None:
    """Return the process id of the worker that uses a state folder, None if there is none."""
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
def locked_state(path: Path) -> Iterator[None]:
    """Lock a state folder by the file `path` in it, which gets the id of this process. Raises LockError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, own_mode(0o644))
    try:
        if not _try_lock(descriptor, fcntl.LOCK_EX):
            pid = os.read(descriptor, 32).decode() or "unknown"
            raise LockError(f"another worker (process {pid}) is at work on {path.parent}; stop it first")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _locked_place(folder: Path, kind: int, share: str = "") -> Iterator[None]:
    """Lock a temporary file that stands for a folder, or a share of its files.

    A lock in the folder would keep its disk busy.
    """
    descriptor = _stand_in(folder, share)
    try:
        if not _try_lock(descriptor, kind):
            what = f"the share {share} of {folder}" if share else folder
            raise LockError(f"another worker, with other settings, is at work on {what}; stop it first")
        yield
    finally:
        os.close(descriptor)


def _stand_in(folder: Path, share: str) -> int:
    # A zero byte is in no path.
    place = os.fsencode(folder) + (b"\0" + share.encode() if share else b"")
    name = hashlib.sha256(place).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"pawsort-{name}.lock"
    try:
        return _open_or_make(path)
    except OSError as error:
        raise LockError(
            f"{path}, the lock of {folder}, cannot be opened: {error.strerror}. Another program has made "
            "it, or its folder takes no files: have it removed"
        ) from error


def _open_or_make(path: Path) -> int:
    # Any user may have made a named pipe of this name, which would be waited for.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        # In a shared folder Linux refuses O_CREAT on another user's file, so try without it first.
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o644)
        # It is empty, and other users' workers must be able to open it.
        with suppress(PermissionError):
            os.fchmod(descriptor, 0o644)
        return descriptor


def _try_lock(descriptor: int, kind: int) -> bool:
    # `holder` takes the lock for an instant to test it; that must not stop a worker.
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        except OSError as error:
            # A network share without locks: the other locks have to suffice.
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
                raise
            return True
        else:
            return True
