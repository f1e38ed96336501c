"""Who this worker is: its name in a database that may have many, and the token of its state folder.

Both are in `state/worker.json`, so that a machine whose host name changes stays who it is, and
another machine of the same name is noticed.
"""

from __future__ import annotations

import json
import logging
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine

from db.connection.engine import DatabaseError, DatabaseReserved, Mode, owned_by, reserved
from db.ledger import workers as ledger
from db.queries.workers import KnownWorker, all_workers
from db.schema.worker_tables import FIRST
from models import regular_files
from pipeline.errors import SettingsError
from pipeline.files.permissions import own_mode
from pipeline.files.replace_file import replace_file
from pipeline.settings.config import Settings

log = logging.getLogger(__name__)

FILE_NAME = "worker.json"

PATIENCE_SECONDS = 0.5
"""As long as the kernel takes to end the connections of a process that was killed."""

RESTART_SECONDS = 60.0
"""As long as a server takes to notice that a machine has lost its power."""

_PAUSE_SECONDS = 0.1


class Identity(NamedTuple):
    """The name of a worker, and the token of its state folder."""

    name: str
    token: str


def identity(settings: Settings) -> Identity:
    """Return who the worker of these settings is, and remember a new token in the state folder.

    The name is `settings.worker`, else the one remembered, else the host's. Raises SettingsError, OSError.
    """
    known = remembered(settings.state)
    name = settings.worker or (known and known.name) or socket.gethostname() or "worker"
    found = Identity(name, known.token if known else secrets.token_hex(16))
    if known is None:
        _remember(settings.state, found)
    return found


def remembered(state: Path) -> Identity | None:
    """Return who the worker of a state folder is, None before its first start.

    Raises SettingsError, OSError.
    """
    path = state / FILE_NAME
    try:
        said = json.loads(regular_files.read_text(path))
        return Identity(str(said["name"]), str(said["token"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} does not say which worker this is ({error}). Put back the copy of a backup; without "
            "one, delete it, and where machines share the database, `pawsort workers --take-over NAME`"
        ) from error


@contextmanager
def this_worker(engine: Engine, settings: Settings, patience: float = PATIENCE_SECONDS) -> Iterator[Engine]:
    """Be the worker of these settings until the block ends; open what it owns.

    Waits up to `patience` seconds until the server has noticed the end of the one before. Raises
    DatabaseReserved if it runs already or its name is another's, DatabaseError, SettingsError,
    OSError.
    """
    name, token = identity(settings)
    id = ledger.register(engine, name, token)
    with _opened(engine, id, "worker") as own, _reserved(own, patience):
        ledger.started(engine, id, name, token, datetime.now(UTC))
        if remembered(settings.state) != (name, token):  # not before, as a name may be refused
            _remember(settings.state, Identity(name, token))
        yield own
        try:
            ledger.stopped(engine, id, datetime.now(UTC))
        except DatabaseError as error:  # the worker has ended well all the same
            log.warning("others will take it for silent, since its end is not recorded: %s", error)


def take_over(engine: Engine, settings: Settings, name: str) -> None:
    """Be the worker `name` from now on, whose machine this one replaces: get its files.

    The caller keeps a worker of these settings away. Raises DatabaseReserved while that worker runs, or if
    this one has files of its own; SettingsError if there is no such worker, DatabaseError, OSError.
    """
    other = known_worker(engine, name)
    mine = remembered(settings.state)
    found = Identity(name, mine.token if mine else secrets.token_hex(16))
    with _opened(engine, other.id, "worker") as its, reserved(its, own_mode(0o644)):
        if mine is None:  # first, so that the token is not lost if this ends here
            _remember(settings.state, found)
        ledger.register(engine, *found, take_over=True)
        _remember(settings.state, found)


def known_worker(engine: Engine, name: str) -> KnownWorker:
    """Return the worker `name` of a database that may have many. Raises SettingsError if there is none."""
    known = {worker.name: worker for worker in all_workers(engine)}
    if engine.dialect.name == "sqlite" or name not in known:
        there = ", ".join(known) or "none"
        raise SettingsError(f"there is no worker {name!r} in this database; there are: {there}")
    return known[name]


def _remember(state: Path, known: Identity) -> None:
    replace_file(state / FILE_NAME, [json.dumps(known._asdict()).encode()])


@contextmanager
def own_rows(engine: Engine, settings: Settings, mode: Mode) -> Iterator[Engine]:
    """Open what the worker of these settings owns, for a command beside it.

    It sees no file at all before its worker has started once. Raises DatabaseError, SettingsError, OSError.
    """
    with _opened(engine, own_id(engine, settings), mode) as own:
        yield own


def own_id(engine: Engine, settings: Settings) -> int:
    """Return the id of the worker of these settings, 0 if it never started.

    Before any has started, it is the first, to whom rows belong from before there could be many. Raises
    DatabaseError, SettingsError, OSError.
    """
    if engine.dialect.name == "sqlite":
        return FIRST
    known, workers = remembered(settings.state), all_workers(engine)
    if not workers:
        return FIRST
    return next((worker.id for worker in workers if known and worker.token == known.token), 0)


@contextmanager
def _reserved(own: Engine, patience: float) -> Iterator[None]:
    until = time.monotonic() + patience
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(reserved(own, own_mode(0o644)))
                break
            except DatabaseReserved:
                if time.monotonic() >= until:
                    raise
            time.sleep(_PAUSE_SECONDS)
        yield


@contextmanager
def _opened(engine: Engine, id: int, mode: Mode) -> Iterator[Engine]:
    own = owned_by(engine, id, mode)
    try:
        yield own
    finally:
        if own is not engine:
            own.dispose()
