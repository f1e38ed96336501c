"""Let rows and symbolic links follow a moved folder, and mark the state folder that it left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime

from sqlalchemy import Engine

from db.connection.engine import reserved
from db.ledger import prefixes
from pipeline.errors import PawsortError, SettingsError
from pipeline.files.folders import sync_folders
from pipeline.files.moved_folder import MovedFolder
from pipeline.files.moves import TEMPORARY
from pipeline.files.permissions import own_mode
from pipeline.relocate import marker
from pipeline.relocate.plan import Plan, links_to_old, plan
from pipeline.settings.config import Settings
from pipeline.worker.locks import NAME as LOCK
from pipeline.worker.locks import locked_state, worker_lock


def follow(engine: Engine, settings: Settings, move: MovedFolder, now: datetime) -> Plan:
    """Do what `plan` says, while no worker runs here or there; return what was done.

    The old state folder is marked first, then all rows follow in one transaction, then the symbolic links. If
    it is interrupted, the same command goes on. Raises SettingsError if there is a problem, LockError,
    DatabaseError, PawsortError.
    """
    with ExitStack() as stack:
        stack.enter_context(worker_lock(settings))
        stack.enter_context(reserved(engine, own_mode(0o644)))
        made = plan(engine, settings, move)
        if made.problems:
            raise SettingsError("nothing was changed: " + "; ".join(made.problems))
        with _marked(made, settings, now):
            prefixes.follow(engine, move.old, move.new)
        _point_anew(engine, move)
        marker.unmark(settings.state)  # of an earlier move away, if this is a copy of what was left there
    return made


@contextmanager
def _marked(made: Plan, settings: Settings, now: datetime) -> Iterator[None]:
    """Mark the old state folder while it is locked; take the mark off again if the rows cannot follow."""
    if made.old_state is None:
        yield
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(locked_state(made.old_state / LOCK))
            marker.mark(made.old_state, settings.state, now)
        except OSError as error:
            raise PawsortError(
                f"{made.old_state}: cannot be marked as moved: {error.strerror}, so that a worker there "
                "could record photos a second time; make it writable, or move it away"
            ) from error
        try:
            yield
        except BaseException:
            marker.unmark(made.old_state)
            raise


def _point_anew(engine: Engine, move: MovedFolder) -> None:
    """Replace the symbolic links to the old folder by links to the new one; each change is atomic."""
    folders: set[bytes] = set()
    for path, target in links_to_old(engine, move):
        folder = os.path.dirname(path)
        temporary = os.path.join(folder, TEMPORARY + b"link")
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        os.symlink(target, temporary)
        os.replace(temporary, path)
        folders.add(folder)
    sync_folders(folders)
